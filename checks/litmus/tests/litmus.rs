//! Short litmus tests with their controls.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use check_litmus::{
    Fences, Limits, dekker, has_two_processors, register_membarrier, spans_against_revocation,
};

/// For what must not go wrong.
const MANY: Limits = Limits { rounds: 100_000, time: Duration::from_secs(2), violations: 1 };
/// For what must: ends with the tenth violation, normally within a tenth of a second. The time is for machines whose
/// processors are busy with other things.
const CONTROL: Limits = Limits { rounds: u64::MAX, time: Duration::from_secs(60), violations: 10 };

/// The machine for one test at a time, or `None`, and a line that says so, where a test cannot run.
fn machine() -> Option<MutexGuard<'static, ()>> {
    static MACHINE: Mutex<()> = Mutex::new(());
    if !has_two_processors() {
        println!("could not run: the litmus tests need two processors");
        return None;
    }
    Some(MACHINE.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn without_fences_both_threads_miss_each_other() {
    let Some(_machine) = machine() else { return };
    let outcome = dekker(Fences::Compiler, CONTROL);
    println!("{outcome}");
    assert!(outcome.violations > 0, "no violation, so the other tests prove nothing: {outcome}");
}

#[test]
fn with_full_fences_one_thread_sees_the_other() {
    let Some(_machine) = machine() else { return };
    let outcome = dekker(Fences::Full, MANY);
    println!("{outcome}");
    assert_eq!(outcome.violations, 0, "{outcome}");
}

#[test]
fn with_membarrier_on_one_side_one_thread_sees_the_other() {
    let Some(_machine) = machine() else { return };
    if !register_membarrier() {
        println!("could not run: the kernel does not offer membarrier");
        return;
    }
    let outcome = dekker(Fences::Asymmetric, MANY);
    println!("{outcome}");
    assert_eq!(outcome.violations, 0, "{outcome}");
}

/// Built with `--cfg leasehold_bug="barrier"` this is a control too: the library's barriers do nothing then. It takes an
/// optimised build to see it, for otherwise so many instructions stand between a span's store and its load that
/// the processor has no reason to swap them.
#[test]
fn a_span_is_never_torn_by_the_next_tenant() {
    let Some(_machine) = machine() else { return };
    let planted = cfg!(leasehold_bug = "barrier");
    if planted && cfg!(debug_assertions) {
        println!("could not run: the control needs an optimised build");
        return;
    }
    let (outcome, accesses) = spans_against_revocation(if planted { CONTROL } else { MANY });
    println!("{outcome}, {accesses:?}");
    assert!(accesses.granted > 0 && accesses.refused > 0, "the two sides never met: {accesses:?}");
    assert_eq!(outcome.violations > 0, planted, "{outcome}");
}
