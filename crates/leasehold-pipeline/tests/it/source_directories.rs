//! Directories and patterns.

use std::{fs, path::PathBuf, sync::atomic::Ordering};

use leasehold_pipeline::{Format, Input, Source, SourceError, Split};
use tempfile::TempDir;

use crate::support::{file, pool};

fn by_ending(field: Option<&str>) -> Format {
    Format::ByEnding { split: None, field: field.map(Into::into) }
}

/// Paths within the directory and texts of all documents, and the number of files passed over.
fn read(directory: &TempDir, input: PathBuf, format: Format) -> (Vec<(String, String)>, u64) {
    let mut source = Source::open(vec![(Input::File(input), format)], pool()).unwrap();
    let mut last = 0;
    let documents = source.by_ref().map(|document| {
        let document = document.unwrap();
        assert!(document.consumed >= last);
        last = document.consumed;
        let path = document.place.path.strip_prefix(directory.path()).unwrap();
        (path.to_str().unwrap().to_owned(), document.text().unwrap().to_owned())
    });
    let documents = documents.collect();
    assert!(last <= source.total_bytes().unwrap());
    (documents, source.skipped_files().load(Ordering::Relaxed))
}

fn names(documents: &[(String, String)]) -> Vec<&str> {
    documents.iter().map(|(name, _)| name.as_str()).collect()
}

fn tree() -> TempDir {
    let directory = TempDir::new().unwrap();
    for name in ["sub/deep", ".git", "sub/.hidden"] {
        fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    for name in ["b.txt", "a.md", "sub/c.rs", "sub/deep/d", ".e.txt", "sub/.hidden/f.txt", "ignored.txt"] {
        file(&directory, name, name.as_bytes());
    }
    file(&directory, ".gitignore", b"ignored.txt\n");
    file(&directory, "sub/picture.bin", b"\x89PNG\0\0");
    file(&directory, "sub/latin.txt", b"caf\xE9 au lait");
    file(&directory, "sub/records.jsonl", b"{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
    directory
}

#[test]
fn files_of_a_directory_come_in_order_without_hidden_ignored_and_binary_ones() {
    let directory = tree();
    let (documents, passed_over) = read(&directory, directory.path().to_owned(), by_ending(None));
    let expected = ["a.md", "b.txt", "sub/c.rs", "sub/deep/d", "sub/records.jsonl", "sub/records.jsonl"];
    assert_eq!(names(&documents), expected);
    assert_eq!(documents[5].1, "two");
    assert_eq!(passed_over, 2);
}

#[test]
fn with_a_field_only_files_that_have_fields_are_read() {
    let directory = tree();
    let (documents, passed_over) = read(&directory, directory.path().to_owned(), by_ending(Some("text")));
    assert_eq!(names(&documents), ["sub/records.jsonl"; 2]);
    assert_eq!(passed_over, 0);
}

#[test]
fn a_character_at_the_end_of_the_first_bytes_is_not_taken_for_a_wrong_one() {
    let directory = TempDir::new().unwrap();
    for shift in 0..4 {
        let text = format!("{}{}", "x".repeat(8 * 1024 - shift), "猫".repeat(10));
        file(&directory, &format!("{shift}.txt"), text.as_bytes());
    }
    let (documents, passed_over) = read(&directory, directory.path().to_owned(), Format::Text(Split::Line));
    assert_eq!((documents.len(), passed_over), (4, 0));
}

#[test]
fn patterns_match_within_and_across_directories() {
    let directory = tree();
    let matched = |pattern: &str| {
        let (documents, _) = read(&directory, directory.path().join(pattern), by_ending(None));
        documents.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(matched("*.txt"), ["b.txt", "ignored.txt"], "a pattern names what it names");
    assert_eq!(matched("./*.txt"), matched("*.txt"));
    assert_eq!(matched(".//./b*"), matched("b*"));
    assert_eq!(matched("*/c.?s"), ["sub/c.rs"]);
    assert_eq!(matched("**/[cd]*"), ["sub/c.rs", "sub/deep/d"]);
    assert_eq!(matched("{a.md,sub/deep/d}"), ["a.md", "sub/deep/d"]);
    assert_eq!(matched(".e.*"), [".e.txt"]);
    // A file that is there is meant as it is called.
    file(&directory, "[x].txt", b"itself");
    assert_eq!(matched("[x].txt"), ["[x].txt"]);
}

#[test]
fn a_pattern_that_matches_nothing_or_is_none_is_an_error() {
    let directory = tree();
    let open = |pattern: &str| {
        let input = Input::File(directory.path().join(pattern));
        Source::open(vec![(input, by_ending(None))], pool()).unwrap_err()
    };
    assert!(matches!(open("*.nothing"), SourceError::NoMatch { .. }));
    let error = open("*.{txt");
    assert!(matches!(&error, SourceError::List { .. }), "{error}");
    assert!(error.to_string().contains("*.{txt: "), "{error}");
}

#[test]
fn an_empty_directory_has_no_documents() {
    let directory = TempDir::new().unwrap();
    let (documents, passed_over) = read(&directory, directory.path().to_owned(), by_ending(None));
    assert_eq!((documents.len(), passed_over), (0, 0));
}

#[cfg(feature = "compression")]
#[test]
fn compressed_files_of_a_directory_are_looked_into() {
    use crate::source_compressed::gzip;

    let directory = TempDir::new().unwrap();
    file(&directory, "a.txt.gz", &gzip(b"text\n"));
    file(&directory, "b.tar.gz", &gzip(b"name\0\0\0ustar"));
    let (documents, passed_over) = read(&directory, directory.path().to_owned(), by_ending(None));
    assert_eq!(names(&documents), ["a.txt.gz"]);
    assert_eq!(passed_over, 1);
}
