//! What goes wrong gives a clear error and never a file that looks whole.

use std::fs;

use crate::support::Place;

#[test]
fn a_missing_file_is_named() {
    let place = Place::new();
    let run = place.run(&["embed", "missing.txt", "-o", "out.npy"]);
    run.fails(1, "leasehold: cannot open missing.txt: No such file or directory");
    assert!(place.names().is_empty());
}

#[test]
fn a_pattern_that_matches_nothing_is_named() {
    let place = Place::new();
    place.run(&["embed", "*.md", "-o", "out.npy"]).fails(1, "no file matches *.md");
    assert!(place.names().is_empty());
}

#[test]
fn compressed_input_that_is_cut_off_is_located_and_leaves_no_output() {
    let place = Place::new();
    // A member of gzip whose data breaks off behind its header.
    place.file("a.gz", b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x4B");
    let run = place.run(&["embed", "a.gz", "-o", "out.npy"]);
    run.fails(1, "a.gz: the compressed data is damaged or cut off behind 0 bytes of its content");
    assert_eq!(place.names(), ["a.gz"]);
}

#[test]
fn a_byte_that_is_not_utf_8_is_located_and_leaves_no_output() {
    let place = Place::new();
    place.file("a.txt", b"good\nbad \xFF\n");
    place.file("out.jsonl", "before");
    let run = place.run(&["embed", "a.txt", "-o", "out.jsonl"]);
    run.fails(1, "a.txt:2: the byte at offset 9 is not UTF-8");
    assert_eq!(place.names(), ["a.txt", "out.jsonl"]);
    assert_eq!(fs::read(place.path().join("out.jsonl")).unwrap(), b"before");
}

#[test]
fn a_parquet_file_that_is_cut_off_is_named() {
    let place = Place::new();
    place.file("a.txt", "one\n".repeat(20));
    assert_eq!(place.run(&["embed", "a.txt", "-o", "a.parquet"]).code, Some(0));
    let whole = fs::read(place.path().join("a.parquet")).unwrap();
    place.file("a.parquet", &whole[..whole.len() / 2]);
    let run = place.run(&["embed", "a.parquet", "-o", "out.npy"]);
    run.fails(1, "leasehold: a.parquet: ");
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert_eq!(place.names(), ["a.parquet", "a.txt"]);
}

#[test]
fn a_missing_or_broken_model_is_named() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    place.run(&["embed", "a.txt", "--model", "nowhere"]).fails(1, "nowhere/config.json is missing");
    fs::create_dir(place.path().join("model")).unwrap();
    place.file("model/config.json", "{\"model_type\": \"bert\"");
    let run = place.run(&["embed", "a.txt", "--model", "model", "-o", "out.npy"]);
    run.fails(1, "cannot use the model in model: model/config.json is broken");
    assert_eq!(place.names(), ["a.txt", "model"]);
}

#[test]
fn a_model_that_cannot_be_fetched_is_explained() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    let mut command = place.command(&["embed", "a.txt"]);
    command.env("LEASEHOLD_CACHE", place.path().join("cache"));
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("PATH", place.path());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["cannot fetch the model all-MiniLM-L6-v2", "from the hub: ", "cannot run python3"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(fs::read_dir(place.path().join("cache")).unwrap().count(), 1, "only the lock is left");
}

#[test]
fn wrong_arguments_exit_with_two() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    place.run(&["embed"]).fails(2, "INPUT");
    place.run(&["embed", "a.txt", "-o", "out.csv"]).fails(2, "does not say what to write");
    place.run(&["embed", "a.txt", "--format", "npy"]).fails(2, "name a file with --output");
    place.run(&["embed", "a.txt", "--from", "csv", "--by", "line"]).fails(2, "--by is for text");
    place.run(&["embed", "a.txt", "--from", "text", "--field", "f"]).fails(2, "text has no fields");
    place.run(&["embed", "a.txt", "--by", "page"]).fails(2, "line, paragraph, file");
    place.run(&["embed", "a.txt", "--field", "f", "--by", "line"]).fails(2, "cannot be used with");
    for threads in ["0", "1025", "18446744073709551615", "two"] {
        let run = place.run(&["embed", "a.txt", "--threads", threads]);
        run.fails(2, "'--threads <N>': it is no number of threads from 1 to 1024");
    }
    place.run(&["embed", "a.txt", "--memory", "much"]).fails(2, "is not a size such as 256MiB or 1G");
    place.run(&["embed", "a.txt", "--overlap", "3"]).fails(2, "--window");
    place.run(&["embed", "a.txt", "--window", "300"]).fails(1, "the model takes at most 256 tokens");
}

#[test]
fn an_output_directory_that_is_not_there_is_named() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    place.run(&["embed", "a.txt", "-o", "no/out.npy"]).fails(1, "cannot create no/out.npy");
    fs::create_dir(place.path().join("dir.npy")).unwrap();
    place.run(&["embed", "a.txt", "-o", "dir.npy"]).fails(1, "cannot create dir.npy: is a directory");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    place.file("b.txt", "There is one sentence in this file.\n");
    let commands: [&[&str]; 6] = [
        &["embed", "a.txt"],
        &["search", "one", "a.txt", "--no-cache"],
        &["summarize", "b.txt"],
        &["bench", "--seconds", "0.01", "--json"],
        &["model", "list"],
        &["completions", "bash"],
    ];
    for arguments in commands {
        let mut command = place.command(arguments);
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said.starts_with("leasehold: cannot write standard output: No space left"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_grows_too_large_is_removed() {
    let place = Place::new();
    place.file("a.txt", "one\ntwo\nthree\n");
    // A limit of one block, whose signal is ignored so that the write fails as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" embed a.txt -o out.npy";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_leasehold")]).current_dir(place.path());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write out.npy"), "{said}");
    assert_eq!(place.names(), ["a.txt"]);
}
