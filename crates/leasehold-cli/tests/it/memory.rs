//! How much memory a run takes.

#![cfg(target_os = "linux")]

use std::{fs, io::Write, process::Stdio, thread, time::Duration};

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
    drop(input);
    let mut peak = None;
    // A process that has ended but was not waited for has a status without memory.
    while let Some(kibibytes) = peak_so_far(child.id()) {
        peak = Some(kibibytes);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    peak.unwrap()
}

fn peak_so_far(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse().unwrap())
}

/// A quarter of what it has read more: how far its threads get ahead of each other, and huge pages, make up some. The first 32
/// mebibytes fill what lies between the threads.
fn does_not_grow(output: &str) {
    let (small, large) = (peak_of(32, output), peak_of(96, output));
    assert!(large < small + (16 << 10), "{output}: {small} KiB for 32 MiB, {large} KiB for 96 MiB");
}

#[test]
fn it_does_not_grow_with_a_stream_into_lines_of_json() {
    does_not_grow("out.jsonl");
}

#[test]
fn it_does_not_grow_with_a_stream_into_an_array() {
    does_not_grow("out.npy");
}

#[test]
fn it_does_not_grow_with_a_stream_into_a_parquet_file() {
    does_not_grow("out.parquet");
}

#[test]
fn it_does_not_grow_with_a_stream_into_an_arrow_file() {
    does_not_grow("out.arrow");
}
