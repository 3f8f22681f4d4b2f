//! Files that are mapped, files that are read, and files that somebody cuts meanwhile.

use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use leasehold::{BoundedPool, MemoryPool};
use leasehold_pipeline::{Access, Document, Format, Input, Source, SourceError, Split};
use tempfile::TempDir;

use crate::support::{file, pool, read};

fn open(path: PathBuf, split: Split, access: Access, pool: &BoundedPool) -> Source {
    let mut source = Source::open(vec![(Input::File(path), Format::Text(split))], pool).unwrap();
    source.access(access);
    source
}

/// Makes the last change of a file an hour old.
fn age(path: &PathBuf) {
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|line| format!("This is line {line} of several.\n").into_bytes()).collect()
}

#[test]
fn what_is_read_is_what_would_be_mapped() {
    let directory = TempDir::new().unwrap();
    let mut text: Vec<String> =
        (0..9000).map(|line| if line % 7 == 0 { String::new() } else { "é".repeat(line % 311) }).collect();
    text[4000] = "x".repeat(3 << 20);
    let path = file(&directory, "a.txt", format!("\u{feff}{}", text.join("\r\n")).as_bytes());
    for split in [Split::Line, Split::Paragraph, Split::File] {
        let mapped = read(path.clone(), Format::Text(split)).unwrap();
        for access in [Access::Read, Access::MapQuiet, Access::Map] {
            let other: Vec<Document> =
                open(path.clone(), split, access, pool()).collect::<Result<_, _>>().unwrap();
            assert_eq!(other.len(), mapped.len(), "{split:?} {access:?}");
            for (other, mapped) in other.iter().zip(&mapped) {
                assert_eq!((&other.place, other.consumed), (&mapped.place, mapped.consumed));
                assert!(other.text().unwrap() == mapped.text().unwrap(), "{:?}", other.place);
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error_behind_what_was_read() {
    for access in [Access::Read, Access::MapQuiet] {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "a.log", &lines(20_000));
        let pool = MemoryPool::builder().build_bounded(8 << 20);
        let mut source = open(path.clone(), Split::Line, access, &pool);
        let mut documents = vec![source.next().unwrap().unwrap()];
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        let error = loop {
            match source.next().unwrap() {
                Ok(document) => documents.push(document),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, SourceError::Cut { path: cut } if *cut == path), "{access:?}: {error}");
        assert!(source.next().is_none());
        assert!(documents.len() > 1000, "a block of them");
        for (line, document) in documents.iter().enumerate() {
            assert_eq!(document.text().unwrap(), format!("This is line {line} of several."));
        }
    }
}

#[test]
fn of_a_mapped_file_that_is_cut_no_further_piece_is_mapped() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.log", &lines(500_000));
    let mut source = open(path.clone(), Split::Line, Access::Map, pool());
    source.next().unwrap().unwrap();
    // Behind the first piece of 8 MiB, so that what is mapped stays.
    File::options().write(true).open(&path).unwrap().set_len(9 << 20).unwrap();
    let last = source.find(Result::is_err).unwrap();
    assert!(matches!(last, Err(SourceError::Cut { .. })), "{last:?}");
}

#[test]
fn what_is_added_to_a_file_while_it_is_read_is_left_for_the_next_time() {
    use std::io::Write;

    for access in [Access::Map, Access::Read] {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, "a.log", &lines(5000));
        let mut source = open(path.clone(), Split::Line, access, pool());
        source.next().unwrap().unwrap();
        File::options().append(true).open(&path).unwrap().write_all(&lines(5000)).unwrap();
        assert_eq!(source.map(Result::unwrap).count(), 4999);
    }
}

#[test]
fn only_files_that_nobody_writes_to_are_mapped_if_that_was_asked_for() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.log", &lines(10));
    let rented = |access| {
        let pool = MemoryPool::builder().build_bounded(1 << 20);
        let mut source = open(path.clone(), Split::Line, access, &pool);
        let document = source.next().unwrap().unwrap();
        assert_eq!(document.text().unwrap(), "This is line 0 of several.");
        pool.stats().rented_bytes > 0
    };
    assert!(!rented(Access::Map) && rented(Access::Read));
    assert!(rented(Access::MapQuiet), "it was changed a moment ago");
    age(&path);
    assert!(!rented(Access::MapQuiet));
    assert!(rented(Access::Read));
}

#[test]
fn a_passage_that_the_pool_has_no_room_for_is_mapped_unless_that_is_not_wanted() {
    let directory = TempDir::new().unwrap();
    let path = file(&directory, "a.txt", format!("short\n{}", "x".repeat(1 << 20)).as_bytes());
    let pool = MemoryPool::builder().build_bounded(1 << 20);
    for split in [Split::Line, Split::File] {
        let documents: Vec<Document> =
            open(path.clone(), split, Access::MapQuiet, &pool).collect::<Result<_, _>>().unwrap();
        assert!(documents.last().unwrap().text.len() >= 1 << 20);
        let error = open(path.clone(), split, Access::Read, &pool).find_map(Result::err).unwrap();
        assert!(matches!(error, SourceError::TooLong { most: 262_144, .. }), "{error}");
    }
}
