//! What travels from the source to the sink.

use std::{
    ops::Range,
    path::Path,
    str::{self, Utf8Error},
    sync::Arc,
};

use leasehold::SharedOwner;

use crate::error::SourceError;

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

/// UTF-8 text in a shared block: a slice of the mapped file or of a block that was read, not a copy.
#[derive(Clone, Debug)]
pub struct Text {
    bytes: SharedOwner<u8>,
}

impl Text {
    /// Takes bytes that are UTF-8.
    ///
    /// # Errors
    ///
    /// When they are not.
    pub fn new(bytes: SharedOwner<u8>) -> Result<Self, Utf8Error> {
        str::from_utf8(&bytes)?;
        Ok(Self { bytes })
    }

    /// Takes bytes that somebody has found to be UTF-8 a moment ago.
    pub(crate) fn checked(bytes: SharedOwner<u8>) -> Self {
        Self { bytes }
    }

    /// A part of the text, in the same block.
    ///
    /// # Errors
    ///
    /// When the part begins or ends inside a character.
    ///
    /// # Panics
    ///
    /// When the range is not within the text.
    pub fn slice(&self, range: Range<usize>) -> Result<Self, Utf8Error> {
        Self::new(self.bytes.slice(range))
    }

    /// The text as a string; looks at each byte again, because a mapped file may have been changed.
    ///
    /// # Errors
    ///
    /// When it was changed and is no longer UTF-8.
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        str::from_utf8(&self.bytes)
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
