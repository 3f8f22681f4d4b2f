//! What becomes of text that is not UTF-8.

use std::{
    str,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use leasehold::{MemoryOwner, SharedOwner};

use crate::{document::Text, error::SourceError};

/// What becomes of a passage that is not UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// It is an error that names the place of the first wrong byte.
    #[default]
    Error,
    /// What is wrong in it is replaced by U+FFFD, as [`String::from_utf8_lossy`] does. Only such passages are copied.
    Replace,
    /// It is left out: the line, paragraph, file, JSON object, record or row.
    Skip,
}

/// What is to be done, and how often it was.
#[derive(Debug, Default)]
pub(super) struct Repair {
    pub(super) invalid: Invalid,
    pub(super) count: Arc<AtomicU64>,
}

/// What became of bytes that should be text.
pub(super) enum Repaired {
    /// They are, and stay where they are.
    Sound(SharedOwner<u8>),
    /// They were not, and were put right in a block of their own.
    Replaced(MemoryOwner<u8>, SharedOwner<u8>),
    /// They are to be left out.
    LeftOut,
}

impl Repair {
    /// Looks at bytes, and has a block rented for them where that is needed. `wrong` is told where the first wrong byte is.
    pub(super) fn look(
        &self,
        bytes: SharedOwner<u8>,
        rent: impl FnOnce(usize) -> Result<MemoryOwner<u8>, SourceError>,
        wrong: impl FnOnce(usize) -> SourceError,
    ) -> Result<Repaired, SourceError> {
        let Err(error) = str::from_utf8(&bytes) else { return Ok(Repaired::Sound(bytes)) };
        match self.invalid {
            Invalid::Error => return Err(wrong(error.valid_up_to())),
            Invalid::Replace => {}
            Invalid::Skip => {
                self.note();
                return Ok(Repaired::LeftOut);
            }
        }
        let mut block = rent(replaced_len(&bytes))?;
        let written = replace(&bytes, &mut block);
        block.truncate(written);
        self.note();
        Ok(Repaired::Replaced(block, bytes))
    }

    fn note(&self) {
        // Relaxed: a statistic.
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Repaired {
    /// The text, which knows what the input has in its place.
    pub(super) fn into_text(self) -> Option<Text> {
        match self {
            Self::Sound(bytes) => Some(Text::checked(bytes)),
            Self::Replaced(block, input) => Some(Text::repaired(block.into_shared(), input)),
            Self::LeftOut => None,
        }
    }
}

const REPLACEMENT: &str = "\u{FFFD}";

/// Bytes that are needed when everything wrong is replaced.
fn replaced_len(bytes: &[u8]) -> usize {
    let chunks = bytes.utf8_chunks();
    chunks.map(|chunk| chunk.valid().len() + replacement(chunk.invalid()).len()).sum()
}

/// Writes bytes with everything wrong replaced; tells how many that were, at most as many as there is room for: a mapped
/// file may have been changed since they were counted.
fn replace(bytes: &[u8], block: &mut [u8]) -> usize {
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        for part in [chunk.valid(), replacement(chunk.invalid())] {
            let Some(room) = block.get_mut(at..at + part.len()) else { return at };
            room.copy_from_slice(part.as_bytes());
            at += part.len();
        }
    }
    at
}

fn replacement(wrong: &[u8]) -> &'static str {
    if wrong.is_empty() { "" } else { REPLACEMENT }
}

/// How many bytes of `input` so many bytes of what was made of it stand for; these end with a character.
pub(crate) fn input_len(input: &[u8], length: usize) -> usize {
    let (mut text, mut walked) = (length, 0);
    // What is replaced never gets shorter, so no more than this is needed.
    for chunk in input[..length.min(input.len())].utf8_chunks() {
        let (valid, wrong) = (chunk.valid().len(), chunk.invalid());
        if text <= valid {
            return walked + text;
        }
        if text < valid + REPLACEMENT.len() {
            return walked + valid;
        }
        text -= valid + REPLACEMENT.len();
        walked += valid + wrong.len();
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of every kind of damage, one after the other.
    const DAMAGED: &[u8] =
        b"a\xFFb\xC3\xA9c\xE2\x82d\xF0\x9F\x92\xF0\x9F\x92\xA9\xC0\x80\xED\xA0\x80e\xEF\xBF\xBDf\xE2";

    #[test]
    fn what_is_replaced_is_what_the_standard_library_replaces() {
        for start in 0..DAMAGED.len() {
            for end in start..=DAMAGED.len() {
                let bytes = &DAMAGED[start..end];
                let expected = String::from_utf8_lossy(bytes);
                let mut block = vec![0; replaced_len(bytes)];
                assert_eq!(replace(bytes, &mut block), expected.len());
                assert_eq!(block, expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_place_in_the_text_is_a_place_in_the_input() {
        let text = String::from_utf8_lossy(DAMAGED);
        let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
        let mut walked = 0;
        for (end, character) in ends.zip(text.chars()) {
            let found = input_len(DAMAGED, end);
            let piece = &DAMAGED[walked..found];
            assert_eq!(String::from_utf8_lossy(piece), character.to_string(), "{piece:X?}");
            walked = found;
        }
        assert_eq!(walked, DAMAGED.len());
        assert_eq!(input_len(DAMAGED, 0), 0);
    }

    #[test]
    fn a_block_that_is_too_short_is_filled_with_whole_characters() {
        let mut block = [b'x'; 4];
        assert_eq!(replace(b"ab\xFFc", &mut block), 2);
    }
}
