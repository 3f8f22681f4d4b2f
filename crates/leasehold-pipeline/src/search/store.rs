//! Vectors of passages that were embedded before, found by what the passage says.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs::{self, File, OpenOptions, TryLockError},
    hash::{BuildHasherDefault, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest, Sha256};

use super::{
    Fingerprint,
    segment::{Header, Row, Segment},
};
use crate::error::StoreError;

/// A cache of vectors on disk, for one model in one precision.
///
/// The key of a vector is the passage itself, so a file that was moved costs nothing, and one that was edited costs what
/// was edited. Rows are kept in two generations of at most half the limit each. When the younger is full it becomes the
/// older, whose place it takes; what is found in the older one is taken over into the younger, so what is thrown away is
/// what was not asked for since.
///
/// Any number of processes may use one store: the first one writes, the others read what was there when they began, and
/// compute the rest. A process that is killed loses at most what it was writing. Damage is found by checksum, row by row,
/// and a damaged vector is as one that was never stored.
///
/// About 24 bytes of memory for each vector in the store; the vectors themselves stay on disk.
///
/// ```
/// use leasehold_pipeline::{Fingerprint, Precision, VectorStore};
///
/// # let place = tempfile::tempdir()?;
/// # let (directory, model) = (place.path().join("vectors"), place.path().join("model"));
/// let fingerprint = Fingerprint::of_model(&model, Precision::F32)?;
/// let store = VectorStore::open(&directory, fingerprint, 2, VectorStore::DEFAULT_LIMIT, &mut |_| {})?;
/// let key = store.key("A span is short.");
/// let mut vector = [0.0; 2];
/// if !store.get(&key, &mut vector) {
///     vector = [0.6, 0.8]; // What the model says.
///     store.put(&[key], &vector)?;
/// }
/// assert!(store.get(&key, &mut [0.0; 2]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct VectorStore {
    directory: PathBuf,
    fingerprint: Fingerprint,
    width: usize,
    /// The most rows of one generation.
    most_rows: u32,
    /// Held as long as this process may write.
    lock: Option<File>,
    state: RwLock<State>,
    counts: Counts,
}

/// What happened to a store when it was opened, for whoever shows it.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreEvent {
    /// Another process writes to the store; this one only reads.
    ReadOnly,
    /// Files of the store were not what they should be, and have another name now.
    PutAside {
        /// Where they are.
        path: PathBuf,
        /// What was wrong with them.
        reason: io::Error,
    },
}

/// What was found in a store and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Vectors that were there.
    pub hits: u64,
    /// Vectors that were not.
    pub misses: u64,
    /// Vectors whose checksum was wrong; each is a miss too.
    pub damaged: u64,
    /// Vectors written by this process, those that moved to the younger generation included.
    pub written: u64,
    /// Vectors that can be found.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

impl VectorStore {
    /// The limit that most users want: 1 GiB.
    pub const DEFAULT_LIMIT: u64 = 1 << 30;

    /// Opens the store of a model within `directory`, where each model has its own.
    ///
    /// The files together never take more than `limit` bytes. A limit below two rows means that nothing is kept.
    ///
    /// # Errors
    ///
    /// When the directory cannot be created or its files cannot be read or written.
    ///
    /// # Panics
    ///
    /// When `width` is zero.
    pub fn open(
        directory: &Path,
        fingerprint: Fingerprint,
        width: usize,
        limit: u64,
        notify: &mut dyn FnMut(StoreEvent),
    ) -> Result<Self, StoreError> {
        assert!(width > 0, "a vector without values is found by nothing");
        let directory = directory.join(&fingerprint.to_string()[..32]);
        let failed = |source| StoreError::Open { path: directory.clone(), source };
        fs::create_dir_all(&directory).map_err(failed)?;
        let lock = take_lock(&directory).map_err(failed)?;
        if lock.is_none() {
            notify(StoreEvent::ReadOnly);
        }
        let header = Header { fingerprint, width, generation: 0 };
        let most_rows = (limit / 2).saturating_sub(header.bytes(0)) / header.row_bytes();
        let mut opening = Opening { directory: &directory, header, writable: lock.is_some(), notify };
        let state = opening.run(limit).map_err(failed)?;
        let most_rows = u32::try_from(most_rows).unwrap_or(u32::MAX);
        let (state, counts) = (RwLock::new(state), Counts::default());
        Ok(Self { directory, fingerprint, width, most_rows, lock, state, counts })
    }

    /// The key of a passage.
    #[must_use]
    pub fn key(&self, passage: &str) -> Key {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint.as_bytes());
        hash.update(passage);
        Key::from_slice(&hash.finalize()[..Key::LENGTH])
    }

    /// Fills `vector` with what is stored under `key`; `false` where nothing is, and then it may hold anything.
    ///
    /// # Panics
    ///
    /// When `vector` has another length than the store's vectors.
    pub fn get(&self, key: &Key, vector: &mut [f32]) -> bool {
        assert_eq!(vector.len(), self.width, "the length of the store's vectors");
        let found = self.read().find(key, vector);
        // Relaxed, here and below: statistics.
        match found {
            Found::Young | Found::Nothing => {}
            Found::Old => self.keep(key, vector),
            Found::Damaged => {
                self.counts.damaged.fetch_add(1, Ordering::Relaxed);
                self.write().index.remove(key);
            }
        }
        let hit = matches!(found, Found::Young | Found::Old);
        let count = if hit { &self.counts.hits } else { &self.counts.misses };
        count.fetch_add(1, Ordering::Relaxed);
        hit
    }

    /// Stores vectors, back to back, one for each key. Does nothing where another process writes.
    ///
    /// # Errors
    ///
    /// When they cannot be written, for example because the disk is full; from then on nothing more is written, and what was
    /// there can still be read.
    ///
    /// # Panics
    ///
    /// When there is not one vector for each key.
    pub fn put(&self, keys: &[Key], vectors: &[f32]) -> Result<(), StoreError> {
        assert_eq!(vectors.len(), keys.len() * self.width, "one vector for each key");
        if self.lock.is_none() || self.most_rows == 0 {
            return Ok(());
        }
        let mut state = self.write();
        if state.broken {
            return Ok(());
        }
        let result = self.put_into(&mut state, keys, vectors);
        state.broken = result.is_err();
        result.map_err(|source| StoreError::Write { path: self.directory.clone(), source })
    }

    /// Whether this process writes what it computes.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.lock.is_some() && !self.read().broken
    }

    /// What was found so far, and what there is.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let state = self.read();
        let segments = [&state.young, &state.old].into_iter().flatten();
        // Relaxed: as in `get`.
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            hits: count(&self.counts.hits),
            misses: count(&self.counts.misses),
            damaged: count(&self.counts.damaged),
            written: count(&self.counts.written),
            rows: state.index.len() as u64,
            bytes: segments.map(|segment| segment.header().bytes(segment.rows())).sum(),
        }
    }

    /// Takes a vector that was found in the older generation over into the younger.
    fn keep(&self, key: &Key, vector: &[f32]) {
        // It was found all the same; that the disk is full is told by the next vector that is new.
        let _ = self.put(std::slice::from_ref(key), vector);
    }

    fn put_into(&self, state: &mut State, keys: &[Key], vectors: &[f32]) -> io::Result<()> {
        let (mut new_keys, mut new_vectors) = (Vec::new(), Vec::new());
        let mut seen = HashSet::<_, BuildHasherDefault<KeyHasher>>::default();
        for (key, vector) in keys.iter().zip(vectors.chunks_exact(self.width)) {
            let known = state.index.get(key).is_some_and(|slot| !slot.old);
            if !known && seen.insert(*key) {
                new_keys.push(*key);
                new_vectors.extend_from_slice(vector);
            }
        }
        while !new_keys.is_empty() {
            let rows = state.young.as_ref().map_or(u32::MAX, Segment::rows);
            if rows >= self.most_rows {
                self.turn(state)?;
            }
            let Some(young) = &mut state.young else { return Ok(()) };
            let room = (self.most_rows - young.rows()) as usize;
            let some = room.min(new_keys.len());
            let first = young.rows();
            let rows = young.append(&new_keys[..some], &new_vectors[..some * self.width])?;
            for (row, number) in rows.into_iter().zip(first..) {
                state.index.insert(row.key, Slot { row: number, checksum: row.checksum, old: false });
            }
            // Relaxed: as in `get`.
            self.counts.written.fetch_add(some as u64, Ordering::Relaxed);
            new_keys.drain(..some);
            new_vectors.drain(..some * self.width);
        }
        Ok(())
    }

    /// Makes the younger generation the older one, and begins a new one.
    fn turn(&self, state: &mut State) -> io::Result<()> {
        let last = state.young.as_ref().map_or(0, |young| young.header().generation);
        let header = Header { fingerprint: self.fingerprint, width: self.width, generation: last + 1 };
        // The oldest goes first, so that the limit holds at every moment.
        state.index.retain(|_, slot| !slot.old);
        if let Some(old) = state.old.take() {
            let path = generation_path(&self.directory, old.header().generation);
            drop(old);
            fs::remove_dir_all(path)?;
        }
        let young = Segment::create(&generation_path(&self.directory, header.generation), header)?;
        state.old = state.young.replace(young);
        for slot in state.index.values_mut() {
            slot.old = true;
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Whoever panicked was in the middle of no change that can be seen: rows are counted last.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a passage: 128 bits of the SHA-256 of model, precision and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; Key::LENGTH]);

impl Key {
    pub(super) const LENGTH: usize = 16;

    /// Takes the first bytes of a longer one.
    pub(super) fn from_slice(bytes: &[u8]) -> Self {
        let mut key = [0; Self::LENGTH];
        key.copy_from_slice(&bytes[..Self::LENGTH]);
        Self(key)
    }

    pub(super) fn as_bytes(&self) -> &[u8; Key::LENGTH] {
        &self.0
    }
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
    written: AtomicU64,
}

/// What is in the store.
#[derive(Debug, Default)]
struct State {
    index: HashMap<Key, Slot, BuildHasherDefault<KeyHasher>>,
    young: Option<Segment>,
    old: Option<Segment>,
    /// Writing has failed, and is not tried again.
    broken: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    row: u32,
    checksum: u32,
    old: bool,
}

enum Found {
    Young,
    Old,
    Damaged,
    Nothing,
}

impl State {
    fn find(&self, key: &Key, vector: &mut [f32]) -> Found {
        let Some(slot) = self.index.get(key) else { return Found::Nothing };
        let segment = if slot.old { &self.old } else { &self.young };
        let row = Row { key: *key, checksum: slot.checksum };
        match segment.as_ref().map(|segment| segment.read(slot.row, &row, vector)) {
            Some(Ok(true)) if slot.old => Found::Old,
            Some(Ok(true)) => Found::Young,
            _ => Found::Damaged,
        }
    }
}

/// The key is a hash already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    /// The length of the key, which is always the same.
    fn write_usize(&mut self, _length: usize) {}
}

/// Finds out what is in a store's directory, and puts it in order where it may.
struct Opening<'a> {
    directory: &'a Path,
    header: Header,
    writable: bool,
    notify: &'a mut dyn FnMut(StoreEvent),
}

impl Opening<'_> {
    fn run(&mut self, limit: u64) -> io::Result<State> {
        let mut state = State::default();
        let mut generations = self.generations()?;
        generations.sort_unstable();
        let mut newest = generations.last().copied().unwrap_or(0);
        let mut bytes = 0;
        for generation in generations.into_iter().rev() {
            let path = generation_path(self.directory, generation);
            if state.old.is_some() {
                // Left by a process that was killed as it began a new one.
                self.remove(&path)?;
                continue;
            }
            let Some((segment, rows)) = self.open(&path, generation)? else { continue };
            bytes += segment.header().bytes(segment.rows());
            if bytes > limit {
                self.remove(&path)?;
                continue;
            }
            let old = state.young.is_some();
            for (row, number) in rows.into_iter().zip(0..) {
                let slot = Slot { row: number, checksum: row.checksum, old };
                match state.index.entry(row.key) {
                    Entry::Occupied(known) if known.get().old != old => {}
                    // The later of two replaces one that was damaged.
                    entry => drop(entry.insert_entry(slot)),
                }
            }
            if old { state.old = Some(segment) } else { state.young = Some(segment) }
        }
        if self.writable && state.young.is_none() {
            newest += 1;
            let header = Header { generation: newest, ..self.header };
            state.young = Some(Segment::create(&generation_path(self.directory, newest), header)?);
        }
        Ok(state)
    }

    /// Opens a generation; `None` where it is damaged or, for who only reads, gone by now.
    fn open(&mut self, path: &Path, generation: u64) -> io::Result<Option<(Segment, Vec<Row>)>> {
        let header = Header { generation, ..self.header };
        match Segment::open(path, header, self.writable) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {
                self.put_aside(path, error)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives damaged files another name, in place of those that had it before.
    fn put_aside<T>(&mut self, path: &Path, reason: io::Error) -> io::Result<Option<T>> {
        if self.writable {
            let aside = self.directory.join("damaged");
            if aside.exists() {
                fs::remove_dir_all(&aside)?;
            }
            fs::rename(path, &aside)?;
            (self.notify)(StoreEvent::PutAside { path: aside, reason });
        }
        Ok(None)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.writable { fs::remove_dir_all(path) } else { Ok(()) }
    }

    fn generations(&self) -> io::Result<Vec<u64>> {
        let mut generations = Vec::new();
        for entry in fs::read_dir(self.directory)? {
            let name = entry?.file_name();
            if let Some(generation) = name.to_str().and_then(|name| name.parse().ok()) {
                generations.push(generation);
            }
        }
        Ok(generations)
    }
}

/// The lock of whoever writes; `None` where another process has it.
fn take_lock(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn generation_path(directory: &Path, generation: u64) -> PathBuf {
    directory.join(generation.to_string())
}
