//! Extractive summaries: which sentences of a text stand for it.

mod abbreviation;
mod block;
mod select;
mod sentence;

pub use select::{Chosen, Length, Summarizer};
pub use sentence::{Sentences, sentences};
