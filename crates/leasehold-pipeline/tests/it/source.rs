//! What documents come out of which bytes.

use std::{fs, path::PathBuf};

use leasehold_pipeline::{Format, Input, Source, SourceError, Split};
use tempfile::TempDir;

use crate::support::{file, pool, read, texts};

fn json(field: &str) -> Format {
    Format::JsonLines { field: field.into() }
}

#[test]
fn blank_lines_are_skipped_and_counted() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"one\r\n\n  \t\ntwo\nthree");
    let source = vec![(Input::File(path), Format::Text(Split::Line))];
    let mut source = Source::open(source, pool()).unwrap();
    let documents: Vec<_> = source.by_ref().map(Result::unwrap).collect();
    assert_eq!(texts(&documents), [(1, "one"), (4, "two"), (5, "three")]);
    assert_eq!(source.skipped().load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(Some(documents[2].consumed), source.total_bytes());
}

#[test]
fn a_paragraph_is_named_by_its_first_line() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"\n\none\ntwo\n\n\n\nthree\n");
    let documents = read(path, Format::Text(Split::Paragraph)).unwrap();
    assert_eq!(texts(&documents), [(3, "one\ntwo"), (8, "three")]);
}

#[test]
fn a_byte_order_mark_is_no_text() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"\xEF\xBB\xBFone\ntwo\n");
    assert_eq!(texts(&read(path, Format::Text(Split::Line)).unwrap()), [(1, "one"), (2, "two")]);
}

#[test]
fn an_empty_file_has_no_documents() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"");
    assert!(read(path, Format::Text(Split::Line)).unwrap().is_empty());
}

#[test]
fn a_wrong_byte_is_named_by_line_and_offset() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"good\n\nbad \xFF byte\n");
    let error = read(path.clone(), Format::Text(Split::Line)).unwrap_err();
    assert!(
        matches!(&error, SourceError::NotUtf8 { path: named, line: 3, offset: 10 } if *named == path),
        "{error}"
    );
}

#[test]
fn nothing_comes_after_an_error() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"\xFF\ngood\n");
    let inputs = vec![(Input::File(path), Format::Text(Split::Line))];
    let mut source = Source::open(inputs, pool()).unwrap();
    assert!(source.next().unwrap().is_err());
    assert!(source.next().is_none());
}

#[test]
fn a_json_string_without_escapes_is_not_copied() {
    let directory = TempDir::new().unwrap();
    let path = file(
        &directory,
        "a.jsonl",
        b"{\"id\": 1, \"text\": \"plain\", \"more\": [{\"text\": \"other\"}]}\n\n{\"text\": \"two\\nlines \\u732b\"}\n",
    );
    let documents = read(path, json("text")).unwrap();
    assert_eq!(texts(&documents), [(1, "plain"), (3, "two\nlines 猫")]);
}

#[test]
fn null_and_empty_fields_are_skipped() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.jsonl", b"{\"t\": null}\n{\"t\": \" \"}\n{\"t\": \"x\"}\n");
    assert_eq!(texts(&read(path, json("t")).unwrap()), [(3, "x")]);
}

#[test]
fn what_is_wrong_with_a_json_line_is_said() {
    let directory = TempDir::new().unwrap();
    let cases: [(&[u8], &str); 5] = [
        (b"{\"text\": \"a\"}\n{\"txt\": \"b\"}\n", "a.jsonl:2: the object has no field \"text\""),
        (b"{\"text\": 7}\n", "a.jsonl:1: invalid type: integer `7`, expected a string in the field \"text\""),
        (b"{\"text\": \"a\"\n", "a.jsonl:1: EOF while parsing"),
        (b"[\"text\"]\n", "a.jsonl:1: invalid type: sequence, expected a JSON object"),
        (b"{\"text\": \"a\"} trailing\n", "a.jsonl:1: trailing characters"),
    ];
    for (bytes, expected) in cases {
        let path = file(&directory, "a.jsonl", bytes);
        let error = read(path, json("text")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn every_input_is_looked_at_before_the_first_is_read() {
    let directory = TempDir::new().unwrap();
    let good = Input::File(file(&directory, "a.txt", b"text"));
    let missing = Input::File(directory.path().join("missing.txt"));
    let unmatched = Input::File(directory.path().join("*.md"));
    let format = Format::Text(Split::Line);
    let open = |inputs: Vec<Input>| {
        let inputs = inputs.into_iter().map(|input| (input, format.clone())).collect();
        Source::open(inputs, pool()).unwrap_err()
    };
    let error = open(vec![good.clone(), missing]);
    assert!(matches!(error, SourceError::Open { .. }), "{error}");
    let error = open(vec![good, unmatched]);
    #[cfg(feature = "directories")]
    assert!(matches!(error, SourceError::NoMatch { .. }), "{error}");
    #[cfg(not(feature = "directories"))]
    assert!(matches!(error, SourceError::LeftOut { feature: "directories", .. }), "{error}");
    let error = open(vec![Input::Standard, Input::Standard]);
    assert!(matches!(error, SourceError::StandardInputTwice { times: 2 }), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_the_kernel_makes_up_are_read_as_streams() {
    let documents = read(PathBuf::from("/proc/self/status"), Format::Text(Split::Line)).unwrap();
    assert!(documents[0].text().unwrap().starts_with("Name:"));
}

#[test]
fn a_file_that_is_mapped_in_pieces_reads_as_a_whole() {
    let directory = TempDir::new().unwrap();
    // Lines of many lengths, one of them longer than a piece, over several pieces of 8 MiB.
    let mut expected: Vec<String> =
        (0..60_000).map(|line| format!("{line} {}", "é".repeat(line % 211))).collect();
    expected[30_000] = "x".repeat(9 << 20);
    let path = file(&directory, "a.txt", expected.join("\n").as_bytes());
    let documents = read(path.clone(), Format::Text(Split::Line)).unwrap();
    assert_eq!(documents.len(), expected.len());
    for (index, (document, expected)) in documents.iter().zip(&expected).enumerate() {
        assert_eq!(document.place.line, index as u64 + 1);
        assert!(document.text().unwrap() == expected, "line {}", index + 1);
    }
    assert_eq!(documents.last().unwrap().consumed, fs::metadata(path).unwrap().len());
}

#[test]
fn a_file_as_one_document_keeps_every_byte() {
    let directory = TempDir::new().unwrap();
    let text = format!("\n one\r\n\n{}\n", "two ".repeat(3 << 20));
    let path = file(&directory, "a.txt", text.as_bytes());
    let documents = read(path, Format::Text(Split::File)).unwrap();
    assert_eq!(documents.len(), 1);
    assert!(documents[0].text().unwrap() == text);
    assert_eq!((documents[0].place.line, documents[0].place.offset), (1, 0));
    let blank = file(&directory, "b.txt", b" \n\n");
    assert!(read(blank, Format::Text(Split::File)).unwrap().is_empty());
}

#[test]
fn a_place_has_the_offset_of_the_passage() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"\xEF\xBB\xBFone\r\n\n two\nthree");
    let offsets = |path, split| -> Vec<u64> {
        read(path, Format::Text(split)).unwrap().iter().map(|document| document.place.offset).collect()
    };
    assert_eq!(offsets(path.clone(), Split::Line), [3, 9, 14]);
    assert_eq!(offsets(path.clone(), Split::Paragraph), [3, 9]);
    assert_eq!(offsets(path, Split::File), [3]);
}

#[test]
fn bytes_of_zero_are_text_in_a_file_that_was_named() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"a\0b\n\0\n");
    assert_eq!(texts(&read(path, Format::Text(Split::Line)).unwrap()), [(1, "a\0b"), (2, "\0")]);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_one_document() {
    let directory = TempDir::new().unwrap();
    let mut bytes = vec![b'x'; 100 << 20];
    bytes.extend_from_slice(b"\nshort\n");
    let path = file(&directory, "a.txt", &bytes);
    let documents = read(path, Format::Text(Split::Line)).unwrap();
    assert_eq!(documents.iter().map(|document| document.text.len()).collect::<Vec<_>>(), [100 << 20, 5]);
    assert_eq!(documents[1].place.line, 2);
}

#[cfg(unix)]
#[test]
fn a_record_of_a_stream_that_the_budget_has_no_room_for_is_an_error() {
    let directory = TempDir::new().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let pool = leasehold::MemoryPool::builder().build_bounded(1 << 20);
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || {
            let mut bytes = b"short\n".to_vec();
            bytes.resize(2 << 20, b'x');
            // The reader goes away half way.
            let _ = fs::write(fifo, bytes);
        }
    });
    let mut source = Source::open(vec![(Input::File(fifo), Format::Text(Split::Line))], &pool).unwrap();
    assert_eq!(source.next().unwrap().unwrap().text().unwrap(), "short");
    let error = source.next().unwrap().unwrap_err();
    assert!(matches!(error, SourceError::TooLong { line: 2, most: 262_144, .. }), "{error}");
    assert!(error.to_string().contains("--memory"), "{error}");
    drop(source);
    writer.join().unwrap();
    assert!(pool.outstanding().is_empty());
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        // Permissions do not hold for a superuser.
        return;
    }
    let error = read(path.clone(), Format::Text(Split::Line)).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open {}", path.display()));
}
