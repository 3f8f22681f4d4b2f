//! The verification tools, each with the settings that make it find things here.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::{LIBRARIES, meetings, root};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Each set of flags rebuilds everything, so each has a target directory of its own.
pub(crate) fn cargo(mode: &str, arguments: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments.split_whitespace());
    command.current_dir(root());
    command.env("CARGO_TARGET_DIR", root().join("target").join(mode));
    command
}

pub(crate) fn succeed(command: &mut Command) -> Outcome {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}

/// Everything that takes no special build: unit, integration and documentation tests of all packages.
pub fn test() -> Outcome {
    succeed(
        Command::new("cargo").args(["nextest", "run", "--workspace", "--all-features"]).current_dir(root()),
    )?;
    let doc = ["test", "--quiet", "--doc", "--workspace", "--all-features"];
    succeed(Command::new("cargo").args(doc).current_dir(root()))
}

/// Each published crate without features, with each of them alone, and with all together: compiled, or with `--test` the tests
/// of the libraries, those of their documentation included. Clippy denies warnings of ours only, so what others have written is
/// compiled once for this and for what comes before it.
pub fn features(arguments: &[String]) -> Outcome {
    let (command, packages, denied): (_, &[&str], &[&str]) = match arguments {
        [] => ("clippy", &["leasehold-cli"], &["--", "-D", "warnings"]),
        [option] if option == "--test" => ("test", &[], &[]),
        other => return Err(format!("features takes --test, not {other:?}").into()),
    };
    let mut hack = Command::new("cargo");
    hack.args(["hack", command, "--quiet", "--each-feature"]).current_dir(root());
    for package in LIBRARIES.iter().chain(packages) {
        hack.args(["-p", package]);
    }
    succeed(hack.args(denied))
}

/// The models of spans and leases, in either mode of their fences, and all others.
pub fn loom() -> Outcome {
    LOOM.iter().try_for_each(|mode| succeed(mode.models(&mut cargo("loom", LOOM_TESTS))?))
}

/// How the fences of readers are in models.
pub(crate) struct LoomMode {
    cfg: Option<&'static str>,
    /// Which models there are in it.
    filter: &'static str,
}

pub(crate) const LOOM: [LoomMode; 2] = [
    LoomMode { cfg: None, filter: "models" },
    // Nothing else fences, and caches are closed.
    LoomMode { cfg: Some("leasehold_fences"), filter: "raw::models" },
];
pub(crate) const LOOM_TESTS: &str = "nextest run --cargo-profile models -p leasehold --lib";

impl LoomMode {
    pub(crate) fn models<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command, Box<dyn Error>> {
        command.arg(self.filter).env("RUSTFLAGS", "--cfg leasehold_loom").env("LOOM_MAX_PREEMPTIONS", "3");
        match self.cfg {
            Some(cfg) => with_cfg(command, "loom-fences", cfg),
            None => Ok(command),
        }
    }
}

pub fn fences() -> Outcome {
    let mut tests = Command::new("cargo");
    tests.args(["nextest", "run", "-p", "leasehold", "--all-features"]).current_dir(root());
    succeed(with_cfg(&mut tests, "fences", "leasehold_fences")?)
}

/// Has our own packages built with a `cfg`, and those of others as all builds have them. Cargo tells builds apart by the path
/// of the wrapper.
fn with_cfg<'a>(command: &'a mut Command, name: &str, cfg: &str) -> Result<&'a mut Command, Box<dyn Error>> {
    let folder = root().join("target/cfg");
    let wrapper = folder.join(name);
    let text = format!("#!/bin/sh\nexec \"$@\" --cfg '{cfg}'\n");
    // Cargo looks at its age too.
    if fs::read_to_string(&wrapper).ok().as_deref() != Some(&text) {
        fs::create_dir_all(&folder)?;
        fs::write(&wrapper, text)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    }
    Ok(command.env("RUSTC_WORKSPACE_WRAPPER", wrapper))
}

/// Parts of the integration tests that miri runs in processes of their own: what a process has done slows down what it does
/// later, and two run at a time. Of the accessors after each way to end a lease, it runs each accessor after one, and one after
/// each.
const MIRI_PARTS: [&[&str]; 7] = [
    &[
        "::revoke_and_take",
        "::span::",
        "after_revocation::a_",
        "after_revocation::an_",
        "after_revocation::handles_",
    ],
    &["sequence::"],
    &["pipe::"],
    &["cast::", "windows::", "writer::"],
    &["pitfalls::"],
    &["pool::"],
    &["ending::"],
];
/// What the first part leaves out.
const MIRI_LEFT_OUT: [&[&str]; 1] = [&["after_revocation::"]];
/// Parts that take long and add little to the others; left out of the gate.
const MIRI_LONG_PARTS: [&[&str]; 1] =
    [&["pool_figures::", "pool_memory::", "pool_promises::", "pool_threads::"]];

/// Packages with the features that hand memory to other crates, and the tests of that.
const MIRI_EXCHANGE: [(&str, &[&str]); 3] = [
    ("leasehold --features bytes,tokio,serde", &["interop::"]),
    ("leasehold-interop --features arrow-buffer,dlpack,futures-io,half,ndarray,safetensors", &[]),
    ("leasehold-io --features compio-buf,monoio", &["compio::", "the_traits"]),
];

const MIRI_FLAGS: &str = "-Zmiri-strict-provenance -Zmiri-symbolic-alignment-check";
const MIRI_MODELS: [&str; 2] = ["", "-Zmiri-tree-borrows"];

/// Both aliasing models: the interpreter uses one processor.
pub fn miri(arguments: &[String]) -> Outcome {
    match arguments {
        [] => miri_once(),
        [option, rest @ ..] if option == "--seeds" => miri_seeds(rest),
        other => Err(format!("miri takes --seeds, a range like 0..16 and modules, not {other:?}").into()),
    }
}

fn miri_once() -> Outcome {
    const LIBRARY: &str = "+nightly miri test -p leasehold --lib --quiet";
    const TESTS: &str = "+nightly miri test -p leasehold --test it --quiet -- --exact";
    succeed(cargo("miri", LIBRARY).arg("--no-run"))?;
    succeed(&mut cargo("miri", "+nightly miri test -p leasehold --test it --no-run"))?;
    let exchange = |package| cargo("miri", &format!("+nightly miri test -p {package} --test it --quiet"));
    for (package, _) in MIRI_EXCHANGE {
        succeed(exchange(package).arg("--no-run"))?;
    }
    let mut runs = Vec::new();
    for (package, filters) in MIRI_EXCHANGE {
        let mut run = exchange(package);
        // Other crates align their reads by looking at addresses, so alignment is not symbolic here.
        run.arg("--").args(filters).env("MIRIFLAGS", "-Zmiri-strict-provenance");
        runs.push((package.to_owned(), run));
    }
    let listed = listed_tests(TESTS)?;
    // As the test program would understand these filters.
    let is_of = |part: &[&str], test: &String| part.iter().any(|filter| test.contains(filter));
    let apart: Vec<_> = [&MIRI_PARTS[..], &MIRI_LEFT_OUT, &MIRI_LONG_PARTS].concat().concat();
    for model in MIRI_MODELS {
        let mut add = |name: &str, mut run: Command| {
            run.env("MIRIFLAGS", format!("{MIRI_FLAGS} {model}"));
            runs.push((format!("{name} {model}"), run));
        };
        for part in MIRI_PARTS {
            add(part[0], exactly(TESTS, &listed, |test| is_of(part, test))?);
        }
        add("all others", exactly(TESTS, &listed, |test| !is_of(&apart, test))?);
        add("library", cargo("miri", LIBRARY));
    }
    at_the_same_time(runs)
}

/// What depends on the seed: those tests in which threads meet or addresses come again. The interpreter runs as many seeds at a
/// time as there are processors.
fn miri_seeds(arguments: &[String]) -> Outcome {
    let (range, modules) =
        arguments.split_first().map_or(("0..16", arguments), |(range, rest)| (range, rest));
    let begun = Instant::now();
    for (module, tests) in meetings::by_module(&root().join("crates/leasehold/tests/it"))? {
        if !modules.is_empty() && !modules.contains(&module) {
            continue;
        }
        let (features, flags) = if module == "interop" {
            ("--features bytes", "-Zmiri-strict-provenance")
        } else {
            ("", MIRI_FLAGS)
        };
        let run = format!("+nightly miri test -p leasehold {features} --test it --quiet -- --exact");
        let of_module = format!("{module}::");
        let listed = listed_tests(&run)?;
        let is_wanted =
            |name: &String| name.starts_with(&of_module) && tests.iter().any(|test| name.contains(test));
        let count = listed.iter().filter(|name| is_wanted(name)).count();
        for model in MIRI_MODELS {
            let start = begun.elapsed();
            let mut run = exactly(&run, &listed, is_wanted)?;
            run.env("MIRIFLAGS", format!("{flags} {model} -Zmiri-many-seeds={range}"));
            succeed(run.stdout(Stdio::null()))?;
            let seconds = (begun.elapsed() - start).as_secs();
            println!("{module} {model}: seeds {range}, {count} tests, {seconds} s");
        }
    }
    Ok(())
}

/// Runs the listed tests that are wanted, by their full names: `command` ends with `--exact`. With these the interpreter finds them
/// in a moment; to look for a part of a name in all names takes it longer than many a test.
fn exactly(
    command: &str,
    listed: &[String],
    is_wanted: impl Fn(&String) -> bool,
) -> Result<Command, Box<dyn Error>> {
    let mut run = cargo("miri", command);
    let unnamed = run.get_args().count();
    run.args(listed.iter().filter(|test| is_wanted(test)));
    // Without a name it would run all.
    if run.get_args().count() == unnamed { Err("a part of the tests has none".into()) } else { Ok(run) }
}

/// The full names of the tests that a command runs.
fn listed_tests(command: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut list = cargo("miri", command);
    list.args(["--list", "--format", "terse"]).stderr(Stdio::inherit());
    let output = list.output()?;
    if !output.status.success() {
        return Err(format!("{list:?} failed").into());
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs named commands, as many at a time as there are processors.
fn at_the_same_time(commands: Vec<(String, Command)>) -> Outcome {
    let workers = thread::available_parallelism()?.get();
    let commands = Mutex::new(commands.into_iter());
    let next = || commands.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = |(name, mut command): (String, Command)| {
        let start = Instant::now();
        succeed(&mut command).map_err(|error| error.to_string())?;
        println!("{name}: {} s", start.elapsed().as_secs());
        Ok::<(), String>(())
    };
    let work = || std::iter::from_fn(next).try_for_each(run);
    let results = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    for result in results {
        result.map_err(|_| "a worker panicked")??;
    }
    Ok(())
}

const HOST: &str = "x86_64-unknown-linux-gnu";

/// What other crates leak, for LeakSanitizer: monoio's driver a few bytes whenever one is made.
const LEAKS_OF_OTHERS: &str = "leak:monoio::driver::uring::IoUringDriver\n";

/// `cargo xtask tsan [--soak SECONDS]`, and `asan`.
pub fn sanitizer(name: &str, arguments: &[String]) -> Outcome {
    // ThreadSanitizer has to see the standard library's own synchronisation.
    let std = if name == "thread" { "-Zbuild-std" } else { "" };
    let build = format!("{std} --target {HOST}");
    let folder = root().join("target");
    let leaks = folder.join("leaks-of-others");
    fs::create_dir_all(folder)?;
    fs::write(&leaks, LEAKS_OF_OTHERS)?;
    let run = |command: &str| {
        let mut run = cargo(name, command);
        run.env("RUSTFLAGS", format!("-Zsanitizer={name}"));
        run.env("LSAN_OPTIONS", format!("print_suppressions=0:suppressions={}", leaks.display()));
        run
    };
    match arguments {
        [] => {}
        [option, seconds] if option == "--soak" => {
            let soak = format!("soak --sanitizer --seconds {seconds}");
            let soak = format!("+nightly run {build} --release -p check-stress -- {soak}");
            return succeed(&mut run(&soak));
        }
        other => return Err(format!("a sanitizer takes --soak and seconds, not {other:?}").into()),
    }
    // ThreadSanitizer cannot follow a fork out of a process with threads.
    let skip = if name == "thread" { "-- --skip a_forked_child" } else { "" };
    // Nor does it see what the kernel writes.
    let more = if name == "address" { "-p leasehold-interop -p leasehold-io" } else { "" };
    let packages = format!("-p leasehold -p check-stress {more} --all-features");
    succeed(&mut run(&format!("+nightly test {build} {packages} --tests {skip}")))
}

/// Tests of what the emulator cannot do: it starts no other emulated process unless the system has been told of it, and makes up
/// what the kernel notes of a process's memory.
const NOT_EMULATED: [&str; 10] = [
    "another_process_reads",
    "backing::lock",
    "released_memory_goes_back",
    "guard_pages::",
    "pitfalls::linux::",
    "pitfall_10_",
    "pitfall_11_",
    "a_span_leaked_",
    "a_forked_child",
    "forked::",
];

/// The core's tests, and those of the model, on 64-bit ARM, emulated. The emulator hands `membarrier` on to the kernel.
pub fn arm() -> Outcome {
    const TARGET: &str = "aarch64-unknown-linux-gnu";
    const TESTS: &str = "test --target aarch64-unknown-linux-gnu --lib --test it --quiet";
    // The formats are the same on every processor, and what they depend on takes long to build.
    const MODEL: &str =
        "-p leasehold-pipeline --no-default-features -- model:: family:: search:: summarize::";
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output()?.stdout;
    if !String::from_utf8_lossy(&installed).lines().any(|target| target == TARGET) {
        return Err(
            format!("this needs: rustup target add {TARGET}, gcc-aarch64-linux-gnu and qemu-user").into()
        );
    }
    let run = |arguments: &str| {
        let mut run = cargo("arm", &format!("{TESTS} {arguments}"));
        run.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu");
        run
    };
    let skipped = NOT_EMULATED.iter().flat_map(|test| ["--skip", test]);
    succeed(run("-p leasehold --").args(skipped))?;
    succeed(&mut run(MODEL))
}

/// The stress program has to find the bug when a check of the core is left out; its test then passes only if it does.
pub fn bugs() -> Outcome {
    for bug in ["generation", "barrier", "pins"] {
        let mut stress = Command::new("cargo");
        stress.args([
            "nextest",
            "run",
            "--cargo-profile",
            "models",
            "-p",
            "check-stress",
            "--test",
            "stress",
        ]);
        stress.current_dir(root());
        succeed(with_cfg(&mut stress, bug, &format!("leasehold_bug=\"{bug}\""))?)?;
        println!("planted bug \"{bug}\": found");
    }
    Ok(())
}

/// Each target for so many seconds.
pub fn fuzz(arguments: &[String]) -> Outcome {
    let seconds = arguments.first().map_or("30", String::as_str);
    for target in ["ops", "pool", "sequence", "pipe"] {
        let run = format!("+nightly fuzz run {target} -- -max_total_time={seconds}");
        let mut fuzz = Command::new("cargo");
        // Guards that are forgotten on purpose leak their buffers on purpose.
        fuzz.args(run.split_whitespace()).env("ASAN_OPTIONS", "detect_leaks=0");
        succeed(fuzz.current_dir(root().join("fuzz")))?;
    }
    Ok(())
}
