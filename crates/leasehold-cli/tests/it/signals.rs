//! Ctrl-C and closed pipes.

#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::{Place, places};

fn signal(name: &str, child: &Child) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Starts a run that waits for more input after its first line.
fn waiting(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
    child
}

#[test]
fn ctrl_c_removes_the_temporary_file_and_exits_with_130() {
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let place = Place::new();
        let mut child = waiting(&place, &["embed", "-", "-o", "out.jsonl"]);
        while !place.names().iter().any(|name| name.ends_with(".part")) {
            thread::sleep(Duration::from_millis(1));
        }
        // Kept open, so that it is the signal that ends the run.
        let stdin = child.stdin.take();
        signal(name, &child);
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn what_a_killed_run_has_left_is_removed_by_the_next_one() {
    let place = Place::new();
    let arguments = ["embed", "-", "-o", "out.jsonl"];
    let parts = |place: &Place| place.names().iter().filter(|name| name.ends_with(".part")).count();
    let mut living = waiting(&place, &arguments);
    let mut killed = waiting(&place, &arguments);
    while parts(&place) < 2 {
        thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(parts(&place), 2);
    assert_eq!(place.run_with_input(&arguments, b"new\n").code, Some(0));
    assert_eq!(parts(&place), 1, "the living run keeps its own");
    drop(living.stdin.take());
    assert!(living.wait().unwrap().success());
    assert_eq!(place.names(), ["out.jsonl"]);
    let output = std::fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    assert!(output.starts_with("{\"text\":\"x\""), "{output}");
}

#[test]
fn what_the_last_step_of_a_killed_run_has_left_is_removed_by_the_resumed_one() {
    let place = Place::new();
    place.file(".out.parquet.1234567.0.part", "half of it");
    place.file(".out.parquet.part.state.next", "{");
    let run = place.run_with_input(&["embed", "-", "--resume", "-o", "out.parquet"], b"x\n");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(place.names(), ["out.parquet"]);
}

#[test]
fn parquet_and_arrow_are_gone_on_with_where_a_run_was_ended() {
    for name in ["out.parquet", "out.arrow"] {
        let place = Place::new();
        let arguments = ["embed", "-", "--resume", "-o", name];
        let mut child = waiting(&place, &arguments);
        let part = place.path().join(format!("{name}.part"));
        // The schema alone is shorter than a vector.
        while std::fs::metadata(&part).map_or(0, |part| part.len()) < 384 * 4 {
            thread::sleep(Duration::from_millis(1));
        }
        let stdin = child.stdin.take();
        signal("-INT", &child);
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
        drop(stdin);
        assert_eq!(place.names(), [format!("{name}.part"), format!("{name}.part.state")]);
        let state = std::fs::read_to_string(place.path().join(format!("{name}.part.state"))).unwrap();
        assert!(state.contains("\"documents\":1"), "{state}");
        let run = place.run_with_input(&arguments, b"x\ny\n\nz\n");
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
        assert_eq!(place.names(), [name]);
        // A run that was not ended writes as many bytes.
        let resumed = std::fs::metadata(place.path().join(name)).unwrap().len();
        let other = format!("other.{}", &name[4..]);
        place.run_with_input(&["embed", "-", "-o", &other], b"x\ny\n\nz\n");
        assert_eq!(std::fs::metadata(place.path().join(&other)).unwrap().len(), resumed);
        if name == "out.parquet" {
            let run = place.run(&["embed", name]);
            assert_eq!(places(&run.records()), [("x", name, 1), ("y", name, 2), ("z", name, 3)]);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_with_nohup_outlives_its_terminal() {
    let place = Place::new();
    let script = "trap '' HUP; exec \"$0\" embed - -o out.jsonl";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_leasehold")]).current_dir(place.path());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    while !place.names().iter().any(|name| name.ends_with(".part")) {
        thread::sleep(Duration::from_millis(1));
    }
    signal("-HUP", &child);
    child.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(place.names(), ["out.jsonl"]);
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let place = Place::new();
    // White space makes units small in tokens, and two lines as long as this fill one.
    place.file("a.txt", format!("x{}\n", " ".repeat(2000)).repeat(500));
    let mut command = place.command(&["embed", "a.txt", "--threads", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"text\":\"x "), "{line}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error_and_ends_nothing() {
    for arguments in [&["embed", "a.log"][..], &["embed", "a.log", "--no-map"]] {
        let place = Place::new();
        // A slow reader of the output keeps the run from reading all of it.
        let log = place.file("a.log", format!("x{}\n", " ".repeat(2000)).repeat(8000));
        let mut command = place.command(arguments);
        command.args(["--threads", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        std::fs::File::options().write(true).open(log).unwrap().set_len(0).unwrap();
        for line in output.lines() {
            assert!(line.unwrap().starts_with("{\"text\":\"x "));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said,
            "leasehold: a.log was cut while it was read; read a copy of it that nobody writes to\n"
        );
    }
}
