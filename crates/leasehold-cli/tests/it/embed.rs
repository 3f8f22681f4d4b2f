//! The job done on good input.

use std::fs;

use crate::support::{Place, places};

#[test]
fn lines_of_several_files_come_out_in_order_with_their_places() {
    let place = Place::new();
    place.file("a.txt", "one\n\ntwo\n");
    place.file("b.txt", "three");
    let run = place.run(&["embed", "a.txt", "b.txt"]);
    let records = run.records();
    assert_eq!(places(&records), [("one", "a.txt", 1), ("two", "a.txt", 3), ("three", "b.txt", 1)]);
}

#[test]
fn paragraphs_keep_their_lines_together() {
    let place = Place::new();
    place.file("a.txt", "\none\ntwo\n\nthree\n");
    let run = place.run(&["embed", "--by", "paragraph", "a.txt"]);
    assert_eq!(places(&run.records()), [("one\ntwo", "a.txt", 2), ("three", "a.txt", 5)]);
}

#[test]
fn json_lines_give_the_named_field() {
    let place = Place::new();
    place.file("a.jsonl", "{\"id\":1,\"body\":\"caf\\u00e9\",\"text\":\"no\"}\n{\"body\":\"two\"}\n");
    let run = place.run(&["embed", "--field", "body", "a.jsonl"]);
    assert_eq!(places(&run.records()), [("café", "a.jsonl", 1), ("two", "a.jsonl", 2)]);
    let run = place.run(&["embed", "a.jsonl"]);
    run.fails(1, "a.jsonl:2: the object has no field \"text\"; name another with --field");
}

#[test]
fn standard_input_gives_what_a_file_gives() {
    let place = Place::new();
    // Longer than the block that a stream is read in, so that lines are cut by its end.
    let text: String = (0..4).map(|i| format!("line {i}\n{}\n", " ".repeat(40_000))).collect();
    place.file("a.txt", &text);
    let file = place.run(&["embed", "a.txt"]);
    let stream = place.run_with_input(&["embed", "-"], text.as_bytes());
    assert_eq!(stream.out.replace("\"path\":\"-\"", "\"path\":\"a.txt\""), file.out);
    assert_eq!(places(&stream.records())[3], ("line 3", "-", 7));
}

#[test]
fn the_ending_chooses_the_format() {
    let place = Place::new();
    place.file("a.txt", "one\ntwo\n");
    for name in ["out.npy", "out.jsonl"] {
        let run = place.run(&["embed", "a.txt", "--output", name, "--threads", "1"]);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
    }
    let npy = fs::read(place.path().join("out.npy")).unwrap();
    assert_eq!(npy.len(), 128 + 2 * 384 * 4);
    let header = String::from_utf8_lossy(&npy[10..128]).into_owned();
    assert!(header.contains("'shape': (2, 384)"), "{header}");
    let jsonl = fs::read_to_string(place.path().join("out.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(jsonl.lines().next().unwrap()).unwrap();
    let value = f32::from_le_bytes(npy[128..132].try_into().unwrap());
    assert_eq!(first["embedding"][0].as_f64().unwrap() as f32, value);
    assert_eq!(place.names(), ["a.txt", "out.jsonl", "out.npy"]);
}

#[test]
fn input_without_text_gives_output_without_rows() {
    let place = Place::new();
    place.file("a.txt", "\n \n");
    assert!(place.run(&["embed", "a.txt"]).records().is_empty());
    assert_eq!(place.run(&["embed", "a.txt", "-o", "out.npy"]).code, Some(0));
    let npy = fs::read(place.path().join("out.npy")).unwrap();
    assert!(String::from_utf8_lossy(&npy).contains("'shape': (0, 384)"));
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let run = Place::new().run(&["embed", "--help"]);
    assert_eq!(run.code, Some(0));
    for said in ["leasehold embed --by paragraph book.txt", "Exit status:", "130", "LEASEHOLD_CACHE"] {
        assert!(run.out.contains(said), "{}", run.out);
    }
}

#[test]
fn long_texts_become_passages_with_their_lines() {
    let place = Place::new();
    let text: String = (1..=40).map(|line| format!("these are the words of line {line}\n")).collect();
    place.file("a.txt", &text);
    let run = place.run(&["embed", "a.txt", "--by", "file", "--window", "23", "--overlap", "7"]);
    let records = run.records();
    let found = places(&records);
    // Seven words a line; three lines are a passage, of which the last is in the next.
    assert_eq!(found[0].0, text.lines().take(3).collect::<Vec<_>>().join("\n"));
    for (index, (passage, _, line)) in found.iter().enumerate() {
        assert_eq!(*line, 1 + 2 * index as u64);
        assert!(passage.starts_with(&format!("these are the words of line {line}")), "{passage}");
    }
    assert!(found.last().unwrap().0.ends_with("line 40"));
    // A field has no lines of its own.
    place.file("a.jsonl", serde_json::json!({ "text": text }).to_string());
    let run = place.run(&["embed", "a.jsonl", "--window", "23", "--overlap", "7"]);
    let records = run.records();
    assert_eq!(records.len(), found.len());
    assert!(places(&records).iter().all(|(_, _, line)| *line == 1));
}

#[test]
fn a_budget_of_memory_is_kept_to_or_refused() {
    let place = Place::new();
    place.file("a.txt", "one\ntwo\n");
    let with = |memory: &str| place.run(&["embed", "a.txt", "--memory", memory, "--threads", "1"]);
    for (given, said) in [("0", "0 bytes"), ("1k", "1 KiB"), ("1500", "1500 bytes"), ("2MB", "2000000 bytes")]
    {
        with(given).fails(1, &format!("a memory budget of {said} is too small for this model"));
    }
    let run = with("1MiB");
    run.fails(1, "a memory budget of 1 MiB is too small for this model and number of threads");
    let (_, least) = run.err.trim().rsplit_once("the least that works is ").unwrap();
    assert_eq!(place.run(&["embed", "a.txt", "--memory", least, "--threads", "1"]).records().len(), 2);
}

#[test]
fn output_appears_while_the_input_is_still_being_read() {
    use std::{
        io::{BufRead, BufReader, Write},
        process::Stdio,
    };

    let place = Place::new();
    for (by, ends) in [("line", ["\n", "\r\n", "\n"]), ("paragraph", ["\n\n", "\r\n\r\n", "\nand on\n\n"])] {
        let mut command = place.command(&["embed", "-", "--by", by]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for (text, end) in ["one", "two", "three"].into_iter().zip(ends) {
            write!(input, "{text}{end}").unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert!(line.starts_with(&format!("{{\"text\":\"{text}")), "{line}");
        }
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}
