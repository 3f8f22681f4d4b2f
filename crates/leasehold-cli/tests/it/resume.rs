//! Runs that are ended and gone on with.

use std::{
    fs,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use crate::support::Place;

/// Lines that keep one thread busy for some seconds.
fn text() -> String {
    let line =
        |number| format!("line {number} {}\n", "of words that say nothing but take their time ".repeat(3));
    (0..500).map(line).collect()
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Documents that the state beside an output says are done.
fn documents(place: &Place, output: &str) -> u64 {
    let state = fs::read(place.path().join(format!("{output}.part.state"))).unwrap_or_default();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap_or_default();
    state["documents"].as_u64().unwrap_or(0)
}

/// Waits until more documents are done than there were, or the run has ended.
fn wait_for_more(place: &Place, output: &str, done: u64, child: &mut Child) {
    while child.try_wait().unwrap().is_none() && documents(place, output) <= done {
        // The run needs the processor more than this.
        thread::sleep(Duration::from_millis(2));
    }
}

/// Runs are killed up to so many times, and the one after them has to make what an undisturbed one does.
fn is_killed_again_and_again(output: &str, most: u32) {
    let place = Place::new();
    place.file("a.txt", text());
    let once = format!("once-{output}");
    assert_eq!(place.run(&["embed", "a.txt", "-o", &once, "--threads", "1"]).code, Some(0));
    let command = ["embed", "a.txt", "-o", output, "--threads", "1", "--resume"];
    let mut kills = 0;
    // Killed as soon as something new is noted, until a run is through before that.
    while kills < most {
        let done = documents(&place, output);
        let mut child = start(&place, &command);
        wait_for_more(&place, output, done, &mut child);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        // With SIGKILL, which leaves no time to clean up.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path().join(output).exists());
        kills += 1;
    }
    assert!(kills > 0, "it was never killed");
    let run = place.run(&command);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let same = fs::read(place.path().join(output)).unwrap() == fs::read(place.path().join(&once)).unwrap();
    assert!(same, "{output} after {kills} kills");
    assert_eq!(place.names(), ["a.txt", &once, output], "nothing else is left");
}

#[test]
fn lines_of_json_are_the_same_after_many_kills() {
    is_killed_again_and_again("out.jsonl", 4);
}

#[test]
fn an_array_is_the_same_after_many_kills() {
    is_killed_again_and_again("out.npy", 2);
}

#[test]
fn a_parquet_file_is_the_same_after_many_kills() {
    is_killed_again_and_again("out.parquet", 2);
}

#[test]
fn an_arrow_file_is_the_same_after_many_kills() {
    is_killed_again_and_again("out.arrow", 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done_and_the_next_run_must_be_the_same() {
    use std::process::Command;

    let place = Place::new();
    place.file("a.txt", text());
    let command = ["embed", "a.txt", "-o", "out.jsonl", "--threads", "1", "--resume"];
    let mut child = start(&place, &command);
    wait_for_more(&place, "out.jsonl", 0, &mut child);
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(place.names(), ["a.txt", "out.jsonl.part", "out.jsonl.part.state"]);
    let with = |more: &[&str]| place.run(&[&command[..], more].concat());
    with(&["--precision", "int8"]).fails(1, "it had --precision f32");
    with(&["--window", "64"]).fails(1, "it had no --window");
    with(&["--by", "line"]).fails(1, "it had no --by");
    let whole = fs::read(place.path().join("a.txt")).unwrap();
    place.file("a.txt", &whole[..whole.len() - 1]);
    with(&[]).fails(1, "an input was added, removed or changed");
    // Without --resume the output is made anew, and what was kept stays.
    place.file("b.txt", "one\n");
    assert_eq!(place.run(&["embed", "b.txt", "-o", "out.jsonl"]).code, Some(0));
    assert_eq!(place.names(), ["a.txt", "b.txt", "out.jsonl", "out.jsonl.part", "out.jsonl.part.state"]);
}

#[cfg(unix)]
#[test]
fn a_part_that_a_link_puts_among_the_inputs_is_not_read() {
    let place = Place::new();
    fs::create_dir(place.path().join("notes")).unwrap();
    place.file("notes/a.txt", "one\n");
    place.file("notes/out.jsonl", "");
    std::os::unix::fs::symlink("notes/out.jsonl", place.path().join("link.jsonl")).unwrap();
    let run = place.run(&["embed", "notes", "-o", "link.jsonl", "--resume"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let records = fs::read_to_string(place.path().join("notes/out.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 1, "{records}");
}

#[test]
fn standard_input_is_given_again_from_its_start() {
    let place = Place::new();
    let command = ["embed", "-", "-o", "out.jsonl", "--resume"];
    let cut = place.run_with_input(&command, b"one\ntwo\n\xFF\n");
    cut.fails(1, "-:3: the byte at offset 8 is not UTF-8");
    assert_eq!(place.names(), ["out.jsonl.part", "out.jsonl.part.state"]);
    let run = place.run_with_input(&command, b"one\ntwo\nthree\n");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let records = fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    let texts = |record: &str| serde_json::from_str::<serde_json::Value>(record).unwrap()["text"].clone();
    assert_eq!(records.lines().map(texts).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(place.names(), ["out.jsonl"]);
}

#[test]
fn what_cannot_be_resumed_is_said() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    place.run(&["embed", "a.txt", "--resume"]).fails(2, "standard output cannot be resumed");
    let run = place.run(&["embed", "a.txt", "-o", "out.txt", "--format", "terminal", "--resume"]);
    run.fails(1, "this output format cannot be resumed");
    place.file("out.npy.part", "somebody's");
    let run = place.run(&["embed", "a.txt", "-o", "out.npy", "--resume"]);
    run.fails(1, "out.npy.part is in the way");
    assert_eq!(place.names(), ["a.txt", "out.npy.part"]);
}
