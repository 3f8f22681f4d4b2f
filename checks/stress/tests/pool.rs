//! A short turn of the budget and of the soak.

use std::time::Duration;

use check_stress::{BudgetLimits, run_budget, run_soak};

#[test]
fn everybody_is_served_from_a_budget_that_is_always_short() {
    let report = run_budget(BudgetLimits { rents: 50_000, time: None, patience: None });
    assert_eq!(report.left, 0, "{report:?}");
    assert!(report.waited > 100 && report.cancelled > 100 && report.refused > 100, "{report:?}");
}

#[test]
fn threads_that_come_and_go_leave_nothing() {
    let report = run_soak(Duration::from_secs(2));
    assert_eq!(report.left, (0, 0), "{report:?}");
    assert!(report.threads > 10 && report.pools > 10, "{report:?}");
}
