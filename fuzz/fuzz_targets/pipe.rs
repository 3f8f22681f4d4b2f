//! Operations on both ends of a pipe, judged by the oracle of `check-property`.
//!
//! `cargo +nightly fuzz run pipe -- -max_total_time=30`
#![no_main]

use check_property::{Operation, run_pipe};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|operations: Vec<Operation>| run_pipe(&operations));
