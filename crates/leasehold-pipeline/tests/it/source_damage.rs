//! Every format, cut at every byte and damaged at every byte: a prefix of the documents, or an error; never a panic.

use leasehold_pipeline::{Format, Split};
use tempfile::TempDir;

use crate::support::{file, read, read_to_error, texts};

#[cfg(feature = "csv")]
const CSV: &[u8] = b"id,text\r\n1,one\n2,\"two\n\"\"lines\"\"\"\r\n3,\xE7\x8C\xAB\n4,\"four, quoted\"\n";
const JSON: &[u8] =
    b"{\"text\": \"one\"}\n\n{\"id\": [1, {}], \"text\": \"tw\\u006f \xE7\x8C\xAB\"}\n{\"text\": null}\n";
const TEXT: &[u8] = b"\xEF\xBB\xBFone\r\n\n\xE7\x8C\xAB two\nthree\n\n\nfour";

/// Asserts that of the documents of the whole, those of the cut are the first, but for the last, which may be cut itself.
fn check(whole: &[(u64, &str)], cut: &[(u64, &str)], name: &str, at: usize) {
    assert!(cut.len() <= whole.len(), "{name} at {at}: {cut:?}");
    let Some((last, before)) = cut.split_last() else { return };
    assert_eq!(before, &whole[..before.len()], "{name} at {at}");
    let (line, text) = whole[before.len()];
    assert!(last.0 == line && text.starts_with(last.1), "{name} at {at}: {last:?}");
}

fn formats() -> Vec<(&'static str, Vec<u8>, Format)> {
    #[cfg(feature = "csv")]
    let csv = Format::Csv { field: "text".into(), delimiter: b',' };
    let json = Format::JsonLines { field: "text".into() };
    #[cfg_attr(
        not(any(feature = "compression", feature = "csv")),
        expect(unused_mut, reason = "no more are added")
    )]
    let mut formats = vec![
        ("line.txt", TEXT.to_vec(), Format::Text(Split::Line)),
        ("paragraph.txt", TEXT.to_vec(), Format::Text(Split::Paragraph)),
        ("file.txt", TEXT.to_vec(), Format::Text(Split::File)),
        ("a.jsonl", JSON.to_vec(), json.clone()),
    ];
    #[cfg(feature = "csv")]
    formats.push(("a.csv", CSV.to_vec(), csv.clone()));
    #[cfg(feature = "compression")]
    {
        use crate::source_compressed::{gzip, zstd};

        formats.push(("a.txt.gz", gzip(TEXT), Format::Text(Split::Line)));
        formats.push(("a.txt.zst", zstd(TEXT), Format::Text(Split::Line)));
        formats.push(("a.jsonl.zst", zstd(JSON), json));
        #[cfg(feature = "csv")]
        formats.push(("a.csv.gz", [gzip(&CSV[..20]), gzip(&CSV[20..])].concat(), csv));
    }
    formats
}

#[test]
fn a_file_that_is_cut_gives_its_first_documents_or_an_error() {
    let directory = TempDir::new().unwrap();
    for (name, bytes, format) in formats() {
        let documents = read(file(&directory, name, &bytes), format.clone()).unwrap();
        let whole = texts(&documents);
        // What is cut within the mark of its compression is another text.
        let mark = if bytes.starts_with(&[0x1F, 0x8B]) || bytes.starts_with(&[0x28, 0xB5]) { 4 } else { 0 };
        for at in mark..bytes.len() {
            let (documents, _) = read_to_error(file(&directory, name, &bytes[..at]), format.clone());
            check(&whole, &texts(&documents), name, at);
        }
    }
}

#[test]
fn a_file_with_a_wrong_byte_gives_documents_or_an_error() {
    let directory = TempDir::new().unwrap();
    for (name, mut bytes, format) in formats() {
        for at in 0..bytes.len() {
            for wrong in [0x00, 0x22, 0x80, 0xFF] {
                let right = std::mem::replace(&mut bytes[at], wrong);
                for document in read_to_error(file(&directory, name, &bytes), format.clone()).0 {
                    document.text().unwrap();
                }
                bytes[at] = right;
            }
        }
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_file_that_is_cut_or_damaged_is_an_error_or_has_other_rows() {
    use parquet::{
        basic::Compression,
        file::properties::{EnabledStatistics, WriterProperties},
    };

    use crate::source_parquet::{column, write_column};

    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !leasehold_pipeline::panic_is_caught() {
            hook(panic);
        }
    }));
    let directory = TempDir::new().unwrap();
    for codec in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::LZ4_RAW] {
        for dictionary in [false, true] {
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_dictionary_enabled(dictionary)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true)
                .set_created_by(String::new())
                .build();
            let path = directory.path().join("whole");
            write_column(&path, &[Some("one"), None, Some("two"), Some("one")], properties);
            let mut bytes = std::fs::read(path).unwrap();
            for at in 0..bytes.len() {
                let cut = file(&directory, "a.parquet", &bytes[..at]);
                assert!(read(cut, column("text")).is_err(), "at {at}");
                for wrong in [0x00, 0x7F, 0xFF] {
                    let right = std::mem::replace(&mut bytes[at], wrong);
                    let (documents, _) = read_to_error(file(&directory, "a.parquet", &bytes), column("text"));
                    assert!(documents.len() < 1000);
                    bytes[at] = right;
                }
            }
        }
    }
}
