//! Text that is not UTF-8, through the program.

use std::fs;

use crate::support::{Place, places};

const DAMAGED: &[u8] = b"one\ncaf\xE9 au lait\nthree\n";

#[test]
fn lines_are_replaced_or_left_out_and_the_end_says_how_many() {
    let place = Place::new();
    place.file("a.txt", DAMAGED);
    let run = place.run(&["embed", "a.txt", "--invalid", "replace", "-o", "out.jsonl"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(run.err, "leasehold: 1 text was not UTF-8; what was wrong has been replaced by U+FFFD\n");
    let records = fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    let records: Vec<_> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        places(&records),
        [("one", "a.txt", 1), ("caf\u{FFFD} au lait", "a.txt", 2), ("three", "a.txt", 3)]
    );
    place.file("b.txt", b"\xFF\ntwo\n\xFE\n");
    let run = place.run(&["embed", "b.txt", "--invalid", "skip", "-o", "out.jsonl"]);
    assert_eq!(run.err, "leasehold: 2 texts were left out, because of bytes that are not UTF-8\n");
    assert_eq!(fs::read_to_string(place.path().join("out.jsonl")).unwrap().lines().count(), 1);
    // Of sound text nothing is said.
    let run = place.run(&["embed", "out.jsonl", "--invalid", "skip"]);
    assert_eq!(run.records().len(), 1);
    place.run(&["embed", "a.txt"]).fails(1, "--invalid replace");
    place.run(&["embed", "a.txt", "--invalid", "drop"]).fails(2, "error, replace, skip");
}

#[test]
fn a_sentence_behind_damage_has_its_bytes_in_the_input() {
    let place = Place::new();
    let text = b"\xFF\xFE\xFF. The caf\xE9 opens at night. Owls are its best guests of all.\n";
    place.file("a.txt", text);
    let run = place.run(&["summarize", "a.txt", "--invalid", "replace", "--json", "-n", "2"]);
    assert!(run.err.contains("1 text was not UTF-8"), "{}", run.err);
    let sentences: Vec<serde_json::Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sentences.len(), 2);
    for sentence in sentences {
        let range = sentence["start"].as_u64().unwrap() as usize..sentence["end"].as_u64().unwrap() as usize;
        assert_eq!(String::from_utf8_lossy(&text[range]), sentence["sentence"].as_str().unwrap());
    }
}

#[test]
fn a_search_finds_what_was_repaired() {
    let place = Place::new();
    place.file("a.txt", DAMAGED);
    let run =
        place.run(&["search", "coffee with milk", "a.txt", "--invalid", "replace", "-k", "1", "--no-cache"]);
    assert!(run.out.starts_with("a.txt:2: ") && run.out.contains("caf\u{FFFD} au lait"), "{}", run.out);
    assert!(run.err.contains("1 text was not UTF-8"), "{}", run.err);
    let run = place.run(&["search", "coffee with milk", "a.txt", "--invalid", "skip", "--no-cache"]);
    assert_eq!(run.out.lines().count(), 2, "{}", run.out);
}

#[test]
fn a_run_that_ended_at_damage_goes_on_when_it_is_told_how() {
    let place = Place::new();
    // Enough for some of it to be done before the damage is read.
    place.file("a.txt", [&b"one line\n".repeat(600)[..], DAMAGED].concat());
    let resume = ["embed", "a.txt", "-o", "out.jsonl", "--resume"];
    place.run(&resume).fails(1, "a.txt:602: the byte at offset 5407 is not UTF-8");
    let run = place.run(&[&resume[..], &["--invalid", "replace"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.err);
    let records = fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 603);
    assert!(records.lines().nth(601).unwrap().contains("caf\u{FFFD} au lait"));
    assert_eq!(place.names(), ["a.txt", "out.jsonl"]);
}
