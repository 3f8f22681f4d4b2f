//! Tests of the pipeline through its public face.

mod encoder;
mod support;
