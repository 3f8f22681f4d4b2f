//! Parts of a document, as documents that know where in the input they stand.

use std::ops::Range;

use memchr::memchr_iter;

use crate::{document::Document, error::SourceError};

/// How far the parts of one document have been taken out of it, each of which begins behind the beginning of the one before.
///
/// Every byte is looked at a few times at the most, however many parts there are.
#[derive(Clone, Debug)]
pub(crate) struct Passages {
    /// Whether the text is as its file has it, so that the lines in it are lines of the file.
    follows_lines: bool,
    /// A place in the text.
    at: usize,
    /// Lines that end before it.
    lines: u64,
    /// Bytes of the input before it, from the document's first on.
    input: usize,
}

impl Passages {
    pub(crate) fn new(follows_lines: bool) -> Self {
        Self { follows_lines, at: 0, lines: 0, input: 0 }
    }

    /// The part at `range` of the document, which is always the same.
    pub(crate) fn next(&mut self, document: &Document, range: Range<usize>) -> Result<Document, SourceError> {
        let Document { text, place, consumed } = document;
        let passed = self.at..range.start;
        self.lines += memchr_iter(b'\n', &text.as_bytes()[passed.clone()]).count() as u64;
        self.input += text.input_len_from(self.input, passed.len());
        self.at = range.start;
        let mut place = place.clone();
        if self.follows_lines {
            place.line += self.lines;
            place.offset += self.input as u64;
        }
        let part = text.slice_at(range, self.input).map_err(|_| document.changed())?;
        let behind = text.input_len() - (self.input + part.input_len());
        Ok(Document { text: part, place, consumed: consumed.saturating_sub(behind as u64) })
    }
}
