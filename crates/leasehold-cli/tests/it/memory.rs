//! How much memory a run takes.

#![cfg(target_os = "linux")]

use std::{fs, io::Write, process::Stdio};

use crate::support::Place;

/// The most memory, in KiB, that a run had which read so many mebibytes of standard input: few passages, and much between
/// them, since a model is slow; always the same ones, since each new word touches a page of the mapped model.
fn peak_of(mebibytes: usize, output: &str) -> u64 {
    let place = Place::new();
    let mut command = place.command(&["embed", "-", "-o", output, "--precision", "int8", "--threads", "1"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let blank = "\n".repeat((1 << 20) / 8);
    for part in 0..mebibytes * 8 {
        writeln!(input, "passage {}", part % 16).unwrap();
        input.write_all(blank.as_bytes()).unwrap();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn it_does_not_grow_with_a_stream() {
    for output in ["out.jsonl", "out.npy", "out.parquet", "out.arrow"] {
        let (small, large) = (peak_of(8, output), peak_of(96, output));
        assert!(large < small + (8 << 10), "{output}: {small} KiB for 8 MiB, {large} KiB for 96 MiB");
    }
}
