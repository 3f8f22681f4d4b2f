//! Runs the litmus tests for longer than the tests do: `cargo run --release -p check-litmus [SECONDS]`, for each.

use std::process::ExitCode;
use std::time::Duration;

use check_litmus::{
    Fences, Limits, dekker, has_two_processors, register_membarrier, spans_against_revocation,
};

fn main() -> ExitCode {
    if !has_two_processors() {
        println!("could not run: the litmus tests need two processors");
        return ExitCode::SUCCESS;
    }
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    let limits = Limits { rounds: u64::MAX, time: Duration::from_secs(seconds), violations: u64::MAX };
    let control = dekker(Fences::Compiler, limits);
    println!("control, compiler fences only: {control} (there must be some)");
    let full = dekker(Fences::Full, limits);
    println!("full fences on both sides:     {full}");
    let mut sound = control.violations > 0 && full.violations == 0;
    if register_membarrier() {
        let asymmetric = dekker(Fences::Asymmetric, limits);
        println!("membarrier on one side:        {asymmetric}");
        sound &= asymmetric.violations == 0;
    } else {
        println!("membarrier on one side:        could not run: the kernel does not offer it");
    }
    let (leases, accesses) = spans_against_revocation(limits);
    println!(
        "spans against revocations:     {leases}; {} spans granted, {} refused",
        accesses.granted, accesses.refused
    );
    sound &= (leases.violations == 0) != cfg!(leasehold_bug = "barrier");
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
