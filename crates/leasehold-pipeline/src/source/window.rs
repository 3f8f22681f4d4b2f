//! The part of an input that is in memory, and the records in it.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use leasehold::{MemoryOwner, SharedOwner};
#[cfg(feature = "directories")]
use memchr::memchr;
use memchr::memchr_iter;

use super::{
    access::{Access, Way},
    memory::{BLOCK, Memory},
    record::{Found, Records},
};
use crate::{document::Place, error::SourceError, mapping};

/// How much of a file is mapped at a time, unless a record is longer.
const MAPPED: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line, paragraph or CSV record, as a slice of the block it lies in.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) bytes: SharedOwner<u8>,
    pub(super) line: u64,
    pub(super) offset: u64,
}

/// Where the bytes of an input come from.
pub(super) enum Origin {
    /// A file of so many bytes, mapped or read piece by piece: memory in use does not depend on its length.
    File { file: File, length: u64, access: Access },
    /// A stream, read block by block.
    Stream(Box<dyn Read + Send>),
    /// A stream that cannot be read any further. What came before is given first.
    Failed(Option<SourceError>),
    /// A stream that has ended.
    Ended,
}

/// The bytes of one input that are in memory: the piece of a file that was mapped last, or the block of a stream that
/// was read last.
pub(super) struct Window {
    path: Arc<Path>,
    records: Records,
    memory: Memory,
    origin: Origin,
    /// Bytes read of what is decompressed on the way.
    read: Option<Arc<AtomicU64>>,
    data: SharedOwner<u8>,
    /// Where in `data` the next record begins.
    at: usize,
    /// Offset in the input of the first byte of `data`.
    offset: u64,
    /// Line ends before `at`.
    lines: u64,
    started: bool,
}

impl Window {
    /// `read` counts the bytes that are read of what is decompressed on the way.
    pub(super) fn new(
        path: Arc<Path>,
        records: Records,
        (origin, read): (Origin, Option<Arc<AtomicU64>>),
        memory: &Memory,
    ) -> Self {
        let (memory, data) = (memory.clone(), SharedOwner::from_static(&[]));
        Self { path, records, memory, origin, read, data, at: 0, offset: 0, lines: 0, started: false }
    }

    #[cfg(feature = "csv")]
    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Bytes of the input before the next record; of what is compressed, those that were read.
    pub(super) fn consumed(&self) -> u64 {
        match &self.read {
            // Relaxed: this thread counts them itself.
            Some(read) => read.load(Ordering::Relaxed),
            None => self.position(),
        }
    }

    /// Where a record stands.
    pub(super) fn place(&self, record: &Record) -> Place {
        Place { path: Arc::clone(&self.path), line: record.line, offset: record.offset }
    }

    /// A block for the text of a record that cannot stay where it is.
    pub(super) fn rent(&self, length: usize, line: u64) -> Result<MemoryOwner<u8>, SourceError> {
        self.memory.rent_text(length, &self.path, line)
    }

    /// The next record, blank or not.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>, SourceError> {
        if !self.started {
            self.start()?;
        }
        loop {
            let ended = self.is_complete();
            let bytes = &self.data[self.at..];
            match self.records.find(bytes, ended) {
                Found::Record { text, next } => {
                    let before = newlines(&bytes[..text.start]);
                    let after = newlines(&bytes[text.start..next]);
                    let record = Record {
                        bytes: self.data.slice(self.at + text.start..self.at + text.end),
                        line: self.lines + before + 1,
                        offset: self.position() + text.start as u64,
                    };
                    self.lines += before + after;
                    self.at += next;
                    return Ok(Some(record));
                }
                Found::Incomplete => self.refill()?,
                #[cfg(feature = "csv")]
                Found::Unclosed => {
                    let reason = "a quoted field begins here that has no end".to_owned();
                    return Err(SourceError::Csv { path: self.owned_path(), line: self.lines + 1, reason });
                }
                Found::End => {
                    self.at = self.data.len();
                    return Ok(None);
                }
            }
        }
    }

    /// Whether the first bytes are text: without a NUL, and UTF-8 unless what is not is `repaired`. Looks at no more than `most`.
    #[cfg(feature = "directories")]
    pub(super) fn begins_with_text(&mut self, most: usize, repaired: bool) -> Result<bool, SourceError> {
        self.start()?;
        while self.data.len() < most && !self.is_complete() && !matches!(self.origin, Origin::Failed(_)) {
            self.refill()?;
        }
        let head = &self.data[..most.min(self.data.len())];
        // A character that the end of the head has cut is none that is wrong.
        let cut = |error: std::str::Utf8Error| error.error_len().is_none();
        let is_sound = || std::str::from_utf8(head).map_or_else(cut, |_| true);
        Ok(memchr(0, head).is_none() && (repaired || is_sound()))
    }

    /// Steps over a byte order mark.
    fn start(&mut self) -> Result<(), SourceError> {
        // A first byte that is none of the mark's says enough: a slow writer's first line should not wait.
        while !self.is_complete()
            && self.data.len() < BYTE_ORDER_MARK.len()
            && BYTE_ORDER_MARK.starts_with(&self.data)
        {
            self.refill()?;
        }
        if self.data.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
        }
        self.started = true;
        Ok(())
    }

    /// Offset in the input, after decompression, of the next record.
    fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    fn owned_path(&self) -> PathBuf {
        self.path.to_path_buf()
    }

    /// Whether nothing comes behind `data`.
    fn is_complete(&self) -> bool {
        match &self.origin {
            Origin::File { length, .. } => self.offset + self.data.len() as u64 >= *length,
            Origin::Ended => true,
            Origin::Stream(_) | Origin::Failed(_) => false,
        }
    }

    /// Replaces `data` by what begins with the rest of it and goes on behind it.
    fn refill(&mut self) -> Result<(), SourceError> {
        if let Origin::Failed(error) = &mut self.origin {
            let error = error.take();
            self.origin = Origin::Ended;
            return error.map_or(Ok(()), Err);
        }
        let next = match &self.origin {
            Origin::File { file, length, access } => self.take_on(file, *length, *access)?,
            _ => self.read_on()?,
        };
        self.offset = self.position();
        self.at = 0;
        self.data = next;
        Ok(())
    }

    /// Takes the next piece of the file into memory.
    fn take_on(&self, file: &File, length: u64, access: Access) -> Result<SharedOwner<u8>, SourceError> {
        let metadata = file.metadata().map_err(|source| self.unreadable(source))?;
        if metadata.len() < length {
            return Err(SourceError::Cut { path: self.owned_path() });
        }
        match access.way_of(&metadata) {
            Way::Map => self.map_on(file, length),
            Way::Read => self.copy_on(file, length),
            Way::ReadIfShort => match self.copy_on(file, length) {
                Err(SourceError::TooLong { .. }) => self.map_on(file, length),
                other => other,
            },
        }
    }

    /// Maps the next piece of the file. Documents keep the piece that they lie in.
    fn map_on(&self, file: &File, length: u64) -> Result<SharedOwner<u8>, SourceError> {
        let (start, tail) = (self.position(), self.data.len() - self.at);
        if tail > self.memory.most() && !self.records.may_be_long() {
            return Err(self.memory.too_long(&self.path, self.lines + 1));
        }
        let piece = self.piece(MAPPED, tail, length).map_err(|source| self.unreadable(source))?;
        mapping::map_range(file, start, piece).map_err(|source| self.unreadable(source))
    }

    /// Reads the next piece of the file into a new block that begins with what is left of the last one.
    fn copy_on(&self, mut file: &File, length: u64) -> Result<SharedOwner<u8>, SourceError> {
        let tail = &self.data[self.at..];
        let piece = self.piece(BLOCK, tail.len(), length).map_err(|source| self.unreadable(source))?;
        let mut block = self.memory.rent(piece, &self.path, self.lines + 1)?;
        block[..tail.len()].copy_from_slice(tail);
        let behind = self.position() + tail.len() as u64;
        let read = file.seek(SeekFrom::Start(behind)).and_then(|_| file.read_exact(&mut block[tail.len()..]));
        match read {
            Ok(()) => Ok(block.into_shared()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(SourceError::Cut { path: self.owned_path() })
            }
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// How long the next piece of a file is: twice what is left of the last one at least, and no longer than the file.
    fn piece(&self, least: usize, tail: usize, length: u64) -> io::Result<usize> {
        let wanted =
            if self.records.is_whole() { u64::MAX } else { least.max(tail.saturating_mul(2)) as u64 };
        usize::try_from(wanted.min(length - self.position())).map_err(io::Error::other)
    }

    fn unreadable(&self, source: io::Error) -> SourceError {
        SourceError::Read { path: self.owned_path(), source }
    }

    /// Reads on into a new block that begins with what is left of the last one.
    ///
    /// Stops early where a record may be complete, so that it does not wait for a slow writer to fill a block.
    fn read_on(&mut self) -> Result<SharedOwner<u8>, SourceError> {
        let tail = self.data.slice(self.at..);
        let line = self.lines + 1;
        let mut block = self.memory.rent(BLOCK.max(tail.len().saturating_mul(2)), &self.path, line)?;
        block[..tail.len()].copy_from_slice(&tail);
        let mut filled = tail.len();
        while filled < block.len() {
            let Origin::Stream(reader) = &mut self.origin else { break };
            match reader.read(&mut block[filled..]) {
                Ok(0) => self.origin = Origin::Ended,
                Ok(read) => {
                    let new = filled;
                    filled += read;
                    if self.records.may_be_complete(&block[..filled], new) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let offset = self.position() + filled as u64;
                    self.origin = Origin::Failed(Some(self.failure(error, offset)));
                }
            }
        }
        block.truncate(filled);
        Ok(block.into_shared())
    }

    /// What it means that reading failed behind so many bytes.
    fn failure(&self, source: io::Error, offset: u64) -> SourceError {
        let path = self.owned_path();
        match self.read {
            Some(_) => SourceError::Compressed { path, offset, source },
            None => SourceError::Read { path, source },
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("path", &self.path)
            .field("records", &self.records)
            .field("consumed", &self.consumed())
            .finish_non_exhaustive()
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}
