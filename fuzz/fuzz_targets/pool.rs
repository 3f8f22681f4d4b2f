//! Sequences of operations on pools with a budget, on several threads, judged by the oracle of `check-property`.
//!
//! `ASAN_OPTIONS=detect_leaks=0 cargo +nightly fuzz run pool -- -max_total_time=30`: handles that spans need for as long as
//! they live are leaked.
#![no_main]

use check_property::{Operation, run_pool};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|operations: Vec<Operation>| run_pool(&operations));
