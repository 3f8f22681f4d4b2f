//! Where one record ends and the next begins.

use std::ops::Range;

use memchr::memchr;

use super::Split;

/// What the beginning of some bytes holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, without its line end, and where to go on.
    Record { text: Range<usize>, next: usize },
    /// A record whose end is not among the bytes.
    Incomplete,
    /// No record, and no bytes will follow.
    End,
}

/// Looks for the first record; `ended` says that no bytes will follow these.
pub(super) fn find(split: Split, bytes: &[u8], ended: bool) -> Found {
    match split {
        Split::Line => find_line(bytes, ended),
        Split::Paragraph => find_paragraph(bytes, ended),
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
        while let Found::Record { text, next } = find(split, bytes, true) {
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
        assert_eq!(find(Split::Line, b"abc", false), Found::Incomplete);
        assert_eq!(find(Split::Line, b"", false), Found::Incomplete);
        assert_eq!(find(Split::Paragraph, b"abc\n", false), Found::Incomplete);
        assert_eq!(find(Split::Paragraph, b"abc\n\n", false), Found::Record { text: 0..3, next: 5 });
    }
}
