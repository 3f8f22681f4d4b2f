//! Sequences, their readers and the writers that make them, judged by the oracle of `check-property`.
//!
//! `cargo +nightly fuzz run sequence -- -max_total_time=30`
#![no_main]

use check_property::{Operation, run_sequence};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|operations: Vec<Operation>| run_sequence(&operations));
