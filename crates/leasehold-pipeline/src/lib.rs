#![doc = include_str!("../README.md")]

mod batch;
mod cancel;
mod claim;
mod document;
mod embed;
mod encoder;
mod error;
mod fetch;
pub mod flow;
mod hex;
mod history;
mod mapping;
mod model;
mod output;
mod passage;
mod pipeline;
mod resume;
mod search;
mod sink;
mod source;
mod summarize;
mod tokenize;
mod window;

pub use batch::{Batch, Unit};
pub use cancel::{Cancel, OnCancel};
pub use document::{Document, Place, Text};
pub use embed::{Embedded, Encode, TokenBatch, Tokenize};
pub use encoder::{Encoder, Worker};
pub use error::{
    EmbedError, FetchError, HistoryError, ModelError, ResumeError, SinkError, SourceError, StoreError,
    TokenizeError,
};
pub use fetch::{Cache, FetchEvent, FileCheck, FileState};
pub use history::{History, Role, Segment, SlidingWindows, Turn, Window};
pub use model::{Activation, Config, Model, Pooling, Precision, Workspace};
pub use output::OutputFile;
pub use pipeline::{Pipeline, Summary};
pub use resume::{Job, ResumableSink, Resume};
pub use search::{Fingerprint, Found, Hit, Key, Search, StoreEvent, StoreStats, Top, VectorStore, dot};
#[cfg(feature = "parquet")]
pub use sink::ParquetSink;
#[cfg(feature = "arrow")]
pub use sink::{ArrowSink, replay};
pub use sink::{JsonlSink, NpySink, Sink, TerminalSink};
pub use source::{Access, Format, Input, Invalid, Source, Split, panic_is_caught};
pub use summarize::{
    Chosen, Extract, Extracted, Length, Sentence, Sentences, SentencesOf, Summarizer, sentences,
};
pub use tokenize::{Tokenizer, Tokens};
pub use window::Windows;
