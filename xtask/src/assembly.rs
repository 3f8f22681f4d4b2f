//! The instructions that a warm call of each hot path executes, compared with a checked-in snapshot.
//!
//! The probe steps through one call of each function and says which instructions were executed; the disassembler says
//! what they are. So the snapshot is what happens, not what a reader of the code believes to be the likely way.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::root;

/// `cargo xtask assembly [--bless]`
pub fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        println!("skipped: the assembly snapshot is of x86-64 Linux");
        return Ok(());
    }
    let bless = arguments.iter().any(|argument| argument == "--bless");
    let probe = build_probe()?;
    let listing =
        output(Command::new("objdump").args(["-d", "--no-show-raw-insn", "-M", "intel"]).arg(&probe))?;
    let functions = functions(&listing);
    let trace = output(Command::new(&probe).arg("trace"))?;
    let mut faults = Vec::new();
    for line in trace.lines() {
        let (name, steps) = line.split_once(' ').ok_or("a line of the trace has no steps")?;
        let function = functions.get(name).ok_or_else(|| format!("{name} is not in the binary"))?;
        let path = executed(function, steps)?;
        faults.extend(forbidden(name, &path));
        faults.extend(compare(name, &path, bless)?);
    }
    if !faults.is_empty() {
        return Err(format!(
            "{}\nIf this is meant, run cargo xtask assembly --bless. The snapshot was made with the compiler that \
             instructions.txt names.",
            faults.join("\n")
        )
        .into());
    }
    println!("no call and no locked instruction on {} hot paths", trace.lines().count());
    Ok(())
}

/// Builds the probe as users build: the release profile, without flags of this machine.
pub(crate) fn build_probe() -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "check-speed", "--bin", "probe"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    cargo.current_dir(root()).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.stderr(std::process::Stdio::inherit());
    let messages = output(&mut cargo)?;
    let path = messages.lines().filter_map(|line| line.split_once("\"executable\":\"")).next_back();
    let path = path.and_then(|(_, rest)| rest.split_once('"')).ok_or("cargo names no executable")?.0;
    Ok(PathBuf::from(path))
}

/// What a command prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let result = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        return Err(format!("{:?}: {}\n{said}", command.get_program(), result.status).into());
    }
    Ok(String::from_utf8(result.stdout)?)
}

/// The instructions of a function by their distance from its start.
type Function<'a> = BTreeMap<u64, &'a str>;

/// The probes in a listing.
fn functions(listing: &str) -> HashMap<&str, Function<'_>> {
    let mut functions = HashMap::new();
    for part in listing.split("\n\n") {
        let mut lines = part.lines().skip_while(|line| !line.contains(" <probe_"));
        let Some((start, name)) = lines.next().and_then(heading) else { continue };
        let function = lines.filter_map(|line| {
            let (address, instruction) = line.split_once(":\t")?;
            let address = u64::from_str_radix(address.trim(), 16).ok()?;
            Some((address - start, instruction.trim()))
        });
        functions.insert(name, function.collect());
    }
    functions
}

/// `0000000000028090 <probe_span>:`
fn heading(line: &str) -> Option<(u64, &str)> {
    let (address, name) = line.split_once(" <")?;
    Some((u64::from_str_radix(address, 16).ok()?, name.strip_suffix(">:")?))
}

/// The executed instructions, each in its lasting form.
fn executed(function: &Function<'_>, steps: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut path = Vec::new();
    for step in steps.split_whitespace() {
        let distance = u64::from_str_radix(step, 16)?;
        // Another function's, after a call, which is on the path itself; or the caller's, after the return.
        let Some(instruction) = function.get(&distance) else { continue };
        path.push(lasting(instruction));
        if instruction.starts_with("ret") {
            return Ok(path);
        }
    }
    Err("the trace ends before the function does".into())
}

/// An instruction without what changes when the program is laid out differently: targets of jumps, distances of data,
/// places of thread-locals.
fn lasting(instruction: &str) -> String {
    let instruction = instruction.split('#').next().unwrap_or_default().trim();
    let (name, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
    let operands = operands.trim();
    if name.starts_with('j') {
        return name.to_owned();
    }
    let mut lasting = format!("{name} ");
    let mut rest = operands;
    while let Some(at) = rest.find("0x") {
        let digits =
            rest[at + 2..].find(|c: char| !c.is_ascii_hexdigit()).map_or(rest.len(), |end| at + 2 + end);
        let number = &rest[at + 2..digits];
        let moves = rest[..at].ends_with("rip+") || is_place_of_thread_local(number);
        lasting.push_str(&rest[..at]);
        lasting.push_str(if moves { "_" } else { &rest[at..digits] });
        rest = &rest[digits..];
    }
    lasting.push_str(rest);
    lasting.trim_end().to_owned()
}

/// Thread-locals lie a little below the thread pointer. Masks that clear a few low bits look similar, and are nearer to zero.
fn is_place_of_thread_local(number: &str) -> bool {
    let value = u64::from_str_radix(number, 16).unwrap_or(0).cast_signed();
    (-0x10000..-0x20).contains(&value)
}

/// What must not be on a hot path.
fn forbidden(name: &str, path: &[String]) -> Vec<String> {
    let is_forbidden = |instruction: &&String| {
        let mut words = instruction.split_whitespace();
        let first = words.next().unwrap_or_default();
        // An exchange with memory locks without saying so.
        let locks = first == "lock" || first == "mfence" || (first == "xchg" && instruction.contains('['));
        first == "call" || locks
    };
    path.iter().filter(is_forbidden).map(|instruction| format!("{name} executes: {instruction}")).collect()
}

fn compare(name: &str, path: &[String], bless: bool) -> Result<Option<String>, Box<dyn Error>> {
    let file = root().join("checks/speed/assembly").join(format!("{name}.s"));
    let mut now = path.join("\n");
    now.push('\n');
    if bless {
        fs::write(&file, now)?;
        println!("{name}: {} instructions", path.len());
        return Ok(None);
    }
    let then = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if now == then {
        println!("{name}: {} instructions, as before", path.len());
        return Ok(None);
    }
    let mut report = format!("{name} has changed:");
    let (then, now): (Vec<_>, Vec<_>) = (then.lines().collect(), now.lines().collect());
    for line in 0..then.len().max(now.len()) {
        let [then, now] = [&then, &now].map(|side| side.get(line).copied().unwrap_or_default());
        write!(report, "\n  {} {then:44} {now}", if then == now { ' ' } else { '!' })?;
    }
    Ok(Some(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_layout_decides_is_erased() {
        assert_eq!(lasting("jne    2811f <probe_span+0x8f>"), "jne");
        assert_eq!(lasting("mov    rax,0xffffffffffffff40"), "mov rax,_");
        assert_eq!(lasting("and    rdx,0xfffffffffffffff8"), "and rdx,0xfffffffffffffff8");
        assert_eq!(lasting("mov    r13,0xffffffffffffffff"), "mov r13,0xffffffffffffffff");
        assert_eq!(
            lasting("cmp    rax,QWORD PTR [rip+0x397b2]        # 61528 <_DYNAMIC+0x5c0>"),
            "cmp rax,QWORD PTR [rip+_]"
        );
        assert_eq!(lasting("mov    rcx,QWORD PTR [rbx+0x8]"), "mov rcx,QWORD PTR [rbx+0x8]");
        assert_eq!(lasting("ret"), "ret");
    }

    #[test]
    fn calls_and_locks_are_found() {
        let path = [
            "call QWORD PTR [rip+_]",
            "lock inc QWORD PTR [rax]",
            "xchg QWORD PTR [rax],rcx",
            "xchg ax,ax",
            "mov rax,rcx",
        ];
        let path = path.map(str::to_owned);
        assert_eq!(forbidden("probe", &path).len(), 3);
    }

    #[test]
    fn only_the_steps_within_the_function_count() {
        let function = BTreeMap::from([(0, "push   rbx"), (1, "call   2000 <other>"), (6, "ret")]);
        let path = executed(&function, "0 1 ffffffffffff6d50 6 ffffffffffff0000").unwrap();
        assert_eq!(path, ["push rbx", "call 2000 <other>", "ret"]);
    }
}
