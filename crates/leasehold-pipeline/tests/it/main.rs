//! Tests of the pipeline through its public face.

#![expect(clippy::unwrap_used, reason = "a test that cannot get what it needs has failed")]

mod encoder;
mod family;
mod fetch;
mod flow;
mod model;
mod output;
mod pipeline;

mod source;
mod support;
