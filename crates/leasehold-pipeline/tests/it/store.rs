//! The cache of vectors: what was put in comes out, whatever happened in between.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use leasehold_pipeline::{Fingerprint, Key, Precision, StoreEvent, StoreStats, VectorStore};
use tempfile::TempDir;

use crate::support::Random;

const WIDTH: usize = 3;

/// Bytes of a row in both files.
const ROW: u64 = 20 + 4 * WIDTH as u64;

/// Bytes of both headers of both generations.
const HEADERS: u64 = 4 * 64;

fn fingerprint(directory: &Path) -> Fingerprint {
    Fingerprint::of_model(directory, Precision::F32).unwrap()
}

fn open(directory: &Path, limit: u64) -> VectorStore {
    VectorStore::open(directory, fingerprint(directory), WIDTH, limit, &mut |event| panic!("{event:?}"))
        .unwrap()
}

fn vector(text: &str) -> [f32; WIDTH] {
    let sum = text.bytes().map(f32::from).sum::<f32>();
    [sum, text.len() as f32, -sum]
}

fn put(store: &VectorStore, texts: &[&str]) {
    let keys: Vec<Key> = texts.iter().map(|text| store.key(text)).collect();
    let vectors: Vec<f32> = texts.iter().flat_map(|text| vector(text)).collect();
    store.put(&keys, &vectors).unwrap();
}

/// Whether the store has a text; panics when it has something else in its place.
fn has(store: &VectorStore, text: &str) -> bool {
    let mut found = [0.0; WIDTH];
    let hit = store.get(&store.key(text), &mut found);
    assert!(!hit || found == vector(text), "{found:?} for {text:?}");
    hit
}

/// Every file of the store whose name is `name`.
fn files(directory: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, name));
        } else if path.file_name().unwrap() == name {
            found.push(path);
        }
    }
    found
}

fn bytes_on_disk(directory: &Path) -> u64 {
    let paths = [files(directory, "keys"), files(directory, "vectors")].concat();
    paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

#[test]
fn what_was_stored_is_found_by_the_next_process() {
    let place = TempDir::new().unwrap();
    let store = open(place.path(), 1 << 20);
    assert!(!has(&store, "one"));
    put(&store, &["one", "two", "one"]);
    assert!(has(&store, "one") && has(&store, "two"));
    assert_eq!(store.stats().written, 2);
    drop(store);
    let store = open(place.path(), 1 << 20);
    assert!(has(&store, "one") && has(&store, "two") && !has(&store, "three"));
    let expected = StoreStats { hits: 2, misses: 1, rows: 2, bytes: 128 + 2 * ROW, ..StoreStats::default() };
    assert_eq!(store.stats(), expected);
}

#[test]
fn a_text_that_was_edited_by_one_line_misses_one_line() {
    let place = TempDir::new().unwrap();
    let store = open(place.path(), 1 << 20);
    let lines: Vec<String> = (0..50).map(|line| format!("line {line}")).collect();
    put(&store, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut edited = lines;
    edited[20] = "another line".to_owned();
    edited.reverse();
    let missed: Vec<_> = edited.iter().filter(|line| !has(&store, line)).collect();
    assert_eq!(missed, ["another line"]);
}

#[test]
fn one_process_writes_and_the_others_read() {
    let place = TempDir::new().unwrap();
    let first = open(place.path(), 1 << 20);
    put(&first, &["one"]);
    let mut events = Vec::new();
    let second = VectorStore::open(place.path(), fingerprint(place.path()), WIDTH, 1 << 20, &mut |event| {
        events.push(event);
    });
    let second = second.unwrap();
    assert!(matches!(events[..], [StoreEvent::ReadOnly]), "{events:?}");
    assert!(first.is_writable() && !second.is_writable());
    put(&second, &["two"]);
    assert!(has(&second, "one") && !has(&second, "two"));
    put(&first, &["three"]);
    assert!(has(&first, "three") && !has(&second, "three"), "it reads what was there when it began");
    drop((first, second));
    let third = open(place.path(), 1 << 20);
    assert!(third.is_writable());
    assert!(has(&third, "one") && !has(&third, "two") && has(&third, "three"));
}

#[test]
fn a_tail_that_was_torn_anywhere_costs_one_vector_at_most() {
    let place = TempDir::new().unwrap();
    let store = open(place.path(), 1 << 20);
    put(&store, &["one", "two", "three"]);
    drop(store);
    let (keys, vectors) = (files(place.path(), "keys").remove(0), files(place.path(), "vectors").remove(0));
    let whole = (fs::read(&keys).unwrap(), fs::read(&vectors).unwrap());
    for key_bytes in 0..=20 {
        for vector_bytes in 0..=WIDTH * 4 {
            fs::write(&keys, &whole.0[..whole.0.len() - key_bytes]).unwrap();
            fs::write(&vectors, &whole.1[..whole.1.len() - vector_bytes]).unwrap();
            let store = open(place.path(), 1 << 20);
            assert!(has(&store, "one") && has(&store, "two"));
            assert_eq!(has(&store, "three"), key_bytes == 0 && vector_bytes == 0);
            put(&store, &["four"]);
            drop(store);
            let store = open(place.path(), 1 << 20);
            assert!(has(&store, "one") && has(&store, "two") && has(&store, "four"));
        }
    }
}

#[test]
fn a_damaged_vector_is_as_one_that_was_never_stored() {
    let place = TempDir::new().unwrap();
    let store = open(place.path(), 1 << 20);
    put(&store, &["one", "two", "three"]);
    drop(store);
    let vectors = files(place.path(), "vectors").remove(0);
    let mut bytes = fs::read(&vectors).unwrap();
    bytes[64 + 4 * WIDTH] ^= 1;
    fs::write(&vectors, bytes).unwrap();
    let store = open(place.path(), 1 << 20);
    assert!(has(&store, "one") && !has(&store, "two") && has(&store, "three"));
    assert_eq!((store.stats().damaged, store.stats().misses), (1, 1));
    put(&store, &["two"]);
    assert!(has(&store, "two"));
    drop(store);
    assert!(has(&open(place.path(), 1 << 20), "two"));
}

#[test]
fn files_that_are_something_else_are_put_aside() {
    for (name, bytes) in [("keys", &b"something else"[..]), ("vectors", &[b'x'; 500]), ("keys", b"")] {
        let place = TempDir::new().unwrap();
        let store = open(place.path(), 1 << 20);
        put(&store, &["one"]);
        drop(store);
        let spoiled = files(place.path(), name).remove(0);
        fs::write(&spoiled, bytes).unwrap();
        let mut aside = Vec::new();
        let print = fingerprint(place.path());
        let store = VectorStore::open(place.path(), print, WIDTH, 1 << 20, &mut |event| match event {
            StoreEvent::PutAside { path, .. } => aside.push(path),
            other => panic!("{other:?}"),
        })
        .unwrap();
        assert_eq!(fs::read(aside[0].join(name)).unwrap(), bytes);
        assert!(!has(&store, "one"));
        put(&store, &["one"]);
        drop(store);
        assert!(has(&open(place.path(), 1 << 20), "one"));
    }
}

#[test]
fn a_file_that_is_missing_is_put_aside_with_its_twin() {
    let place = TempDir::new().unwrap();
    drop(open(place.path(), 1 << 20));
    fs::remove_file(files(place.path(), "vectors").remove(0)).unwrap();
    let mut events = 0;
    let print = fingerprint(place.path());
    let store = VectorStore::open(place.path(), print, WIDTH, 1 << 20, &mut |_| events += 1).unwrap();
    assert_eq!(events, 1);
    put(&store, &["one"]);
    assert!(has(&store, "one"));
}

#[test]
fn other_models_and_precisions_have_stores_of_their_own() {
    let (place, model) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(model.path().join("config.json"), "{}").unwrap();
    let prints = [
        Fingerprint::of_model(place.path(), Precision::F32).unwrap(),
        Fingerprint::of_model(place.path(), Precision::Int8).unwrap(),
        Fingerprint::of_model(model.path(), Precision::F32).unwrap(),
    ];
    let stores: Vec<_> = prints
        .iter()
        .map(|print| {
            VectorStore::open(place.path(), *print, WIDTH, 1 << 20, &mut |event| panic!("{event:?}")).unwrap()
        })
        .collect();
    put(&stores[0], &["one"]);
    assert!(has(&stores[0], "one") && !has(&stores[1], "one") && !has(&stores[2], "one"));
    assert_ne!(stores[0].key("one"), stores[1].key("one"));
}

#[test]
fn a_limit_without_room_keeps_nothing() {
    let place = TempDir::new().unwrap();
    for limit in [0, HEADERS, HEADERS + ROW] {
        let store = open(place.path(), limit);
        put(&store, &["one"]);
        assert!(!has(&store, "one"));
    }
}

#[test]
fn a_lower_limit_is_kept_from_the_moment_it_is_given() {
    let place = TempDir::new().unwrap();
    let texts: Vec<String> = (0..40).map(|text| text.to_string()).collect();
    put(&open(place.path(), 1 << 20), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let limit = HEADERS + 10 * ROW;
    assert!(bytes_on_disk(place.path()) > limit);
    let store = open(place.path(), limit);
    assert!(bytes_on_disk(place.path()) <= limit);
    put(&store, &["one"]);
    assert!(has(&store, "one"));
    assert!(bytes_on_disk(place.path()) <= limit);
}

/// The oracle: when a text was used last. As many different texts as half the limit holds are always kept.
#[test]
fn what_was_used_last_is_there_and_the_limit_holds() {
    let mut random = Random::new(2);
    for _ in 0..60 {
        let rows = 1 + random.below(11);
        let limit = HEADERS + 2 * rows as u64 * ROW;
        let place = TempDir::new().unwrap();
        let mut store = open(place.path(), limit);
        let mut last_used: HashMap<String, usize> = HashMap::new();
        for time in 0..80 {
            let text = random.below(30).to_string();
            match random.below(9) {
                0 => {
                    drop(store);
                    store = open(place.path(), limit);
                }
                1..=4 => {
                    put(&store, &[&text]);
                    last_used.insert(text, time);
                }
                _ => {
                    let last = last_used.get(&text).copied();
                    let since = last.map(|last| last_used.values().filter(|other| **other >= last).count());
                    let found = has(&store, &text);
                    assert!(found || since.is_none_or(|since| since > rows), "{text} was used just now");
                    assert!(!found || since.is_some(), "{text} was never stored");
                    if found {
                        last_used.insert(text, time);
                    }
                }
            }
            assert!(bytes_on_disk(place.path()) <= limit);
        }
    }
}

#[test]
fn of_more_vectors_at_once_than_there_is_room_for_the_last_are_kept() {
    let place = TempDir::new().unwrap();
    let store = open(place.path(), HEADERS + 2 * 5 * ROW);
    let texts: Vec<String> = (0..17).map(|text| text.to_string()).collect();
    put(&store, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    // Of the older generation what is asked for is kept, and makes the rest of it go.
    assert!(["16", "15", "14", "13", "12"].iter().all(|text| has(&store, text)));
    assert!(!has(&store, "9"));
}
