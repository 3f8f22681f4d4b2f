//! What travels from the source to the sink.

use std::{
    ops::Range,
    path::Path,
    str::{self, Utf8Error},
    sync::Arc,
};

use leasehold::SharedOwner;

use crate::{error::SourceError, source::input_len};

/// A passage to embed, and where it came from.
///
/// ```
/// use std::path::Path;
/// use leasehold::MemoryOwner;
/// use leasehold_pipeline::{Document, Place, Text};
///
/// let block = MemoryOwner::from("First line.\nSecond line.".to_owned()).into_shared();
/// let line = Text::new(block.clone())?.slice(12..24)?;
/// let place = Place { path: Path::new("notes.txt").into(), line: 2, offset: 12 };
/// let document = Document { text: line, place, consumed: 24 };
/// assert_eq!(document.text()?, "Second line.");
/// assert_eq!(block.owners(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Document {
    /// The passage.
    pub text: Text,
    /// Where it stands in the input.
    pub place: Place,
    /// How many bytes of all inputs had been consumed at its end.
    pub consumed: u64,
}

impl Document {
    /// The passage as a string.
    ///
    /// # Errors
    ///
    /// When the mapped file was changed since it was read.
    pub fn text(&self) -> Result<&str, SourceError> {
        self.text.as_str().map_err(|_| self.changed())
    }

    /// That the mapped file was changed since the passage was read.
    pub(crate) fn changed(&self) -> SourceError {
        SourceError::Changed { path: self.place.path.to_path_buf(), line: self.place.line }
    }
}

/// A place in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or `-` for standard input.
    pub path: Arc<Path>,
    /// The line at which the passage starts, counted from one; of a Parquet file, the row.
    pub line: u64,
    /// The byte at which the passage, or the JSON object or CSV record that holds it, starts in the input, as it is after
    /// decompression; zero in a Parquet file.
    pub offset: u64,
}

impl Place {
    /// That the byte at an offset is not UTF-8, in the record here.
    pub(crate) fn not_utf8(&self, offset: u64) -> SourceError {
        SourceError::NotUtf8 { path: self.path.to_path_buf(), line: self.line, offset }
    }
}

/// UTF-8 text in a shared block: a slice of the mapped file or of a block that was read, not a copy.
///
/// Only what was not UTF-8, and had something replaced, is a copy; it knows the bytes that the input has in its place.
#[derive(Clone, Debug)]
pub struct Text {
    bytes: SharedOwner<u8>,
    /// What the input has in the place of text that was repaired.
    input: Option<SharedOwner<u8>>,
}

impl Text {
    /// Takes bytes that are UTF-8.
    ///
    /// # Errors
    ///
    /// When they are not.
    pub fn new(bytes: SharedOwner<u8>) -> Result<Self, Utf8Error> {
        str::from_utf8(&bytes)?;
        Ok(Self::checked(bytes))
    }

    /// Takes bytes that somebody has found to be UTF-8 a moment ago.
    pub(crate) fn checked(bytes: SharedOwner<u8>) -> Self {
        Self { bytes, input: None }
    }

    /// Takes bytes that were made of others, in which something was replaced.
    pub(crate) fn repaired(bytes: SharedOwner<u8>, input: SharedOwner<u8>) -> Self {
        Self { bytes, input: Some(input) }
    }

    /// A part of the text, in the same block. Of text that was repaired everything before the part is looked at.
    ///
    /// # Errors
    ///
    /// When the part begins or ends inside a character.
    ///
    /// # Panics
    ///
    /// When the range is not within the text.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, Utf8Error> {
        let start = self.input_len_from(0, range.start);
        self.slice_at(range, start)
    }

    /// A part of the text that begins so many bytes behind the first one in the input.
    pub(crate) fn slice_at(&self, range: Range<usize>, start: usize) -> Result<Self, Utf8Error> {
        let part = Self::new(self.bytes.slice(range.clone()))?;
        let length = self.input_len_from(start, range.len());
        let input = self.input.as_ref().map(|input| input.slice(start..start + length));
        Ok(Self { input, ..part })
    }

    /// How many bytes the text takes in the input: as many as it has, unless some that were not UTF-8 were replaced.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.input.as_ref().map_or(self.len(), |input| input.len())
    }

    /// How many bytes of the input stand for so many of the text, from a place in the input on.
    pub(crate) fn input_len_from(&self, start: usize, length: usize) -> usize {
        self.input.as_ref().map_or(length, |input| input_len(&input[start..], length))
    }

    /// The block that the text lies in, without what the input has in its place.
    pub(crate) fn into_bytes(self) -> SharedOwner<u8> {
        self.bytes
    }

    /// The text as a string; looks at each byte again, because a mapped file may have been changed.
    ///
    /// # Errors
    ///
    /// When it was changed and is no longer UTF-8.
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.bytes)
    }

    /// The bytes, which were UTF-8 when they were looked at last.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
