//! Text that is not UTF-8, and what was asked to become of it.

use std::{path::PathBuf, sync::atomic::Ordering::Relaxed};

use leasehold_pipeline::{
    Cancel, Document, Format, Input, Invalid, SentencesOf, Source, SourceError, Split, Windows, flow::Flow,
};
use tempfile::TempDir;

use crate::support::{Random, file, pool, small_encoder, texts};

/// What is read when invalid text is treated like that, and how much of it there was.
fn read(path: PathBuf, format: Format, invalid: Invalid) -> (Vec<Document>, u64) {
    let mut source = Source::open(vec![(Input::File(path), format)], pool()).unwrap();
    source.treat_invalid(invalid);
    let count = source.not_utf8();
    let documents = source.map(Result::unwrap).collect();
    (documents, count.load(Relaxed))
}

/// What the input has where a document stands, with everything wrong replaced.
fn in_input<'a>(bytes: &'a [u8], document: &Document) -> std::borrow::Cow<'a, str> {
    let start = document.place.offset as usize;
    String::from_utf8_lossy(&bytes[start..start + document.text.input_len()])
}

/// Words, some of them damaged, in sentences and lines.
fn damaged(seed: u64) -> Vec<u8> {
    const PIECES: [&[u8]; 9] = [
        b"word",
        b"caf\xE9",
        b"caf\xC3\xA9",
        b"\xFF\xFE",
        b"end. Begin",
        b"\xE2\x82",
        b"\xF0\x9F\x92\xA9",
        b"\xEF\xBF\xBD",
        b"\n",
    ];
    let mut random = Random::new(seed);
    let mut bytes = Vec::new();
    for _ in 0..2000 {
        bytes.extend_from_slice(PIECES[random.below(PIECES.len())]);
        if random.below(3) > 0 {
            bytes.push(b' ');
        }
    }
    bytes
}

#[test]
fn lines_are_replaced_or_left_out_and_counted() {
    let directory = TempDir::new().unwrap();
    let bytes = b"good\n\nbad \xFF\xE9t\xE9 byte\r\n\xFF\nmore\n";
    let path = file(&directory, "a.txt", bytes);
    let lines = Format::Text(Split::Line);
    let (replaced, count) = read(path.clone(), lines.clone(), Invalid::Replace);
    assert_eq!(
        texts(&replaced),
        [(1, "good"), (3, "bad \u{FFFD}\u{FFFD}t\u{FFFD} byte"), (4, "\u{FFFD}"), (5, "more")]
    );
    assert_eq!(replaced.iter().map(|document| document.place.offset).collect::<Vec<_>>(), [0, 6, 21, 23]);
    assert_eq!(replaced.iter().map(|document| document.text.input_len()).collect::<Vec<_>>(), [4, 13, 1, 4]);
    assert_eq!(count, 2);
    let (left, count) = read(path.clone(), lines.clone(), Invalid::Skip);
    assert_eq!((texts(&left), count), (vec![(1, "good"), (5, "more")], 2));
    let mut source = Source::open(vec![(Input::File(path), lines)], pool()).unwrap();
    source.treat_invalid(Invalid::Error);
    let error = source.find_map(Result::err).unwrap();
    assert!(matches!(error, SourceError::NotUtf8 { line: 3, offset: 10, .. }), "{error}");
}

#[test]
fn paragraphs_and_whole_files_are_treated_as_lines_are() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"one\ntw\xF6\n\nthree\n");
    for (split, replaced, left) in [
        (Split::Paragraph, vec![(1, "one\ntw\u{FFFD}"), (4, "three")], vec![(4, "three")]),
        (Split::File, vec![(1, "one\ntw\u{FFFD}\n\nthree\n")], vec![]),
    ] {
        let (documents, count) = read(path.clone(), Format::Text(split), Invalid::Replace);
        assert_eq!((texts(&documents), count), (replaced, 1));
        let (documents, count) = read(path.clone(), Format::Text(split), Invalid::Skip);
        assert_eq!((texts(&documents), count), (left, 1));
    }
}

#[test]
fn a_sentence_of_repaired_text_has_its_place_in_the_input() {
    let directory = TempDir::new().unwrap();
    for seed in 0..20 {
        let bytes = damaged(seed);
        let path = file(&directory, "a.txt", &bytes);
        let (documents, count) = read(path, Format::Text(Split::File), Invalid::Replace);
        assert_eq!((documents.len(), count), (1, 1));
        let consumed = documents[0].consumed;
        let mut end = 0;
        let mut sentences = 0;
        for sentence in SentencesOf::new(documents.into_iter().map(Ok)) {
            let sentence = sentence.unwrap();
            assert_eq!(in_input(&bytes, &sentence), sentence.text().unwrap());
            let start = sentence.place.offset;
            assert!(start >= end, "they do not overlap");
            end = start + sentence.text.input_len() as u64;
            assert_eq!(sentence.consumed, consumed - (bytes.len() as u64 - end));
            let lines = bytes[..start as usize].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(sentence.place.line, 1 + lines as u64);
            sentences += 1;
        }
        assert!(sentences > 50, "{sentences} sentences");
    }
}

#[test]
fn a_window_of_repaired_text_has_its_place_in_the_input() {
    let directory = TempDir::new().unwrap();
    let bytes = damaged(99);
    let path = file(&directory, "a.txt", &bytes);
    let mut source = Source::open(vec![(Input::File(path), Format::Text(Split::File))], pool()).unwrap();
    source.treat_invalid(Invalid::Replace);
    let windows = Windows::new(small_encoder(), 30, 10).unwrap();
    let passages = Flow::source("source", source).stage("window", windows).start(&Cancel::new()).unwrap();
    let mut count = 0;
    for passage in passages {
        let passage = passage.unwrap();
        assert_eq!(in_input(&bytes, &passage), passage.text().unwrap());
        let before = &bytes[..passage.place.offset as usize];
        assert_eq!(passage.place.line as usize, 1 + before.iter().filter(|byte| **byte == b'\n').count());
        count += 1;
    }
    assert!(count > 50, "{count} passages");
}

#[test]
fn a_part_of_repaired_text_knows_what_the_input_has_there() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", b"\xFFab\xE2\x82c");
    let (documents, _) = read(path, Format::Text(Split::Line), Invalid::Replace);
    let text = &documents[0].text;
    assert_eq!((text.len(), text.input_len()), (9, 6));
    let part = text.slice(4..8).unwrap();
    assert_eq!((part.as_str().unwrap(), part.input_len()), ("b\u{FFFD}", 3));
    let part = part.slice(1..4).unwrap();
    assert_eq!((part.as_str().unwrap(), part.input_len()), ("\u{FFFD}", 2));
    assert!(text.slice(1..4).is_err(), "it begins inside of a character");
}

#[test]
fn json_lines_are_treated_as_a_whole() {
    let directory = TempDir::new().unwrap();
    let bytes = b"{\"text\": \"caf\xE9\", \"id\": 1}\n{\"text\": \"a\\n\xFF\"}\n{\"text\": \"good\", \"x\": \"\xFF\"}\n{\"text\": \"good\"}\n";
    let path = file(&directory, "a.jsonl", bytes);
    let format = Format::JsonLines { field: "text".into() };
    let (documents, count) = read(path.clone(), format.clone(), Invalid::Replace);
    assert_eq!(texts(&documents), [(1, "caf\u{FFFD}"), (2, "a\n\u{FFFD}"), (3, "good"), (4, "good")]);
    assert_eq!(documents[1].place.offset, 26);
    assert_eq!(count, 3);
    let (documents, count) = read(path, format, Invalid::Skip);
    assert_eq!((texts(&documents), count), (vec![(4, "good")], 3));
}

#[cfg(feature = "csv")]
#[test]
fn of_a_table_the_field_counts() {
    let directory = TempDir::new().unwrap();
    let bytes = b"text,\xE9t\xE9\n\xFF,1\n\"a\"\"\xFF\",2\n\"\xFFb\",3\nfine,\xFF\n";
    let path = file(&directory, "a.csv", bytes);
    let format = |field: &str| Format::Csv { field: field.into(), delimiter: b',' };
    let (documents, count) = read(path.clone(), format("text"), Invalid::Replace);
    assert_eq!(texts(&documents), [(2, "\u{FFFD}"), (3, "a\"\u{FFFD}"), (4, "\u{FFFD}b"), (5, "fine")]);
    assert_eq!(count, 3);
    let (documents, _) = read(path.clone(), format("\u{FFFD}t\u{FFFD}"), Invalid::Replace);
    assert_eq!(texts(&documents), [(2, "1"), (3, "2"), (4, "3"), (5, "\u{FFFD}")]);
    // A header cannot be left out.
    let mut source = Source::open(vec![(Input::File(path), format("text"))], pool()).unwrap();
    source.treat_invalid(Invalid::Skip);
    let error = source.next().unwrap().unwrap_err();
    assert!(matches!(error, SourceError::NotUtf8 { line: 1, .. }), "{error}");
    let path = file(&directory, "b.csv", &[b"text,u\n", &bytes[9..]].concat());
    let (documents, count) = read(path, format("text"), Invalid::Skip);
    assert_eq!((texts(&documents), count), (vec![(5, "fine")], 3));
}

#[cfg(feature = "parquet")]
#[test]
fn strings_of_parquet_are_treated_one_by_one() {
    use std::sync::Arc;

    use parquet::{
        data_type::{ByteArray, ByteArrayType},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.parquet");
    let schema = Arc::new(parse_message_type("message m { required binary text; }").unwrap());
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values = [&b"good"[..], b"caf\xE9", b"more"].map(|value| ByteArray::from(value.to_vec()));
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let format = Format::Parquet { column: "text".into() };
    let (documents, count) = read(path.clone(), format.clone(), Invalid::Replace);
    assert_eq!((texts(&documents), count), (vec![(1, "good"), (2, "caf\u{FFFD}"), (3, "more")], 1));
    let (documents, count) = read(path, format, Invalid::Skip);
    assert_eq!((texts(&documents), count), (vec![(1, "good"), (3, "more")], 1));
}

#[cfg(feature = "directories")]
#[test]
fn a_file_in_a_directory_is_read_whatever_it_begins_with_but_for_zeros() {
    let directory = TempDir::new().unwrap();
    file(&directory, "a.txt", b"caf\xE9\n");
    file(&directory, "b.bin", b"\xFF\0\n");
    let format = Format::Text(Split::Line);
    let (documents, count) = read(directory.path().to_owned(), format.clone(), Invalid::Replace);
    assert_eq!((texts(&documents), count), (vec![(1, "caf\u{FFFD}")], 1));
    let (documents, count) = read(directory.path().to_owned(), format.clone(), Invalid::Error);
    assert_eq!((documents.len(), count), (0, 0));
}

/// A stream, because what is mapped takes nothing of the budget.
#[cfg(all(unix, feature = "csv"))]
#[test]
fn a_record_in_two_blocks_never_waits_for_itself() {
    let directory = TempDir::new().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // No power of two, so that blocks are larger than what is asked for.
    let budget = 3_300_000;
    let json = Format::JsonLines { field: "text".into() };
    let csv = Format::Csv { field: "text".into(), delimiter: b',' };
    for (format, head, escape, foot) in
        [(json, "{\"text\": \"", "\\n\u{E9}", "\"}\n"), (csv, "text\n\"", "\"\"\u{E9}", "\"\n")]
    {
        for length in (200_000..1_700_000).step_by(60_000) {
            for damage in [&b"\xFF"[..], b""] {
                let pool = leasehold::MemoryPool::builder().build_bounded(budget);
                let body = [escape.as_bytes(), damage, "x".repeat(length).as_bytes()].concat();
                let bytes = [head.as_bytes(), &body, foot.as_bytes()].concat();
                let writer = std::thread::spawn({
                    let fifo = fifo.clone();
                    move || drop(std::fs::write(fifo, bytes))
                });
                let inputs = vec![(Input::File(fifo.clone()), format.clone())];
                let mut source = Source::open(inputs, &pool).unwrap();
                source.treat_invalid(Invalid::Replace);
                match source.next().unwrap() {
                    Ok(document) => assert!(document.text.len() > length && length < budget / 4),
                    Err(SourceError::TooLong { most, .. }) => {
                        assert!(most == budget / 4 && length > most - 100, "{length}");
                    }
                    Err(other) => panic!("{other}"),
                }
                drop(source);
                writer.join().unwrap();
            }
        }
    }
}
