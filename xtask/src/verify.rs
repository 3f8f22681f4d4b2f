//! The verification tools, each with the settings that make it find things here.

use std::error::Error;
use std::process::Command;

type Outcome = Result<(), Box<dyn Error>>;

/// Each set of flags rebuilds everything, so each has a target directory of its own.
fn cargo(mode: &str, arguments: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments.split_whitespace());
    command.current_dir(crate::root());
    command.env("CARGO_TARGET_DIR", crate::root().join("target").join(mode));
    command
}

fn succeed(command: &mut Command) -> Outcome {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}

/// Everything that takes no special build: unit, integration and documentation tests of all packages.
pub fn test() -> Outcome {
    succeed(
        Command::new("cargo")
            .args(["nextest", "run", "--workspace", "--all-features"])
            .current_dir(crate::root()),
    )?;
    let doc = ["test", "--quiet", "--doc", "--workspace", "--all-features"];
    succeed(Command::new("cargo").args(doc).current_dir(crate::root()))
}

pub fn loom() -> Outcome {
    succeed(
        cargo("loom", "nextest run --cargo-profile models -p leasehold --lib models")
            .env("RUSTFLAGS", "--cfg leasehold_loom")
            .env("LOOM_MAX_PREEMPTIONS", "3"),
    )
}

pub fn fences() -> Outcome {
    succeed(
        cargo("fences", "nextest run -p leasehold --all-features").env("RUSTFLAGS", "--cfg leasehold_fences"),
    )
}

/// Both aliasing models at once: the interpreter uses one processor.
pub fn miri(seeds: bool) -> Outcome {
    const TESTS: &str = "+nightly miri test -p leasehold --lib --test it";
    succeed(cargo("miri", TESTS).arg("--no-run"))?;
    let many = if seeds { "-Zmiri-many-seeds=0..16" } else { "" };
    let mut runs = Vec::new();
    for model in ["", "-Zmiri-tree-borrows"] {
        let flags = format!("-Zmiri-strict-provenance -Zmiri-symbolic-alignment-check {model} {many}");
        runs.push(cargo("miri", TESTS).arg("--quiet").env("MIRIFLAGS", flags).spawn()?);
    }
    for mut run in runs {
        if !run.wait()?.success() {
            return Err("miri found something; see above".into());
        }
    }
    Ok(())
}

const HOST: &str = "x86_64-unknown-linux-gnu";

pub fn sanitizer(name: &str) -> Outcome {
    // ThreadSanitizer has to see the standard library's own synchronisation.
    let std = if name == "thread" { "-Zbuild-std" } else { "" };
    let flags = format!("-Zsanitizer={name}");
    // ThreadSanitizer cannot follow a fork out of a process with threads.
    let skip = if name == "thread" { "-- --skip a_forked_child" } else { "" };
    let test = format!("+nightly test {std} --target {HOST} -p leasehold -p check-stress --tests {skip}");
    succeed(cargo(name, &test).env("RUSTFLAGS", &flags))
}

/// The stress program has to find the bug when a check of the core is left out; its test then passes only if it does.
pub fn bugs() -> Outcome {
    for bug in ["generation", "barrier", "pins"] {
        let mut stress = cargo("bugs", "nextest run --release -p check-stress");
        succeed(stress.env("RUSTFLAGS", format!("--cfg leasehold_bug=\"{bug}\"")))?;
        println!("planted bug \"{bug}\": found");
    }
    Ok(())
}

/// Each target for so many seconds.
pub fn fuzz(arguments: &[String]) -> Outcome {
    let seconds = arguments.first().map_or("30", String::as_str);
    for target in ["ops", "pool"] {
        let run = format!("+nightly fuzz run {target} -- -max_total_time={seconds}");
        let mut fuzz = Command::new("cargo");
        // Guards that are forgotten on purpose leak their buffers on purpose.
        fuzz.args(run.split_whitespace()).env("ASAN_OPTIONS", "detect_leaks=0");
        succeed(fuzz.current_dir(crate::root().join("fuzz")))?;
    }
    Ok(())
}
