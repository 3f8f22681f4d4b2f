//! Lines that belong together: a paragraph, a heading, an item of a list.

use std::{
    ops::Range,
    str::{self, Utf8Error},
};

use memchr::memchr;

/// A line shorter than this may be a heading of what is indented below it.
const LONGEST_HEADING: usize = 60;

/// A block of text, without its marker, and where to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) text: Range<usize>,
    pub(super) next: usize,
}

/// The first block that begins at `at` or later, in text of which each line is looked at for itself: so it takes no longer than
/// the block is long, and a change of a mapped file is noticed where it matters.
pub(super) fn next_block(text: &[u8], at: usize) -> Result<Option<Block>, Utf8Error> {
    let mut lines = Lines { text, at };
    let first = loop {
        match lines.next() {
            Some(line) => match line? {
                line if line.is_blank() => {}
                line => break line,
            },
            None => return Ok(None),
        }
    };
    let (kind, marker) = first.kind(None);
    let mut block = Block { text: first.start + first.space().len() + marker..first.end(), next: lines.at };
    if kind == Kind::Heading {
        return Ok(Some(block));
    }
    let mut before = first;
    for line in lines {
        let line = line?;
        if line.is_blank() || line.begins_block(&before, &first, kind) {
            break;
        }
        block.text.end = line.end();
        block.next = line.next;
        before = line;
    }
    Ok(Some(block))
}

/// What a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Heading,
    Item,
    /// An item with a number.
    Numbered,
}

/// One line of a text.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    text: &'a str,
    start: usize,
    /// Where the next one starts.
    next: usize,
}

impl<'a> Line<'a> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn content(&self) -> &'a str {
        self.text.trim()
    }

    fn is_blank(&self) -> bool {
        self.content().is_empty()
    }

    /// What the line begins with before its text.
    fn space(&self) -> &'a str {
        &self.text[..self.text.len() - self.text.trim_start().len()]
    }

    /// Columns of that space.
    fn indent(&self) -> usize {
        let next =
            |column: usize, character| if character == '\t' { (column / 8 + 1) * 8 } else { column + 1 };
        self.space().chars().fold(0, next)
    }

    /// Whether the line begins a block although the one before is not blank.
    fn begins_block(&self, before: &Line<'_>, first: &Line<'_>, kind: Kind) -> bool {
        match self.kind(Some(kind)).0 {
            Kind::Plain => {}
            Kind::Heading | Kind::Item | Kind::Numbered => return true,
        }
        if self.is_rule() || before.is_rule() {
            return true;
        }
        // What is indented below a short first line, as in manuals and lists of definitions.
        let heading = before.content();
        kind == Kind::Plain
            && before.start == first.start
            && self.indent() > before.indent() + 1
            && heading.chars().count() < LONGEST_HEADING
            && !heading.ends_with([',', '-', '\u{2010}'])
    }

    /// A line without letters or digits, such as the one below a heading.
    fn is_rule(&self) -> bool {
        !self.content().contains(char::is_alphanumeric)
    }

    /// What the line begins with, and the length of that; within a block of some kind, or at the start of one.
    fn kind(&self, within: Option<Kind>) -> (Kind, usize) {
        let content = self.content();
        let hashes = content.len() - content.trim_start_matches('#').len();
        if (1..=6).contains(&hashes) && content[hashes..].starts_with(' ') {
            return (Kind::Heading, hashes);
        }
        let Some((marker, _)) = content.split_once(char::is_whitespace) else { return (Kind::Plain, 0) };
        if matches!(marker, "-" | "*" | "+" | "•" | "‣" | "◦") {
            return (Kind::Item, marker.len());
        }
        let Some(number) = marker.strip_suffix(['.', ')']) else { return (Kind::Plain, 0) };
        let number = number.strip_prefix('(').unwrap_or(number);
        let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_letter =
            marker.ends_with(')') && number.len() == 1 && number.bytes().all(|b| b.is_ascii_lowercase());
        // In the midst of a paragraph a number may be the end of a sentence.
        let fits = matches!(within, None | Some(Kind::Numbered)) || number == "1";
        if is_letter || (is_number && fits) { (Kind::Numbered, marker.len()) } else { (Kind::Plain, 0) }
    }
}

/// The lines of a text from some place on.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, Utf8Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = &self.text[start..];
        if rest.is_empty() {
            return None;
        }
        let (length, taken) = memchr(b'\n', rest).map_or((rest.len(), rest.len()), |end| (end, end + 1));
        self.at += taken;
        let next = self.at;
        Some(str::from_utf8(&rest[..length]).map(|text| Line { text, start, next }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<&str> {
        let mut at = 0;
        let mut found = Vec::new();
        while let Some(block) = next_block(text.as_bytes(), at).unwrap() {
            assert!(block.next > at, "it goes on");
            found.push(text[block.text].trim());
            at = block.next;
        }
        found
    }

    #[test]
    fn blank_lines_end_a_block() {
        assert_eq!(blocks("\n a\nb\n \r\nc\r\n"), ["a\nb", "c"]);
        assert!(blocks(" \n\n").is_empty());
    }

    #[test]
    fn headings_stand_alone() {
        assert_eq!(blocks("# One\ntext\n## Two\nmore"), ["One", "text", "Two", "more"]);
        assert_eq!(blocks("One\n===\ntext\n---\nmore"), ["One", "===", "text", "---", "more"]);
        assert_eq!(blocks("#hashtag first\nand on"), ["#hashtag first\nand on"]);
    }

    #[test]
    fn items_are_blocks_and_go_on_indented() {
        assert_eq!(
            blocks("a:\n- one\n  more\n* two\n1. three\n2. four"),
            ["a:", "one\n  more", "two", "three", "four"]
        );
        assert_eq!(blocks("a) one\nb) two\n(c) three"), ["one", "two", "three"]);
        assert_eq!(blocks("in Chapter\n12. The next"), ["in Chapter\n12. The next"]);
    }

    #[test]
    fn what_is_indented_below_a_short_line_is_another_block() {
        assert_eq!(blocks("NAME\n       ls - list"), ["NAME", "ls - list"]);
        assert_eq!(blocks("NAME\n\tls - list"), ["NAME", "ls - list"]);
        assert_eq!(
            blocks("  -a, --all\n      do not ignore\n      any"),
            ["-a, --all", "do not ignore\n      any"]
        );
        assert_eq!(blocks("    first line of a\nparagraph"), ["first line of a\nparagraph"]);
        assert_eq!(blocks("short,\n    goes on"), ["short,\n    goes on"]);
    }
}
