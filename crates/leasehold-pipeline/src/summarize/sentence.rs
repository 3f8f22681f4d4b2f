//! Where one sentence ends and the next begins.

use std::{
    collections::VecDeque,
    ops::Range,
    str::{self, Utf8Error},
};

use unicode_segmentation::UnicodeSegmentation;

use super::{abbreviation::goes_on, block::next_block};

/// How much of a block is looked at together, and so the longest sentence.
const WINDOW: usize = 64 * 1024;

/// The sentences of `text`, as ranges of its bytes.
///
/// Sentences end where Unicode's rules say (UAX #29, with line ends within a block taken for spaces), but not behind an
/// abbreviation or an initial that is followed by a name or a number. They also end where a block of text ends: at a blank
/// line, a heading, an item of a list. White space around a sentence, markers of headings and items, and lines without
/// letters or digits belong to no sentence.
///
/// Memory does not depend on the length of the text; a sentence of more than 64 KiB is cut.
///
/// # Examples
/// ```
/// use leasehold_pipeline::sentences;
///
/// let text = "# Owls\n\nDr. Reed counted\nowls, e.g. barn owls. She found 3.5 per\nmile!\n- one\n- two";
/// let found: Vec<&str> = sentences(text).map(|range| &text[range]).collect();
/// assert_eq!(
///     found,
///     ["Owls", "Dr. Reed counted\nowls, e.g. barn owls.", "She found 3.5 per\nmile!", "one", "two"]
/// );
/// ```
#[must_use]
pub fn sentences(text: &str) -> Sentences<'_> {
    Sentences { text, cutter: Cutter::default() }
}

/// The sentences of a text; made by [`sentences`].
#[derive(Clone, Debug)]
pub struct Sentences<'a> {
    text: &'a str,
    cutter: Cutter,
}

impl Iterator for Sentences<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        self.cutter.next(self.text.as_bytes()).expect("parts of a string between its characters are strings")
    }
}

/// How far a text was cut, apart from the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Cutter {
    /// Where the next block begins.
    next_block: usize,
    /// What is left of this block.
    block: Range<usize>,
    /// Sentences found and not yet given.
    ready: VecDeque<Range<usize>>,
}

impl Cutter {
    /// The next sentence; the text is always the same.
    ///
    /// # Errors
    ///
    /// When a part of the text that is looked at is not UTF-8, because the file was changed.
    pub(super) fn next(&mut self, text: &[u8]) -> Result<Option<Range<usize>>, Utf8Error> {
        loop {
            if let Some(sentence) = self.ready.pop_front() {
                return Ok(Some(sentence));
            }
            if self.block.is_empty() {
                let Some(block) = next_block(text, self.next_block)? else { return Ok(None) };
                (self.block, self.next_block) = (block.text, block.next);
            }
            self.look_at_window(text)?;
        }
    }

    /// Finds the sentences at the beginning of what is left of the block.
    fn look_at_window(&mut self, text: &[u8]) -> Result<(), Utf8Error> {
        let start = self.block.start;
        let window = window(&text[self.block.clone()])?;
        let end = start + window.len();
        let one_line = without_line_ends(window);
        let mut bounds = bounds(&one_line);
        // The last may go on behind the window, unless it fills the whole of it.
        if end < self.block.end && bounds.len() > 1 {
            bounds.pop();
        }
        self.block.start += bounds.last().map_or(end - start, |last| last.end);
        for bound in bounds {
            let sentence = trimmed(&one_line, bound);
            if one_line[sentence.clone()].contains(char::is_alphanumeric) {
                self.ready.push_back(start + sentence.start..start + sentence.end);
            }
        }
        Ok(())
    }
}

/// The beginning of a block: all of it, or up to the last white space of a window.
fn window(block: &[u8]) -> Result<&str, Utf8Error> {
    if block.len() <= WINDOW {
        return str::from_utf8(block);
    }
    let within = |byte: &u8| byte & 0xC0 == 0x80;
    let cut = (WINDOW - 3..=WINDOW).rev().find(|at| !within(&block[*at])).unwrap_or(WINDOW);
    let window = str::from_utf8(&block[..cut])?;
    let end = window.rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(window.len());
    Ok(&window[..end])
}

/// The same number of bytes, with line ends and the marks of quoted lines replaced by spaces.
fn without_line_ends(text: &str) -> String {
    let mut at_start = true;
    let plain = |character| match character {
        '\n' | '\r' => {
            at_start = true;
            ' '
        }
        '>' if at_start => ' ',
        other => {
            at_start &= other.is_whitespace();
            other
        }
    };
    text.chars().map(plain).collect()
}

/// Whole text as sentences, with abbreviations joined to what they belong to.
fn bounds(text: &str) -> Vec<Range<usize>> {
    let mut bounds: Vec<Range<usize>> = Vec::new();
    for (start, piece) in text.split_sentence_bound_indices() {
        let end = start + piece.len();
        match bounds.last_mut() {
            Some(last) if goes_on(&text[last.clone()], piece) => last.end = end,
            _ => bounds.push(start..end),
        }
    }
    bounds
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..(range.start + piece.trim_end().len()).max(start)
}
