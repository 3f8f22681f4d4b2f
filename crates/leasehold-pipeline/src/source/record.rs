//! Where one record ends and the next begins.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

#[cfg(feature = "csv")]
use super::csv::Grammar;
use super::{format::Split, memory::BLOCK};

/// What separates the records of an input.
#[derive(Debug)]
pub(super) enum Records {
    Text(Split),
    #[cfg(feature = "csv")]
    Csv(Box<Grammar>),
}

impl Records {
    /// Looks for the first record; `ended` says that no bytes will follow these.
    pub(super) fn find(&mut self, bytes: &[u8], ended: bool) -> Found {
        match self {
            Self::Text(Split::Line) => find_line(bytes, ended),
            Self::Text(Split::Paragraph) => find_paragraph(bytes, ended),
            Self::Text(Split::File) => find_all(bytes, ended),
            #[cfg(feature = "csv")]
            Self::Csv(grammar) => grammar.find(bytes, ended),
        }
    }

    /// Whether the last bytes, from `new` on, may complete a record, so that a reader should not wait for more.
    pub(super) fn may_be_complete(&self, bytes: &[u8], new: usize) -> bool {
        match self {
            Self::Text(Split::Line) => memchr(b'\n', &bytes[new..]).is_some(),
            // Whatever is not complete is looked through again from its beginning: what is long not for every few bytes.
            Self::Text(Split::Paragraph) => new < BLOCK && has_blank_line(&bytes[new.saturating_sub(2)..]),
            Self::Text(Split::File) => false,
            #[cfg(feature = "csv")]
            Self::Csv(_) => new < BLOCK && memchr(b'\n', &bytes[new..]).is_some(),
        }
    }

    /// Whether a record may be as long as its file, where that is mapped.
    pub(super) fn may_be_long(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether there is but one, which ends with its file.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Text(Split::File))
    }
}

/// What the beginning of some bytes holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, without its line end, and where to go on.
    Record { text: Range<usize>, next: usize },
    /// A record whose end is not among the bytes.
    Incomplete,
    /// A record that begins but does not end, and no bytes will follow.
    #[cfg(feature = "csv")]
    Unclosed,
    /// No record, and no bytes will follow.
    End,
}

fn find_all(bytes: &[u8], ended: bool) -> Found {
    match bytes.len() {
        _ if !ended => Found::Incomplete,
        0 => Found::End,
        next => Found::Record { text: 0..next, next },
    }
}

fn find_line(bytes: &[u8], ended: bool) -> Found {
    match line_end(bytes, 0, ended) {
        Some(_) if bytes.is_empty() => Found::End,
        Some((end, next)) => Found::Record { text: 0..without_return(bytes, 0, end), next },
        None => Found::Incomplete,
    }
}

fn find_paragraph(bytes: &[u8], ended: bool) -> Found {
    let mut at = 0;
    let mut text: Option<Range<usize>> = None;
    while at < bytes.len() {
        let Some((end, next)) = line_end(bytes, at, ended) else { return Found::Incomplete };
        let blank = bytes[at..end].trim_ascii().is_empty();
        match &mut text {
            Some(text) if blank => return Found::Record { text: text.clone(), next },
            Some(text) => text.end = without_return(bytes, at, end),
            None if blank => {}
            None => text = Some(at..without_return(bytes, at, end)),
        }
        at = next;
    }
    match text {
        _ if !ended => Found::Incomplete,
        Some(text) => Found::Record { text, next: bytes.len() },
        None => Found::End,
    }
}

/// Whether a line without anything stands in them. One of spaces only is rare: it is found when more was read.
fn has_blank_line(bytes: &[u8]) -> bool {
    let ends = memchr_iter(b'\n', bytes);
    ends.map(|end| &bytes[end + 1..]).any(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
}

/// The end of the line that starts at `at`, and the start of the next one.
fn line_end(bytes: &[u8], at: usize, ended: bool) -> Option<(usize, usize)> {
    match memchr(b'\n', &bytes[at..]) {
        Some(length) => Some((at + length, at + length + 1)),
        None if ended => Some((bytes.len(), bytes.len())),
        None => None,
    }
}

fn without_return(bytes: &[u8], start: usize, end: usize) -> usize {
    if bytes[start..end].ends_with(b"\r") { end - 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(split: Split, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        while let Found::Record { text, next } = Records::Text(split).find(bytes, true) {
            found.push(&bytes[text]);
            bytes = &bytes[next..];
        }
        found
    }

    #[test]
    fn lines_end_with_either_kind_of_line_end() {
        assert_eq!(all(Split::Line, b"a\r\n\nb\nc"), [&b"a"[..], b"", b"b", b"c"]);
        assert!(all(Split::Line, b"").is_empty());
    }

    #[test]
    fn paragraphs_end_with_blank_lines() {
        let text = b"\n \n a\nb\r\n\r\n\t\nc\n\n";
        assert_eq!(all(Split::Paragraph, text), [&b" a\nb"[..], b"c"]);
        assert!(all(Split::Paragraph, b" \n\n").is_empty());
    }

    #[test]
    fn a_record_is_complete_only_with_its_end() {
        let (mut lines, mut paragraphs) = (Records::Text(Split::Line), Records::Text(Split::Paragraph));
        assert_eq!(lines.find(b"abc", false), Found::Incomplete);
        assert_eq!(lines.find(b"", false), Found::Incomplete);
        assert_eq!(paragraphs.find(b"abc\n", false), Found::Incomplete);
        assert_eq!(paragraphs.find(b"abc\n\n", false), Found::Record { text: 0..3, next: 5 });
    }

    #[test]
    fn a_record_may_be_complete_when_its_end_was_read_last() {
        let may = |split, bytes: &[u8], new| Records::Text(split).may_be_complete(bytes, new);
        assert!(may(Split::Line, b"ab\nc", 1) && !may(Split::Line, b"a\nbc", 2));
        for (bytes, new) in [(&b"a\n\n"[..], 0), (b"a\n\n", 2), (b"a\r\n\r\n", 4), (b"a\r\n\r\nb", 3)] {
            assert!(may(Split::Paragraph, bytes, new), "{bytes:?}");
        }
        assert!(!may(Split::Paragraph, b"a\nb\n", 0) && !may(Split::Paragraph, b"a\n\nbcd\n", 5));
        assert!(!may(Split::File, b"a\n\n", 0));
    }

    #[test]
    fn a_whole_file_is_one_record() {
        assert_eq!(all(Split::File, b"a\n\nb\n"), [&b"a\n\nb\n"[..]]);
        assert_eq!(Records::Text(Split::File).find(b"a", false), Found::Incomplete);
        assert!(all(Split::File, b"").is_empty());
    }
}
