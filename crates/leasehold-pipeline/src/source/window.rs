//! The part of an input that is in memory, and the records in it.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use leasehold::{BoundedPool, MemoryOwner, SharedOwner};
use memchr::{memchr, memchr_iter};

use super::{
    Format, Split,
    record::{Found, find},
};
use crate::{error::SourceError, mapping};

/// Size of the blocks that a stream is read in, unless a record is longer.
const BLOCK: usize = 64 * 1024;

/// The longest record of a stream; a mapped file has no such limit.
const LONGEST: usize = 256 * 1024 * 1024;

/// How much of a file is mapped at a time, unless a record is longer.
const MAPPED: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line or paragraph, as a slice of the block it lies in.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) bytes: SharedOwner<u8>,
    pub(super) line: u64,
    pub(super) offset: u64,
}

/// Where the bytes of an input come from.
enum Origin {
    /// A file of so many bytes, mapped piece by piece: memory in use does not depend on its length.
    File { file: File, length: u64 },
    /// A stream, read block by block.
    Stream(Box<dyn Read + Send>),
    /// A stream that has ended.
    Ended,
}

/// The bytes of one input that are in memory: the piece of a file that was mapped last, or the block of a stream that
/// was read last.
pub(super) struct Window {
    path: Arc<Path>,
    format: Format,
    pool: BoundedPool,
    origin: Origin,
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
    pub(super) fn file(path: Arc<Path>, format: Format, file: File, length: u64, pool: &BoundedPool) -> Self {
        Self::new(path, format, Origin::File { file, length }, pool)
    }

    pub(super) fn stream(
        path: Arc<Path>,
        format: Format,
        reader: Box<dyn Read + Send>,
        pool: &BoundedPool,
    ) -> Self {
        Self::new(path, format, Origin::Stream(reader), pool)
    }

    fn new(path: Arc<Path>, format: Format, origin: Origin, pool: &BoundedPool) -> Self {
        let data = SharedOwner::from_static(&[]);
        Self { path, format, pool: pool.clone(), origin, data, at: 0, offset: 0, lines: 0, started: false }
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(super) fn format(&self) -> &Format {
        &self.format
    }

    /// Bytes of the input before the next record.
    pub(super) fn consumed(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// The next record, blank or not.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>, SourceError> {
        if !self.started {
            self.start()?;
        }
        loop {
            let bytes = &self.data[self.at..];
            match find(self.split(), bytes, self.is_complete()) {
                Found::Record { text, next } => {
                    let before = newlines(&bytes[..text.start]);
                    let after = newlines(&bytes[text.start..next]);
                    let record = Record {
                        bytes: self.data.slice(self.at + text.start..self.at + text.end),
                        line: self.lines + before + 1,
                        offset: self.consumed() + text.start as u64,
                    };
                    self.lines += before + after;
                    self.at += next;
                    return Ok(Some(record));
                }
                Found::Incomplete => self.refill()?,
                Found::End => {
                    self.at = self.data.len();
                    return Ok(None);
                }
            }
        }
    }

    /// Steps over a byte order mark.
    fn start(&mut self) -> Result<(), SourceError> {
        while !self.is_complete() && self.data.len() < BYTE_ORDER_MARK.len() {
            self.refill()?;
        }
        if self.data.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
        }
        self.started = true;
        Ok(())
    }

    fn split(&self) -> Split {
        match self.format {
            Format::Text(split) => split,
            Format::JsonLines { .. } => Split::Line,
        }
    }

    /// Whether nothing comes behind `data`.
    fn is_complete(&self) -> bool {
        match &self.origin {
            Origin::File { length, .. } => self.offset + self.data.len() as u64 >= *length,
            Origin::Stream(_) => false,
            Origin::Ended => true,
        }
    }

    /// Replaces `data` by what begins with the rest of it and goes on behind it.
    fn refill(&mut self) -> Result<(), SourceError> {
        let next = match &self.origin {
            Origin::File { file, length } => self.map_on(file, *length)?,
            _ => self.read_on()?,
        };
        self.offset = self.consumed();
        self.at = 0;
        self.data = next;
        Ok(())
    }

    /// Maps the next piece of the file. Documents keep the piece that they lie in.
    fn map_on(&self, file: &File, length: u64) -> Result<SharedOwner<u8>, SourceError> {
        let wanted = MAPPED.max((self.data.len() - self.at).saturating_mul(2)) as u64;
        let start = self.consumed();
        let piece = wanted.min(length - start);
        usize::try_from(piece)
            .map_err(io::Error::other)
            .and_then(|piece| mapping::map_range(file, start, piece))
            .map_err(|source| SourceError::Read { path: self.path.to_path_buf(), source })
    }

    /// Reads on into a new block that begins with what is left of the last one.
    ///
    /// Stops early where a line is complete, so that lines do not wait for a slow writer to fill a block.
    fn read_on(&mut self) -> Result<SharedOwner<u8>, SourceError> {
        let tail = &self.data[self.at..];
        if tail.len() > LONGEST {
            let path = self.path.to_path_buf();
            return Err(SourceError::TooLong { path, line: self.lines + 1, most: LONGEST });
        }
        let length = BLOCK.max(tail.len() * 2);
        let mut block: MemoryOwner<u8> = self.pool.rent_blocking(length).map_err(|error| {
            let path = self.path.to_path_buf();
            SourceError::Read { path, source: io::Error::new(io::ErrorKind::OutOfMemory, error) }
        })?;
        block[..tail.len()].copy_from_slice(tail);
        let mut filled = tail.len();
        while let Origin::Stream(reader) = &mut self.origin
            && filled < block.len()
        {
            match reader.read(&mut block[filled..]) {
                Ok(0) => self.origin = Origin::Ended,
                Ok(read) => {
                    let complete = memchr(b'\n', &block[filled..filled + read]).is_some();
                    filled += read;
                    if complete && self.split() == Split::Line {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(SourceError::Read { path: self.path.to_path_buf(), source });
                }
            }
        }
        block.truncate(filled);
        Ok(block.into_shared())
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("consumed", &self.consumed())
            .finish_non_exhaustive()
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}
