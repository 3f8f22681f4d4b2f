//! The stress program; see `README.md`.

use std::process::ExitCode;
use std::time::Duration;

use check_stress::{Limits, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let expect_bug = arguments.iter().any(|argument| argument == "--expect-bug");
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let limits = Limits {
        accesses: number("--accesses").unwrap_or(if expect_bug { u64::MAX } else { 2_000_000 }),
        time: Duration::from_secs(number("--seconds").unwrap_or(if expect_bug { 120 } else { 3600 })),
        stop_at_stale: expect_bug,
    };
    let report = run(limits, number("--readers").map_or(2, |readers| readers as usize));
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

fn failure(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}
