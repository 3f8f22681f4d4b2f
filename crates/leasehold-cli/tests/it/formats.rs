//! Everything that can go in and come out.

use std::fs;

use crate::support::{Place, places};

#[test]
fn a_directory_gives_its_text_in_order_but_not_the_output_of_the_last_run() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("in/sub")).unwrap();
    place.file("in/b.txt", "two\n");
    place.file("in/a.md", "one\n");
    place.file("in/sub/c.jsonl", "{\"text\": \"three\"}\n");
    place.file("in/sub/picture", b"\0\x01\x02");
    for _ in 0..2 {
        let run = place.run(&["embed", "in", "-o", "in/out.jsonl"]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        let written = fs::read_to_string(place.path().join("in/out.jsonl")).unwrap();
        let records: Vec<_> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = [("one", "in/a.md", 1), ("two", "in/b.txt", 1), ("three", "in/sub/c.jsonl", 1)];
        assert_eq!(places(&records), expected);
    }
}

#[test]
fn a_quoted_pattern_is_matched_by_the_program() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("x/y")).unwrap();
    place.file("a.md", "one");
    place.file("x/y/b.md", "two");
    place.file("x/y/b.txt", "no");
    let run = place.run(&["embed", "**/*.md", "--by", "file"]);
    assert_eq!(places(&run.records()), [("one", "a.md", 1), ("two", "x/y/b.md", 1)]);
}

#[test]
fn tables_give_the_column_that_is_named() {
    let place = Place::new();
    place.file("a.csv", "id,text,title\n1,no,\"one, two\"\n");
    place.file("b.tsv", "title\tid\nthree\t2\n");
    let run = place.run(&["embed", "--field", "title", "a.csv", "b.tsv"]);
    assert_eq!(places(&run.records()), [("one, two", "a.csv", 2), ("three", "b.tsv", 2)]);
    let run = place.run(&["embed", "--field", "body", "a.csv"]);
    run.fails(1, "a.csv:1: no column \"body\"; name another with --field: id, text, title");
    let run = place.run_with_input(&["embed", "--from", "csv", "-"], b"id,text\n1,one\n");
    assert_eq!(places(&run.records()), [("one", "-", 2)]);
}

#[test]
fn parquet_that_was_written_can_be_read() {
    let place = Place::new();
    place.file("a.txt", "one\n\ntwo\n");
    assert_eq!(place.run(&["embed", "a.txt", "-o", "out.parquet"]).code, Some(0));
    let again = place.run(&["embed", "out.parquet"]);
    assert_eq!(places(&again.records()), [("one", "out.parquet", 1), ("two", "out.parquet", 2)]);
    place.run(&["embed", "--field", "line", "out.parquet"]).fails(1, "\"line\" holds INT64");
    place.run_with_input(&["embed", "--from", "parquet", "-"], b"").fails(1, "cannot be read from a stream");
}

#[test]
fn the_format_that_is_asked_for_goes_before_the_ending() {
    let place = Place::new();
    place.file("a.txt", "a text\n");
    assert_eq!(place.run(&["embed", "a.txt", "-o", "out.jsonl", "--format", "arrow"]).code, Some(0));
    assert_eq!(place.run(&["embed", "a.txt", "-o", "out.arrow"]).code, Some(0));
    let bytes = fs::read(place.path().join("out.jsonl")).unwrap();
    assert!(bytes.starts_with(b"ARROW1\0\0") && bytes.ends_with(b"ARROW1"));
    assert_eq!(bytes, fs::read(place.path().join("out.arrow")).unwrap());
    let terminal = place.run(&["embed", "a.txt", "--format", "terminal"]);
    assert!(terminal.out.starts_with("a.txt:1  a text "), "{}", terminal.out);
    assert!(terminal.out.ends_with(" ..  norm 1.000\n"), "{}", terminal.out);
    // What is no text cannot be looked at as text, but its beginning is known.
    let stream = place.command(&["embed", "a.txt", "--format", "arrows"]).output().unwrap();
    assert!(
        stream.stdout.starts_with(&[0xFF; 4])
            && stream.stdout.ends_with(&[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_every_format() {
    let place = Place::new();
    place.file("a.txt", "one\n");
    for format in ["jsonl", "npy", "parquet", "arrow", "arrows", "terminal"] {
        let run = place.run(&["embed", "a.txt", "-o", "/dev/full", "--format", format]);
        run.fails(1, "cannot write /dev/full: No space left on device");
    }
}
