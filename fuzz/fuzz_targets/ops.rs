//! Sequences of operations on every kind of handle, judged by the oracle of `check-property`.
//!
//! `ASAN_OPTIONS=detect_leaks=0 cargo +nightly fuzz run ops -- -max_total_time=30`: forgetting handles is among the
//! operations, and leaks are what comes of it.
#![no_main]

use arbitrary::Arbitrary;
use check_property::{Operation, Tracked, run};
use libfuzzer_sys::fuzz_target;

/// What the buffers of a run hold, and what is done to them.
#[derive(Arbitrary, Debug)]
struct Run {
    with_drop: bool,
    operations: Vec<Operation>,
}

fuzz_target!(|input: Run| {
    if input.with_drop {
        run::<Tracked>(&input.operations);
    } else {
        run::<u32>(&input.operations);
    }
});
