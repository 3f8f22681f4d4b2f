//! Input that is compressed.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use leasehold_pipeline::{Format, Input, Source, SourceError, Split};
use tempfile::TempDir;

use crate::support::{file, pool, read, read_to_error, texts};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Numbered lines that do not compress to nothing.
fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|line| format!("line {line} {:x}\n", line.wrapping_mul(2_654_435_761))).collect()
}

#[test]
fn compressed_files_read_as_what_they_hold_whatever_they_are_called() {
    let directory = TempDir::new().unwrap();
    let text = lines(0..20_000);
    let plain = read(file(&directory, "plain.txt", text.as_bytes()), Format::Text(Split::Line)).unwrap();
    for (name, bytes) in [("a.gz", gzip(text.as_bytes())), ("b", zstd(text.as_bytes()))] {
        let path = file(&directory, name, &bytes);
        let documents = read(path, Format::Text(Split::Line)).unwrap();
        assert_eq!(texts(&documents), texts(&plain));
        assert_eq!(documents[7].place.offset, plain[7].place.offset);
        // Progress is counted in the bytes of the file.
        assert_eq!(documents.last().unwrap().consumed, bytes.len() as u64);
    }
}

#[test]
fn members_and_frames_are_read_one_behind_the_other() {
    let directory = TempDir::new().unwrap();
    let (first, second) = ("one\ntw".as_bytes(), "o\nthree".as_bytes());
    // A frame that holds no data may stand anywhere.
    let skippable = [&[0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let cases = [
        [gzip(first), gzip(b""), gzip(second)].concat(),
        [zstd(first), skippable.clone(), zstd(second)].concat(),
        [skippable.clone(), zstd(first), zstd(second)].concat(),
        [zstd(first), zstd(b""), zstd(second), skippable.clone(), skippable].concat(),
    ];
    for bytes in cases {
        let documents = read(file(&directory, "a", &bytes), Format::Text(Split::Line)).unwrap();
        assert_eq!(texts(&documents), [(1, "one"), (2, "two"), (3, "three")]);
    }
}

#[test]
fn zeros_behind_gzip_data_are_no_data() {
    let directory = TempDir::new().unwrap();
    let (first, second) = (gzip(b"one\ntw"), gzip(b"o\n"));
    for zeros in [1, 511, 100_000] {
        let zeros = vec![0; zeros];
        let cases = [[&first[..], &second, &zeros].concat(), [&first[..], &zeros, &second, &zeros].concat()];
        for bytes in cases {
            let documents = read(file(&directory, "a.gz", &bytes), Format::Text(Split::Line)).unwrap();
            assert_eq!(texts(&documents), [(1, "one"), (2, "two")]);
        }
    }
}

#[test]
fn something_else_behind_compressed_data_is_an_error_behind_the_data() {
    let directory = TempDir::new().unwrap();
    let gzip = gzip(b"one\ntwo\n");
    let cases = [
        ([&gzip[..], b"text"].concat(), Some("gzip -dc")),
        ([&gzip[..], b"\0\0\0text"].concat(), Some("gzip -dc")),
        ([&gzip[..], b"\x1F"].concat(), None),
        ([&gzip[..], b"\x1Ftext that is no member"].concat(), None),
        ([&gzip[..], &zstd(b"three")].concat(), Some("gzip -dc")),
        ([&zstd(b"one\ntwo\n")[..], b"text"].concat(), None),
        ([&zstd(b"one\ntwo\n")[..], &gzip].concat(), None),
    ];
    for (bytes, said) in cases {
        let path = file(&directory, "a", &bytes);
        let (documents, error) = read_to_error(path, Format::Text(Split::Line));
        assert_eq!(texts(&documents), [(1, "one"), (2, "two")]);
        let Some(SourceError::Compressed { offset: 8, source, .. }) = error else { panic!("{error:?}") };
        assert!(source.to_string().contains(said.unwrap_or("")), "{source}");
    }
}

#[test]
fn compression_goes_with_every_format_of_text() {
    let directory = TempDir::new().unwrap();
    let by_ending = Format::ByEnding { split: None, field: None };
    let json = file(&directory, "a.jsonl.gz", &gzip(b"{\"text\": \"one\"}\n{\"text\": \"two\"}\n"));
    assert_eq!(texts(&read(json, by_ending.clone()).unwrap()), [(1, "one"), (2, "two")]);
    #[cfg(feature = "csv")]
    {
        let csv = file(&directory, "a.csv.zst", &zstd(b"text,id\none,1\n"));
        assert_eq!(texts(&read(csv, by_ending).unwrap()), [(2, "one")]);
    }
    let whole = file(&directory, "b.gz", &gzip(b"a\n\nb\n"));
    assert_eq!(texts(&read(whole, Format::Text(Split::File)).unwrap()), [(1, "a\n\nb\n")]);
}

#[test]
fn what_came_before_the_damage_is_given() {
    let directory = TempDir::new().unwrap();
    let text = lines(0..20_000);
    for compressed in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let path = file(&directory, "cut", &compressed[..compressed.len() / 2]);
        let (documents, error) = read_to_error(path.clone(), Format::Text(Split::Line));
        assert!(documents.len() > 5_000, "{} documents", documents.len());
        let whole: Vec<_> = text.lines().take(documents.len()).collect();
        assert_eq!(texts(&documents).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), whole);
        let Some(SourceError::Compressed { path: named, offset, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*named, path);
        // Less than a line was thrown away.
        let given: usize = whole.iter().map(|line| line.len() + 1).sum();
        assert!((given as u64..given as u64 + 30).contains(offset), "{offset} behind {given}");
    }
}

#[test]
fn damage_within_is_an_error_at_every_place() {
    let directory = TempDir::new().unwrap();
    let text = lines(0..200);
    // Frames of zstd have no checksum unless they are asked for one, as the program does.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    for compressed in [gzip(text.as_bytes()), encoder.finish().unwrap()] {
        // What stands before may be flags and times that change nothing.
        for at in (20..compressed.len()).step_by(7) {
            let mut damaged = compressed.clone();
            damaged[at] ^= 0x55;
            let path = file(&directory, "a", &damaged);
            let (_, error) = read_to_error(path, Format::Text(Split::Line));
            let expected =
                matches!(error, Some(SourceError::Compressed { .. } | SourceError::NotUtf8 { .. }));
            assert!(expected, "at {at}: {error:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_stream_shows_its_first_line_before_the_second_is_written() {
    let directory = TempDir::new().unwrap();
    let fifo: PathBuf = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for first in ["a\n", "(\n", "P\n", "\u{FEFF}b\n"] {
        // The writer ends only when it is told to, which is after its first line has been read.
        let mut writer = Command::new("sh")
            .args(["-c", "exec >\"$0\"; printf '%s' \"$1\"; read line; echo \"$line\""])
            .args([fifo.as_os_str(), first.as_ref()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let inputs = vec![(Input::File(fifo.clone()), Format::Text(Split::Line))];
        let mut source = Source::open(inputs, pool()).unwrap();
        let line = source.next().unwrap().unwrap();
        assert_eq!(line.text().unwrap(), first.trim_start_matches('\u{FEFF}').trim_end());
        writeln!(writer.stdin.take().unwrap(), "second").unwrap();
        assert_eq!(source.next().unwrap().unwrap().text().unwrap(), "second");
        assert!(source.next().is_none());
        writer.wait().unwrap();
    }
    drop(fs::remove_file(fifo));
}

#[test]
fn a_compressed_line_of_a_hundred_megabytes_is_one_document() {
    let directory = TempDir::new().unwrap();
    let mut bytes = vec![b'x'; 100 << 20];
    bytes.extend_from_slice(b"\nshort\n");
    let path = file(&directory, "a.zst", &zstd(&bytes));
    drop(bytes);
    let documents = read(path, Format::Text(Split::Line)).unwrap();
    assert_eq!(documents.iter().map(|document| document.text.len()).collect::<Vec<_>>(), [100 << 20, 5]);
}
