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
