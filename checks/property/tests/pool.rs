//! Random operations on pools with a budget; `PROPTEST_CASES` says how many sequences.

use check_property::{Operation, run_pool};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestError, TestRunner};

#[test]
fn a_budget_is_never_exceeded_and_everybody_is_served_in_turn() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let operations = vec(any::<Operation>(), 1..400);
    let outcome = TestRunner::new(config).run(&operations, |operations| {
        run_pool(&operations);
        Ok(())
    });
    if let Err(TestError::Fail(reason, operations)) = outcome {
        panic!("{reason}\nrun_pool(&{operations:?})");
    }
    assert!(outcome.is_ok());
}
