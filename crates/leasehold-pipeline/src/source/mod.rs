//! Where documents come from: files, directories, standard input; text, JSON lines, CSV, Parquet.
//!
//! ```text
//! Files ---> Reader ---> Document          Files:  the files that inputs name, one after the other
//!              |                           Reader: one of them, of a known format
//!              +-- Window (text, JSON lines, CSV): the bytes in memory, mapped, read or decompressed
//!              +-- Rows (Parquet): decoded pages
//! ```

mod access;
#[cfg(any(feature = "csv", feature = "parquet"))]
mod columns;
mod compressed;
#[cfg(feature = "csv")]
mod csv;
mod files;
mod format;
mod guard;
mod json;
#[cfg(feature = "directories")]
mod listing;
mod memory;
#[cfg(feature = "parquet")]
mod parquet;
mod reader;
mod record;
mod repair;
mod window;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use leasehold::BoundedPool;
use sha2::{Digest, Sha256};

pub(crate) use self::repair::input_len;
pub use self::{
    access::Access,
    format::{Format, Split},
    guard::panic_is_caught,
    repair::Invalid,
};
use self::{
    files::{Files, Named},
    memory::Memory,
    reader::Reader,
    repair::Repair,
};
use crate::{document::Document, error::SourceError, hex::hex};

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The file at that path; mapped where it is a regular file, read as a stream where it is a pipe.
    ///
    /// Of a directory, all files in it and below it, in the order of their names, without hidden ones and those that
    /// version control ignores. Files that are no text are passed over. Where there is nothing at the path and it holds one
    /// of `*?[{`, all files that match it as a pattern; `*` stays within a directory, `**` does not.
    File(PathBuf),
    /// Standard input, written `-`.
    Standard,
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Standard } else { Self::File(path) }
    }
}

/// Documents of several inputs, one after the other, each opened when it is reached.
///
/// Blank documents are skipped, and counted. After an error it gives nothing more.
///
/// What begins like gzip or zstd is decompressed on the way, but not Parquet, which has a compression of its own.
///
/// Regular files are mapped, unless [`access`](Self::access) says otherwise: they must not be written to or cut while the source
/// or a document of it lives. Streams, and strings that cannot stay where they are, are read into blocks of the pool. It should be one, or a share of one, that
/// only this source rents from, because the source waits when it is used up: documents give memory back, and nothing else
/// does. A record that needs more than a quarter of it is an error.
///
/// # Examples
///
/// ```no_run
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{Format, Input, Source};
///
/// let pool = MemoryPool::builder().build_bounded(64 << 20);
/// let format = Format::ByEnding { split: None, field: None };
/// for document in Source::open(vec![(Input::File("notes".into()), format)], &pool)? {
///     let document = document?;
///     println!("{}:{}: {}", document.place.path.display(), document.place.line, document.text()?);
/// }
/// # Ok::<(), leasehold_pipeline::SourceError>(())
/// ```
#[derive(Debug)]
pub struct Source {
    memory: Memory,
    files: Files,
    current: Option<Reader>,
    finished_bytes: u64,
    total_bytes: Option<u64>,
    skipped: Arc<AtomicU64>,
    skipped_files: Arc<AtomicU64>,
    repair: Repair,
    access: Access,
}

impl Source {
    /// Makes sure that every input is there before the first is read.
    ///
    /// # Errors
    ///
    /// When one of them does not exist or cannot be opened, a directory cannot be listed, a pattern matches nothing, or
    /// standard input is named twice.
    pub fn open(inputs: Vec<(Input, Format)>, pool: &BoundedPool) -> Result<Self, SourceError> {
        let times = inputs.iter().filter(|(input, _)| *input == Input::Standard).count();
        if times > 1 {
            return Err(SourceError::StandardInputTwice { times });
        }
        Ok(Self {
            memory: Memory::new(pool),
            total_bytes: Files::check(&inputs)?,
            files: Files::new(inputs),
            current: None,
            finished_bytes: 0,
            skipped: Arc::default(),
            skipped_files: Arc::default(),
            repair: Repair::default(),
            access: Access::default(),
        })
    }

    /// The SHA-256 of what the inputs are: the name, length and time of change of each file, in order. `left_out` as for
    /// [`leave_out`](Self::leave_out). Of standard input, and of other streams, it says only that they are there.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn fingerprint(inputs: Vec<(Input, Format)>, left_out: &[&Path]) -> Result<String, SourceError> {
        let mut files = Files::new(inputs);
        left_out.iter().for_each(|path| files.leave_out(path));
        let mut hash = Sha256::new();
        for named in files {
            let Input::File(path) = named?.input else {
                hash.update(b"-\0");
                continue;
            };
            let metadata = fs::metadata(&path).map_err(files::open_error(&path))?;
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update(b"\0");
            if metadata.is_file() {
                let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                hash.update(metadata.len().to_le_bytes());
                hash.update(changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
            }
        }
        Ok(hex(&hash.finalize()))
    }

    /// Passes over this file where a directory or a pattern has it: what an earlier run has written there.
    pub fn leave_out(&mut self, path: &Path) {
        self.files.leave_out(path);
    }

    /// Says what becomes of passages that are not UTF-8; if nothing is said, they are errors.
    ///
    /// Of JSON lines the whole line counts, of CSV and Parquet the field. Files in directories are read then whether they begin
    /// with UTF-8 or not.
    pub fn treat_invalid(&mut self, invalid: Invalid) {
        self.repair.invalid = invalid;
    }

    /// Says how the text of regular files comes into memory; if nothing is said, they are mapped.
    pub fn access(&mut self, access: Access) {
        self.access = access;
    }

    /// Bytes of all inputs, where each is a regular file.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The number of blank documents skipped so far; may be kept and read while the source is in use.
    #[must_use]
    pub fn skipped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.skipped)
    }

    /// The number of files passed over so far, in directories, because they are no text: their first 8 KiB hold a NUL byte
    /// or, where that is an error, are not UTF-8. May be kept as the other.
    #[must_use]
    pub fn skipped_files(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.skipped_files)
    }

    /// The number of passages so far that were not UTF-8, and were repaired or left out. May be kept as the others.
    #[must_use]
    pub fn not_utf8(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.repair.count)
    }

    fn next_document(&mut self) -> Result<Option<Document>, SourceError> {
        loop {
            let Some(reader) = &mut self.current else {
                let Some(named) = self.files.next() else { return Ok(None) };
                self.current = self.open_next(&named?)?;
                continue;
            };
            match reader.next_document(&self.repair)? {
                Next::Document(mut document) => {
                    document.consumed += self.finished_bytes;
                    return Ok(Some(document));
                }
                // Relaxed: a statistic.
                Next::Blank => {
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                }
                Next::LeftOut => {}
                Next::End => {
                    self.finished_bytes += reader.consumed();
                    self.current = None;
                }
            }
        }
    }

    /// `None` for a file that is passed over.
    fn open_next(&mut self, named: &Named) -> Result<Option<Reader>, SourceError> {
        #[cfg_attr(not(feature = "directories"), expect(unused_mut, reason = "nothing is looked into"))]
        let mut reader = Reader::open(&named.input, named.format.clone(), self.access, &self.memory)?;
        #[cfg(feature = "directories")]
        if let (true, Input::File(path)) = (named.found, &named.input)
            && !reader.is_readable(&self.repair)?
        {
            // Relaxed: a statistic.
            self.skipped_files.fetch_add(1, Ordering::Relaxed);
            self.finished_bytes += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            return Ok(None);
        }
        Ok(Some(reader))
    }
}

impl Iterator for Source {
    type Item = Result<Document, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_document().transpose();
        if matches!(next, Some(Err(_)) | None) {
            self.current = None;
            self.files = Files::new(Vec::new());
        }
        next
    }
}

/// What a reader comes to.
enum Next {
    Document(Document),
    /// Something blank, or a null.
    Blank,
    /// Something that is not UTF-8.
    LeftOut,
    End,
}
