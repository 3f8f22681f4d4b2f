//! Tests of the pipeline through its public face.

mod encoder;
mod fetch;
mod model;
mod output;
mod runner;
mod source;
mod support;
