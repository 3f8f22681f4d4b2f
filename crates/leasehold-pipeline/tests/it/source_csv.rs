//! Tables as comma- or tab-separated values.

use std::fmt::Write;

use leasehold_pipeline::{Format, SourceError};
use tempfile::TempDir;

use crate::support::{file, read, texts};

fn csv(field: &str) -> Format {
    Format::Csv { field: field.into(), delimiter: b',' }
}

#[test]
fn a_column_is_found_by_its_header() {
    let directory = TempDir::new().unwrap();
    let path = file(
        &directory,
        "a.csv",
        b"\xEF\xBB\xBFid,\"text\",note\r\n1,one,x\r\n\r\n2,\"two, too\",\r\n3,,\r\n",
    );
    let documents = read(path.clone(), csv("text")).unwrap();
    assert_eq!(texts(&documents), [(2, "one"), (4, "two, too")]);
    assert_eq!(documents[1].place.offset, 30);
    assert_eq!(texts(&read(path.clone(), csv("id")).unwrap()), [(2, "1"), (4, "2"), (5, "3")]);
    assert_eq!(texts(&read(path, csv("note")).unwrap()), [(2, "x")]);
}

#[test]
fn lines_within_quotes_belong_to_their_record() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.csv", b"t,u\n\"a\nb\"\"c\n\",1\nd,2\n\"e\",\"\n\n\"\n f ,3");
    let documents = read(path, csv("t")).unwrap();
    assert_eq!(texts(&documents), [(2, "a\nb\"c\n"), (5, "d"), (6, "e"), (9, " f ")]);
}

#[test]
fn tabs_separate_by_ending() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.tsv", b"a,b\ttext\n1\tone,\xE7\x8C\xAB\n");
    let format = Format::ByEnding { split: None, field: None };
    assert_eq!(texts(&read(path, format).unwrap()), [(2, "one,猫")]);
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let directory = TempDir::new().unwrap();
    let cases: [(&[u8], &str); 5] = [
        (
            b"id,title,body\n1,2,3\n",
            "a.csv:1: no column \"text\"; name another with --field: id, title, body",
        ),
        (b"id,text\n1,one\n2\n", "a.csv:3: 1 fields where the header has 2"),
        (b"id,text\n1,one,more\n", "a.csv:2: 3 fields where the header has 2"),
        (b"id,text\n1,one\n2,\"two\n3,three\n", "a.csv:3: a quoted field begins here that has no end"),
        (b"id,text\n1,one\n2,t\xFFwo\n", "a.csv:3: the byte at offset 17 is not UTF-8"),
    ];
    for (bytes, expected) in cases {
        let path = file(&directory, "a.csv", bytes);
        let error = read(path, csv("text")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    let path = file(&directory, "a.csv", b"");
    assert!(read(path, csv("text")).unwrap().is_empty());
    let path = file(&directory, "a.csv", b"text\n");
    assert!(read(path, csv("text")).unwrap().is_empty());
}

#[test]
fn a_quote_without_an_end_does_not_take_in_the_rest_of_a_large_file() {
    let directory = TempDir::new().unwrap();
    let mut bytes = b"text,id\n\"one,1\n".to_vec();
    bytes.resize(40 << 20, b'x');
    let path = file(&directory, "a.csv", &bytes);
    let pool = leasehold::MemoryPool::builder().build_bounded(64 << 20);
    let inputs = vec![(leasehold_pipeline::Input::File(path), csv("text"))];
    let mut source = leasehold_pipeline::Source::open(inputs, &pool).unwrap();
    let error = source.next().unwrap().unwrap_err();
    assert!(matches!(error, SourceError::TooLong { line: 2, most: 16_777_216, .. }), "{error}");
}

/// Writes random tables and reads them back.
#[test]
fn every_table_reads_as_it_was_written() {
    let directory = TempDir::new().unwrap();
    let pieces = ["", "a", "\"", ",", "\n", "\r\n", "\r", "猫", " ", "b c", "\u{FEFF}"];
    let mut state = 7_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for round in 0..300 {
        let mut table = "id,text\n".to_owned();
        let mut expected = Vec::new();
        let mut line = 2;
        for row in 0..next(20) {
            let value: String = (0..next(6)).map(|_| pieces[next(pieces.len())]).collect();
            let quoted = value.contains(['"', ',', '\n', '\r']) || next(2) == 0;
            let field = if quoted { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.clone() };
            let end = ["\n", "\r\n"][next(2)];
            write!(table, "{row},{field}{end}").unwrap();
            if !value.trim().is_empty() {
                expected.push((line, value.clone()));
            }
            line += 1 + value.matches('\n').count() as u64;
        }
        let documents = read(file(&directory, "a.csv", table.as_bytes()), csv("text")).unwrap();
        let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(texts(&documents), expected, "in round {round} from {table:?}");
    }
}
