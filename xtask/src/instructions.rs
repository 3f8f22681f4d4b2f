//! How many instructions each operation executes, counted by callgrind and compared exactly: the same on every machine and
//! under any load, so that a regression of one instruction is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::assembly::{build_probe, output};
use crate::root;

const FILE: &str = "checks/speed/instructions.txt";
/// The least of so many counts: what looks at the clock now and then executes more when it happens to see it move.
const RUNS: usize = 12;
/// As in the probe.
const TIMES: u64 = 1000;

/// `cargo xtask instructions [--bless] [--if-available]`
pub fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if let Some(reason) = missing() {
        println!("could not run: {reason}");
        return if has("--if-available") { Ok(()) } else { Err(reason.into()) };
    }
    let now = Counts {
        compiler: output(Command::new("rustc").arg("--version"))?.trim().to_owned(),
        rows: count_undisturbed()?,
    };
    if has("--bless") {
        fs::write(root().join(FILE), now.to_text())?;
        print!("{}", now.to_text());
        return Ok(());
    }
    let then =
        Counts::parse(&fs::read_to_string(root().join(FILE)).map_err(|error| format!("{FILE}: {error}"))?);
    if now.rows == then.rows {
        println!("{} operations execute exactly as many instructions as before", now.rows.len());
        return Ok(());
    }
    Err(difference(&then, &now).into())
}

/// Why it cannot run here, if it cannot.
fn missing() -> Option<&'static str> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Some("the counts are of x86-64 Linux");
    }
    let valgrind = Command::new("valgrind").arg("--version").output();
    valgrind.is_err().then_some("valgrind is not installed")
}

/// Names, and instructions of a thousand operations.
type Rows = BTreeMap<String, u64>;

#[derive(PartialEq, Eq, Debug)]
struct Counts {
    compiler: String,
    rows: Rows,
}

impl Counts {
    fn to_text(&self) -> String {
        let mut text = format!(
            "# Instructions of an operation, times {TIMES}; see the probe. Made with {}.\n",
            self.compiler
        );
        for (name, count) in &self.rows {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} {count}");
        }
        text
    }

    fn parse(text: &str) -> Counts {
        let compiler =
            text.lines().next().and_then(|line| line.split_once("Made with ")).map_or("", |(_, rest)| rest);
        let row = |line: &str| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect();
        Counts { compiler: compiler.trim_end_matches('.').to_owned(), rows }
    }
}

/// The fewest of some runs: on a busy machine a thread looks at the clock more often, between its rents.
fn count_undisturbed() -> Result<Rows, Box<dyn Error>> {
    let probe = build_probe()?;
    let workers = thread::available_parallelism()?.get();
    let work = |worker| -> Result<Vec<_>, String> {
        let runs = (worker..RUNS).step_by(workers);
        runs.map(|run| count(&probe, run).map_err(|error| error.to_string())).collect()
    };
    let counted = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for runs in counted {
        all.extend(runs.map_err(|_| "a worker panicked")??);
    }
    Ok(fewest(all))
}

/// The least count of each name.
fn fewest(runs: Vec<Rows>) -> Rows {
    let mut fewest = Rows::new();
    for (name, count) in runs.into_iter().flatten() {
        fewest.entry(name).and_modify(|least| *least = count.min(*least)).or_insert(count);
    }
    fewest
}

fn count(probe: &Path, run: usize) -> Result<Rows, Box<dyn Error>> {
    let report = probe.with_file_name(format!("probe-{}-{run}.callgrind", std::process::id()));
    let counted = callgrind(probe, &report);
    let text = fs::read_to_string(&report);
    // The report is of no use to anybody else; failing to remove it is no failure.
    let _ = fs::remove_file(&report);
    let printed = counted?;
    // Where membarrier is refused spans fence for real, which is another path with other counts.
    if !printed.contains("asymmetric: true") {
        return Err("membarrier is refused here, by the kernel or by valgrind, so the counts would be of the other mode".into());
    }
    let rows = calls(&text?);
    if rows.is_empty() { Err("the report names no counted function".into()) } else { Ok(rows) }
}

fn callgrind(probe: &Path, report: &Path) -> Result<String, Box<dyn Error>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--tool=callgrind",
        "--toggle-collect=count_*",
        "--compress-strings=no",
        "--compress-pos=no",
    ]);
    let mut file = std::ffi::OsString::from("--callgrind-out-file=");
    file.push(report);
    output(valgrind.arg(file).arg(probe))
}

/// What the calls of the counted functions cost, from the lines
/// ```text
/// cfn=count_span
/// calls=1 63
/// 72 53014
/// ```
fn calls(report: &str) -> Rows {
    let lines: Vec<&str> = report.lines().collect();
    let call = |triple: &[&str]| {
        let [function, calls, cost] = triple else { return None };
        let name = function.strip_prefix("cfn=count_")?;
        calls.strip_prefix("calls=1 ")?;
        Some((name.to_owned(), cost.split(' ').nth(1)?.parse().ok()?))
    };
    lines.windows(3).filter_map(call).collect()
}

fn difference(then: &Counts, now: &Counts) -> String {
    let names: BTreeSet<&String> = now.rows.keys().chain(then.rows.keys()).collect();
    let each = |count: Option<&u64>| {
        count.map_or("-".to_owned(), |count| format!("{}.{:03}", count / TIMES, count % TIMES))
    };
    let mut report = format!("instruction counts have changed\n  {:20} {:>10} {:>10}", "", "was", "is");
    for name in names {
        let (was, is) = (then.rows.get(name), now.rows.get(name));
        let mark = if was == is { ' ' } else { '!' };
        let _ = write!(report, "\n{mark} {name:20} {:>10} {:>10}", each(was), each(is));
    }
    if then.compiler != now.compiler {
        let _ = write!(report, "\nThe counts were made with {}, this is {}.", then.compiler, now.compiler);
    }
    report.push_str("\nIf this is meant, run cargo xtask instructions --bless.");
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(&str, u64)]) -> Rows {
        rows.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn calls_are_read_from_a_report() {
        let report = "fn=main\ncfn=count_span\ncalls=1 63 \n72 53014\ncfn=other\ncalls=1 2\n72 7\n";
        assert_eq!(calls(report), rows(&[("span", 53014)]));
    }

    #[test]
    fn the_least_counts_of_runs_are_found_by_name() {
        let runs = vec![rows(&[("span", 3), ("rent", 9)]), rows(&[("rent", 8), ("span", 4), ("stale", 1)])];
        assert_eq!(fewest(runs), rows(&[("span", 3), ("rent", 8), ("stale", 1)]));
    }

    #[test]
    fn what_is_written_is_read() {
        let counts = Counts { compiler: "rustc 1.95.0".into(), rows: rows(&[("span", 53014)]) };
        assert_eq!(Counts::parse(&counts.to_text()), counts);
    }

    #[test]
    fn a_difference_names_both_counts() {
        let counts = |count| Counts { compiler: "rustc".into(), rows: rows(&[("span", count)]) };
        let report = difference(&counts(53014), &counts(54014));
        assert!(report.contains("53.014") && report.contains("54.014"), "{report}");
    }
}
