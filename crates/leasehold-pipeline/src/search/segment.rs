//! The two files of one generation of a [`VectorStore`](super::VectorStore): keys and vectors, row by row.
//!
//! ```text
//! keys:     header | key, checksum | key, checksum | ..
//! vectors:  header | f32 x width   | f32 x width   | ..
//! ```
//!
//! Rows are only ever added, a vector before its key, so a row whose key is there is whole. What a process that was killed
//! left behind the last whole row is cut off by the next one that writes. The checksum covers key and vector, for what
//! a power failure or a bad disk leaves.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    path::Path,
};

use super::{Fingerprint, store::Key};

const HEADER: usize = 64;

/// Says what the file is, and in which version of the format.
const MAGIC: &[u8; 8] = b"lhstore1";

/// Bytes of a key with its checksum.
const KEY_ROW: usize = Key::LENGTH + size_of::<u32>();

/// What the files of one generation must begin with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) fingerprint: Fingerprint,
    pub(super) width: usize,
    pub(super) generation: u64,
}

impl Header {
    /// Bytes of both files for one row.
    pub(super) fn row_bytes(&self) -> u64 {
        (KEY_ROW + self.width * size_of::<f32>()) as u64
    }

    /// Bytes of both files for so many rows.
    pub(super) fn bytes(&self, rows: u32) -> u64 {
        2 * HEADER as u64 + u64::from(rows) * self.row_bytes()
    }

    fn encode(&self, kind: u8) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8] = kind;
        header[12..16].copy_from_slice(&(self.width as u32).to_le_bytes());
        header[16..24].copy_from_slice(&self.generation.to_le_bytes());
        header[24..56].copy_from_slice(self.fingerprint.as_bytes());
        header
    }
}

/// The kind of file that a header is for.
const KEYS: u8 = b'k';
const VECTORS: u8 = b'v';

/// The files of one generation, open.
#[derive(Debug)]
pub(super) struct Segment {
    header: Header,
    keys: File,
    vectors: File,
    rows: u32,
}

/// One row that was found when a segment was opened.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) checksum: u32,
}

impl Segment {
    /// Makes an empty one; it gets its name only when both files are there.
    pub(super) fn create(directory: &Path, header: Header) -> io::Result<Self> {
        let unnamed = directory.with_extension("new");
        if unnamed.exists() {
            fs::remove_dir_all(&unnamed)?;
        }
        fs::create_dir(&unnamed)?;
        fs::write(unnamed.join("keys"), header.encode(KEYS))?;
        fs::write(unnamed.join("vectors"), header.encode(VECTORS))?;
        fs::rename(&unnamed, directory)?;
        let (keys, vectors) = open_files(directory, true)?;
        Ok(Self { header, keys, vectors, rows: 0 })
    }

    /// Opens what is there, and cuts off a row that is not whole where it may write.
    ///
    /// Errors of the kind `InvalidData` say that the files are not what they should be.
    pub(super) fn open(directory: &Path, header: Header, writable: bool) -> io::Result<(Self, Vec<Row>)> {
        let (keys, vectors) = open_files(directory, writable)?;
        check(&keys, &header.encode(KEYS))?;
        check(&vectors, &header.encode(VECTORS))?;
        // The keys first: a process that writes at the same time writes the vectors first.
        let mut found = Vec::new();
        let mut reader = BufReader::with_capacity(1 << 16, &keys);
        let mut row = [0; KEY_ROW];
        while read_whole(&mut reader, &mut row)? {
            let (key, checksum) = row.split_at(Key::LENGTH);
            let checksum = u32::from_le_bytes([checksum[0], checksum[1], checksum[2], checksum[3]]);
            found.push(Row { key: Key::from_slice(key), checksum });
        }
        let vector_bytes = (header.width * size_of::<f32>()) as u64;
        let whole = vectors.metadata()?.len().saturating_sub(HEADER as u64) / vector_bytes;
        found.truncate(usize::try_from(whole).unwrap_or(usize::MAX).min(u32::MAX as usize));
        let mut segment = Self { header, keys, vectors, rows: found.len() as u32 };
        if writable {
            segment.cut()?;
        }
        Ok((segment, found))
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Reads the vector of a row; `false` where it does not have that checksum.
    pub(super) fn read(&self, row: u32, wanted: &Row, vector: &mut [f32]) -> io::Result<bool> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(vector);
        let offset = HEADER as u64 + u64::from(row) * bytes.len() as u64;
        read_exact_at(&self.vectors, bytes, offset)?;
        let right = checksum(&wanted.key, bytes) == wanted.checksum;
        if cfg!(target_endian = "big") {
            for value in vector {
                *value = f32::from_bits(value.to_bits().swap_bytes());
            }
        }
        Ok(right)
    }

    /// Adds rows and tells their checksums. After an error there are as many rows as before.
    pub(super) fn append(&mut self, keys: &[Key], vectors: &[f32]) -> io::Result<Vec<Row>> {
        let bytes = little_endian(vectors);
        let rows: Vec<Row> = keys
            .iter()
            .zip(bytes.chunks_exact(self.header.width * size_of::<f32>()))
            .map(|(key, bytes)| Row { key: *key, checksum: checksum(key, bytes) })
            .collect();
        let mut encoded = Vec::with_capacity(rows.len() * KEY_ROW);
        for row in &rows {
            encoded.extend_from_slice(row.key.as_bytes());
            encoded.extend_from_slice(&row.checksum.to_le_bytes());
        }
        if let Err(error) = self.vectors.write_all(&bytes).and_then(|()| self.keys.write_all(&encoded)) {
            self.cut()?;
            return Err(error);
        }
        self.rows += rows.len() as u32;
        Ok(rows)
    }

    /// Makes both files end behind the last row.
    fn cut(&mut self) -> io::Result<()> {
        let rows = u64::from(self.rows);
        self.keys.set_len(HEADER as u64 + rows * KEY_ROW as u64)?;
        self.vectors.set_len(HEADER as u64 + rows * (self.header.width * size_of::<f32>()) as u64)
    }
}

fn open_files(directory: &Path, writable: bool) -> io::Result<(File, File)> {
    let open = |name| OpenOptions::new().read(true).append(writable).open(directory.join(name));
    Ok((open("keys")?, open("vectors")?))
}

fn check(mut file: &File, expected: &[u8; HEADER]) -> io::Result<()> {
    let mut header = [0; HEADER];
    if !read_whole(&mut file, &mut header)? || header != *expected {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the header is not that of this store"));
    }
    Ok(())
}

/// Fills the buffer; `false` where fewer bytes are left.
fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn checksum(key: &Key, vector: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(vector);
    hasher.finalize()
}

fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

/// Reads without moving the place that others read at.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Reads at a place of its own; appending does not depend on where that is.
#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
