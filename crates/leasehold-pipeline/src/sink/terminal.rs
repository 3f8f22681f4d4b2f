//! Lines for people.

use std::io::Write;

use leasehold::MemoryOwner;
use unicode_width::UnicodeWidthChar;

use super::Sink;
use crate::{
    document::Document,
    error::{EmbedError, SinkError},
};

/// How many values of each vector are shown.
const VALUES: usize = 3;

/// The fewest columns that a text gets, however long its place is.
const NARROWEST: usize = 20;

/// Writes a line per document for somebody who looks on: where it stands, how it begins, the first values of its vector and
/// its length, which is one but for rounding.
///
/// ```text
/// notes.txt:12  A span is a short view of a buffer.           +0.042 -0.013 +0.079 ..  norm 1.000
/// ```
///
/// Characters that would steer the terminal are replaced.
#[derive(Debug)]
pub struct TerminalSink<W> {
    writer: W,
    target: String,
    columns: usize,
}

impl<W: Write> TerminalSink<W> {
    /// Writes to a terminal of so many columns; errors will call it `target`.
    pub fn new(writer: W, columns: usize, target: impl Into<String>) -> Self {
        Self { writer, target: target.into(), columns }
    }

    /// The writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn line(&self, document: &Document, vector: &[f32]) -> Result<String, EmbedError> {
        let place = format!("{}:{}", document.place.path.display(), document.place.line);
        let place = shown(&place, usize::MAX);
        let values: Vec<_> = vector.iter().take(VALUES).map(|value| format!("{value:+.3}")).collect();
        let more = if vector.len() > VALUES { " .." } else { "" };
        let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let vector = format!("{}{more}  norm {norm:.3}", values.join(" "));
        let taken = width(&place) + vector.len() + 4;
        let room = self.columns.saturating_sub(taken).max(NARROWEST);
        let text = shown(document.text()?.trim(), room);
        let fill = " ".repeat(room - width(&text));
        Ok(format!("{place}  {text}{fill}  {vector}\n"))
    }
}

impl<W: Write> Sink for TerminalSink<W> {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        let width = vectors.len() / documents.len().max(1);
        for (document, vector) in documents.iter().zip(vectors.chunks_exact(width.max(1))) {
            let line = self.line(document, vector)?;
            let written = self.writer.write_all(line.as_bytes());
            written.map_err(|error| SinkError::write(&self.target, error))?;
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        self.writer.flush().map_err(|error| SinkError::write(&self.target, error))?;
        Ok(())
    }
}

/// The beginning of a text on one line of at most so many columns.
fn shown(text: &str, columns: usize) -> String {
    let mut shown = String::new();
    let mut used = 0;
    let mut fits = 0;
    for character in text.chars() {
        let character = match character {
            character if character.is_whitespace() => ' ',
            character if steers(character) => char::REPLACEMENT_CHARACTER,
            character => character,
        };
        // One space stands for many.
        if character == ' ' && shown.ends_with(' ') {
            continue;
        }
        used += character.width().unwrap_or(0);
        if used > columns {
            shown.truncate(fits);
            shown.push('…');
            return shown;
        }
        shown.push(character);
        // What is left when a mark for the rest must fit, too.
        if used < columns {
            fits = shown.len();
        }
    }
    shown
}

/// Whether a character does something other than to be seen: control characters, and those that turn the direction of text.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn width(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_the_columns_end() {
        let cases = [
            ("one  two\n\tthree", 20, "one two three"),
            ("one two", 7, "one two"),
            ("one two", 6, "one t…"),
            ("猫猫猫", 6, "猫猫猫"),
            ("猫猫猫", 5, "猫猫…"),
            ("猫猫猫", 4, "猫…"),
            ("a\u{1B}[31m\u{202E}b", 20, "a\u{FFFD}[31m\u{FFFD}b"),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(shown(text, columns), expected);
            assert!(width(expected) <= columns);
        }
    }
}
