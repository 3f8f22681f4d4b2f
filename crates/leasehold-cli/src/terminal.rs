//! How lines of text look on a terminal, and elsewhere.

use std::env;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// The fewest columns that are left for a text, however long what stands before it is.
const FEWEST: usize = 20;

/// What may be done to lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    /// Whether they may have colours.
    pub(crate) colours: bool,
    /// How wide they may be.
    pub(crate) columns: Option<usize>,
}

impl Terminal {
    /// What may be done to the lines of standard output: they have colours where it is a terminal and the user has not said
    /// otherwise, and fit its width if `narrow`.
    pub(crate) fn of(is_terminal: bool, narrow: bool) -> Self {
        let unwanted = |name, value: &str| env::var_os(name).is_some_and(|found| found == *value);
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = is_terminal && !no_colour && !unwanted("TERM", "dumb");
        Self { colours, columns: narrow.then(columns) }
    }

    /// Puts text into a colour, by its number.
    pub(crate) fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Cuts text so that it fits behind so many columns.
    pub(crate) fn cut(&self, text: &str, behind: usize) -> String {
        let Some(columns) = self.columns else { return text.to_owned() };
        let room = columns.saturating_sub(behind).max(FEWEST);
        if width(text) <= room {
            return text.to_owned();
        }
        let mut used = 0;
        let fits = |(_, character): &(usize, char)| {
            used += character.width().unwrap_or(0);
            // One column is for the mark.
            used > room - 1
        };
        let end = text.char_indices().find(fits).map_or(text.len(), |(at, _)| at);
        format!("{}…", text[..end].trim_end())
    }
}

/// Columns that a terminal needs for the text.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Each run of white space as one space, and nothing that a terminal would obey.
pub(crate) fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }));
    }
    line
}

/// Columns of the terminal.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| width.0.into())
}
