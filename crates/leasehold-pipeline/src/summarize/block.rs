//! Lines that belong together: a paragraph, a heading, an item of a list.

use std::ops::Range;

use memchr::memchr;

/// A line shorter than this may be a heading of what is indented below it.
const LONGEST_HEADING: usize = 60;

/// A block of text, without its marker, and where to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) text: Range<usize>,
    pub(super) next: usize,
}

/// The first block that begins at `at` or later.
pub(super) fn next_block(text: &str, at: usize) -> Option<Block> {
    let mut lines = Lines { text, at };
    let first = lines.find(|line| !line.is_blank())?;
    let (kind, marker) = first.kind(None);
    let mut block = Block { text: first.text().start + marker..first.range.end, next: lines.at };
    if kind == Kind::Heading {
        return Some(block);
    }
    let mut before = first;
    for line in lines.by_ref() {
        if line.is_blank() || line.begins_block(&before, &first, kind) {
            break;
        }
        block.text.end = line.range.end;
        block.next = line.next;
        before = line;
    }
    Some(block)
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
    whole: &'a str,
    range: Bounds,
    next: usize,
}

/// A range that can be copied.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    start: usize,
    end: usize,
}

impl<'a> Line<'a> {
    fn content(&self) -> &'a str {
        self.whole[self.range.start..self.range.end].trim()
    }

    fn is_blank(&self) -> bool {
        self.content().is_empty()
    }

    /// The line without the space it begins with.
    fn text(&self) -> Bounds {
        Bounds { start: self.range.start + self.space().len(), end: self.range.end }
    }

    fn space(&self) -> &'a str {
        let line = &self.whole[self.range.start..self.range.end];
        &line[..line.len() - line.trim_start().len()]
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
            && before.range.start == first.range.start
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
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.is_empty() {
            return None;
        }
        let (length, taken) = memchr(b'\n', rest).map_or((rest.len(), rest.len()), |end| (end, end + 1));
        let range = Bounds { start: self.at, end: self.at + length };
        self.at += taken;
        Some(Line { whole: self.text, range, next: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(text: &str) -> Vec<&str> {
        let mut at = 0;
        let mut found = Vec::new();
        while let Some(block) = next_block(text, at) {
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
