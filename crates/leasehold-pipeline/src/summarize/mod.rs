//! Extractive summaries: which sentences of a text stand for it.

mod abbreviation;
mod block;
mod extract;
mod line;
mod select;
mod sentence;

pub use extract::{Extract, Extracted, Sentence, SentencesOf};
pub use select::{Chosen, Length, Summarizer};
pub use sentence::{Sentences, sentences};
