//! Columns of Parquet files.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use leasehold_pipeline::{Format, Input, Source, SourceError};
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use tempfile::TempDir;

use crate::support::{file, pool, read, read_to_error, texts};

const SCHEMA: &str = "message m {
    required int64 id;
    optional binary text (UTF8);
    required group nested { required binary name; }
    optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
    required binary price (DECIMAL(4, 2));
}";

pub(crate) fn column(name: &str) -> Format {
    Format::Parquet { column: name.into() }
}

/// A file with one row group for each slice of strings.
pub(crate) fn write(path: PathBuf, groups: &[&[Option<&str>]], properties: WriterProperties) -> PathBuf {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let mut writer =
        SerializedFileWriter::new(File::create(&path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut id = 0;
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let ids: Vec<i64> = (id..).take(rows.len()).collect();
        id += rows.len() as i64;
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut binary = |values: &[ByteArray], definition: Option<&[i16]>, repetition: Option<&[i16]>| {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(values, definition, repetition).unwrap();
            column.close().unwrap();
        };
        let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.is_some())).collect();
        let texts: Vec<ByteArray> = rows.iter().flatten().map(|text| ByteArray::from(*text)).collect();
        binary(&texts, Some(&levels), None);
        let names: Vec<ByteArray> = ids.iter().map(|id| ByteArray::from(&*format!("name {id}"))).collect();
        binary(&names, None, None);
        binary(&[], Some(&vec![0; rows.len()]), Some(&vec![0; rows.len()]));
        binary(&vec![ByteArray::from(vec![1]); rows.len()], None, None);
        group.close().unwrap();
    }
    writer.close().unwrap();
    path
}

/// A file with one row group and one column.
pub(crate) fn write_column(path: &Path, rows: &[Option<&str>], properties: WriterProperties) {
    let schema = Arc::new(parse_message_type("message m { optional binary text (UTF8); }").unwrap());
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.is_some())).collect();
    let texts: Vec<ByteArray> = rows.iter().flatten().map(|text| ByteArray::from(*text)).collect();
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

fn plain() -> WriterProperties {
    WriterProperties::builder().set_dictionary_enabled(false).build()
}

#[test]
fn rows_come_in_order_whatever_the_codec_and_the_encoding() {
    let directory = TempDir::new().unwrap();
    let rows: Vec<String> = (0..3_000).map(|row| format!("text {row} {}", "é".repeat(row % 90))).collect();
    let first: Vec<Option<&str>> =
        rows.iter().enumerate().map(|(row, text)| (row % 7 != 3).then_some(text.as_str())).collect();
    let second: Vec<Option<&str>> = vec![Some("same"); 500];
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
    ];
    for codec in codecs {
        for dictionary in [false, true] {
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_dictionary_enabled(dictionary)
                .set_data_page_size_limit(4_000)
                .set_write_batch_size(50)
                .build();
            let path = write(directory.path().join("a.parquet"), &[&first, &[], &second], properties);
            let mut source = Source::open(vec![(Input::File(path), column("text"))], pool()).unwrap();
            let documents: Vec<_> = source.by_ref().map(Result::unwrap).collect();
            let all = first.iter().chain(&second).enumerate();
            let expected: Vec<_> = all.filter_map(|(row, text)| Some((row as u64 + 1, (*text)?))).collect();
            assert_eq!(texts(&documents), expected, "{codec} {dictionary}");
            assert_eq!(Some(documents.last().unwrap().consumed), source.total_bytes());
            assert_eq!(source.skipped().load(std::sync::atomic::Ordering::Relaxed), 429);
        }
    }
}

#[test]
fn a_string_longer_than_a_block_has_one_of_its_own() {
    let directory = TempDir::new().unwrap();
    let long = "long ".repeat(100_000);
    let rows = [Some("a"), Some(long.as_str()), None, Some(""), Some("b")];
    let path = write(directory.path().join("a.parquet"), &[&rows], plain());
    let documents = read(path, column("text")).unwrap();
    assert_eq!(texts(&documents), [(1, "a"), (2, long.as_str()), (5, "b")]);
}

#[test]
fn a_column_within_a_group_is_named_with_dots() {
    let directory = TempDir::new().unwrap();
    let path = write(directory.path().join("a.parquet"), &[&[Some("a"), None]], plain());
    assert_eq!(texts(&read(path, column("nested.name")).unwrap()), [(1, "name 0"), (2, "name 1")]);
}

#[test]
fn what_is_wrong_with_a_column_is_said() {
    let directory = TempDir::new().unwrap();
    let path = write(directory.path().join("a.parquet"), &[&[Some("a")]], plain());
    let cases = [
        (
            "body",
            "no column \"body\"; name another with --field: id, text, nested.name, tags.list.element, price",
        ),
        ("id", "the column \"id\" holds INT64; name one of strings with --field"),
        ("price", "the column \"price\" holds DECIMAL"),
        ("tags.list.element", "the column \"tags.list.element\" holds lists"),
    ];
    for (name, expected) in cases {
        let error = read(path.clone(), column(name)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn a_string_that_is_not_utf_8_is_named_by_its_row() {
    let directory = TempDir::new().unwrap();
    let schema = Arc::new(parse_message_type("message m { required binary text; }").unwrap());
    let path = directory.path().join("a.parquet");
    let mut writer =
        SerializedFileWriter::new(File::create(&path).unwrap(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut texts = group.next_column().unwrap().unwrap();
    let values = [ByteArray::from("good"), ByteArray::from(vec![b'x', 0xFF])];
    texts.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    texts.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let (documents, error) = read_to_error(path, column("text"));
    assert_eq!(documents.len(), 1);
    let error = error.unwrap().to_string();
    assert!(error.ends_with("a.parquet: the string in row 2 is not UTF-8"), "{error}");
}

#[test]
fn files_that_are_none_and_encrypted_ones_are_named() {
    let directory = TempDir::new().unwrap();
    let good = std::fs::read(write(directory.path().join("good.parquet"), &[&[Some("a")]], plain())).unwrap();
    let mut encrypted = good.clone();
    let magic = encrypted.len() - 4;
    encrypted[magic..].copy_from_slice(b"PARE");
    for (bytes, said) in [(&b""[..], ""), (b"text that is none\n", ""), (&encrypted, "encrypt")] {
        let path = file(&directory, "a.parquet", bytes);
        let error = read(path.clone(), column("text")).unwrap_err();
        assert!(matches!(error, SourceError::Parquet { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())) && error.contains(said), "{error}");
    }
    let error = Source::open(vec![(Input::Standard, column("text"))], pool()).unwrap().next().unwrap();
    assert!(error.unwrap_err().to_string().contains("-: Parquet cannot be read from a stream"));
}
