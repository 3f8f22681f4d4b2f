//! Tests of the pipeline through its public face.

#![expect(clippy::unwrap_used, reason = "a test that cannot get what it needs has failed")]

mod encoder;
mod family;
mod fetch;
mod flow;
mod history;
mod model;
mod output;
mod own_stage;
mod pipeline;
mod resume;
mod search;
mod sink;
mod source;
mod source_access;
#[cfg(feature = "compression")]
mod source_compressed;
#[cfg(feature = "csv")]
mod source_csv;
mod source_damage;
#[cfg(feature = "directories")]
mod source_directories;
mod source_invalid;
#[cfg(feature = "parquet")]
mod source_parquet;
mod store;
mod summarize;
mod support;
mod tokenizers;
mod top;
mod window;
