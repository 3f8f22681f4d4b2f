//! The stress program; see `README.md`.

use std::process::ExitCode;
use std::time::Duration;

use check_allocation::Counting;
use check_stress::{BudgetLimits, Limits, run, run_budget, run_soak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    match arguments.first().map(String::as_str) {
        Some("budget") => budget(number("--rents"), number("--seconds")),
        Some("soak") => {
            let judges_ram = !arguments.iter().any(|argument| argument == "--sanitizer");
            soak(number("--seconds"), judges_ram)
        }
        _ => {
            let expect_bug = arguments.iter().any(|argument| argument == "--expect-bug");
            readers(expect_bug, [number("--accesses"), number("--seconds"), number("--readers")])
        }
    }
}

/// Readers against revoke and re-rent.
fn readers(expect_bug: bool, [accesses, seconds, readers]: [Option<u64>; 3]) -> ExitCode {
    let limits = Limits {
        accesses: accesses.unwrap_or(if expect_bug { u64::MAX } else { 2_000_000 }),
        time: Duration::from_secs(seconds.unwrap_or(if expect_bug { 120 } else { 3600 })),
        stop_at_stale: expect_bug,
    };
    let report = run(limits, readers.map_or(2, |readers| readers as usize));
    println!(
        "{} accesses, {} stale bytes, {} refused, {} tenants",
        report.accesses, report.stale_bytes, report.refused, report.tenants
    );
    println!("{:?}", leasehold::counters());
    match (report.stale_bytes > 0, expect_bug) {
        (false, false) | (true, true) => ExitCode::SUCCESS,
        (true, false) => failure("stale bytes were seen"),
        (false, true) => failure("the bug was not found"),
    }
}

/// A budget that is always short.
fn budget(rents: Option<u64>, seconds: Option<u64>) -> ExitCode {
    let report = run_budget(BudgetLimits {
        rents: rents.unwrap_or(if seconds.is_some() { u64::MAX } else { 2_000_000 }),
        time: seconds.map(Duration::from_secs),
        patience: Some(Duration::from_secs(30)),
    });
    println!("{report:?}");
    if report.left > 0 { failure("rents are left") } else { ExitCode::SUCCESS }
}

/// Threads that come and go.
fn soak(seconds: Option<u64>, judges_ram: bool) -> ExitCode {
    let report = run_soak(Duration::from_secs(seconds.unwrap_or(60)));
    println!("{} threads, {} pools, {} rents", report.threads, report.pools, report.rents);
    println!("{:?}", leasehold::counters());
    if report.left != (0, 0) {
        return failure("rents are left");
    }
    if report.allocates_more() || judges_ram && report.grows() {
        return failure("memory grows");
    }
    ExitCode::SUCCESS
}

fn failure(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}
