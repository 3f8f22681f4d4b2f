//! Random operations on sequences, pipes, ragged batches and windows; `PROPTEST_CASES` says how many sequences of operations.

use check_property::{Operation, run_pipe, run_ragged, run_sequence, run_windows};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestError, TestRunner};

fn random_operations(name: &str, run: fn(&[Operation])) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let operations = vec(any::<Operation>(), 1..300);
    let outcome = TestRunner::new(config).run(&operations, |operations| {
        run(&operations);
        Ok(())
    });
    if let Err(TestError::Fail(reason, operations)) = outcome {
        panic!("{reason}\n{name}(&{operations:?})");
    }
    assert!(outcome.is_ok());
}

#[test]
fn sequences_and_writers_do_what_vectors_do() {
    random_operations("run_sequence", run_sequence);
}

#[test]
fn a_pipe_does_what_a_queue_does_and_wakes_who_waits() {
    random_operations("run_pipe", run_pipe);
}

#[test]
fn ragged_batches_do_what_vectors_of_rows_do() {
    random_operations("run_ragged", run_ragged);
}

#[test]
fn windows_are_those_of_the_stream_as_a_whole() {
    random_operations("run_windows", run_windows);
}
