//! Drives random sequences of operations against an oracle that knows who is alive and what is in every buffer.
//!
//! The oracle is slow and obvious: contents in a vector per buffer, counts of spans, pins and parts per lease. Operations
//! run on one of two worker threads, one at a time, so that each outcome is known beforehand; what threads do to each other
//! at the same time is the business of the stress program and of the models. Handles have one world ([`run`]), pools with
//! a budget another ([`run_pool`]); sequences with their writers ([`run_sequence`]), pipes ([`run_pipe`]), ragged
//! batches ([`run_ragged`]) and windows ([`run_windows`]) have theirs.
//!
//! `tests/` drives them with proptest, `fuzz/` with a fuzzer.
#![allow(clippy::unwrap_used, reason = "a check that fails to unwrap has failed")]

mod buffer;
mod element;
mod pipe;
mod pool;
mod rows;
mod sequence;
mod source;
mod worker;
mod world;

pub use element::{Element, Tracked};
pub use pipe::run_pipe;
pub use pool::run_pool;
pub use rows::{run_ragged, run_windows};
pub use sequence::run_sequence;
pub use world::{Operation, run};
