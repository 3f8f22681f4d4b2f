//! Random operations; `PROPTEST_CASES` says how many sequences.

use check_property::{Element, Operation, Tracked, run};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

/// Sequences of up to 400 operations, the shorter the better for reading a failure.
fn random_operations<T: Element>() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let operations = vec(any::<Operation>(), 1..400);
    let outcome = TestRunner::new(config).run(&operations, |operations| {
        run::<T>(&operations);
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.err().map(|error| error.to_string()).unwrap_or_default());
}

#[test]
fn random_operations_on_plain_elements_do_what_the_oracle_says() {
    random_operations::<u32>();
}

#[test]
fn random_operations_on_elements_with_drop_do_what_the_oracle_says() {
    random_operations::<Tracked>();
}
