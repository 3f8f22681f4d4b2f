//! One field of each record of a table.

use std::{ops::Range, str, sync::Arc};

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use leasehold::{MemoryOwner, SharedOwner};
use memchr::memchr;

use super::{
    Invalid, Next,
    columns::list,
    record::Found,
    repair::Repair,
    window::{Record, Window},
};
use crate::{
    document::{Document, Text},
    error::SourceError,
};

/// The named field of each record of a table with a header.
#[derive(Debug)]
pub(super) struct Table {
    window: Window,
    grammar: Grammar,
    field: Arc<str>,
    /// Known once the header has been read.
    column: Option<Column>,
}

/// Where the field stands in a record.
#[derive(Clone, Copy, Debug)]
struct Column {
    index: usize,
    /// How many fields each record has.
    count: usize,
}

impl Table {
    /// Reads the records of `window`, which separates records of the same grammar.
    pub(super) fn new(window: Window, field: Arc<str>, delimiter: u8) -> Self {
        Self { window, grammar: Grammar::new(delimiter), field, column: None }
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    #[cfg(feature = "directories")]
    pub(super) fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The next record's field.
    pub(super) fn next_document(&mut self, repair: &Repair) -> Result<Next, SourceError> {
        let column = match self.column {
            Some(column) => column,
            None => match self.window.next_record()? {
                Some(header) => self.column(&header, repair)?,
                None => return Ok(Next::End),
            },
        };
        self.column = Some(column);
        let Some(record) = self.window.next_record()? else { return Ok(Next::End) };
        let place = self.window.place(&record);
        let fields = self.grammar.fields(&record.bytes);
        if fields.len() != column.count {
            let reason = format!("{} fields where the header has {}", fields.len(), column.count);
            return Err(self.error(&record, reason));
        }
        let field = &fields[column.index];
        let mut bytes = self.unquoted(&record, field)?;
        // Of a field that had to be put together the place of a wrong byte is known only roughly.
        let within = bytes.as_ptr().addr().checked_sub(record.bytes.as_ptr().addr());
        let within = within.filter(|at| *at < record.bytes.len());
        let wrong =
            |at| place.not_utf8(record.offset + within.map_or(field.start, |start| start + at) as u64);
        if within.is_none() && str::from_utf8(&bytes).is_err() {
            // It goes before another block is rented.
            bytes = MemoryOwner::from(bytes.to_vec()).into_shared();
        }
        let repaired = repair.look(bytes, |length| self.window.rent(length, record.line), wrong)?;
        // A field has no places of its own in the input.
        let Some(text) = repaired.into_text().map(|text| Text::checked(text.into_bytes())) else {
            return Ok(Next::LeftOut);
        };
        let document = Document { text, place, consumed: self.window.consumed() };
        Ok(if document.text()?.trim().is_empty() { Next::Blank } else { Next::Document(document) })
    }

    fn column(&mut self, header: &Record, repair: &Repair) -> Result<Column, SourceError> {
        let mut names = Vec::new();
        for field in self.grammar.fields(&header.bytes) {
            let name = self.unquoted(header, &field)?;
            let name = match String::from_utf8(name.to_vec()) {
                Ok(name) => name,
                // A header cannot be skipped.
                Err(wrong) if repair.invalid == Invalid::Replace => {
                    String::from_utf8_lossy(wrong.as_bytes()).into_owned()
                }
                Err(_) => {
                    return Err(self.window.place(header).not_utf8(header.offset + field.start as u64));
                }
            };
            names.push(name);
        }
        match names.iter().position(|name| *name == *self.field) {
            Some(index) => Ok(Column { index, count: names.len() }),
            None => {
                let reason =
                    format!("no column {:?}; name another with --field: {}", self.field, list(&names));
                Err(self.error(header, reason))
            }
        }
    }

    /// What a field says: a slice of the record where quotes, if any, stand only around it.
    fn unquoted(&mut self, record: &Record, field: &Range<usize>) -> Result<SharedOwner<u8>, SourceError> {
        let raw = &record.bytes[field.clone()];
        if memchr(b'"', raw).is_none() {
            return Ok(record.bytes.slice(field.clone()));
        }
        if let [b'"', inner @ .., b'"'] = raw
            && memchr(b'"', inner).is_none()
        {
            return Ok(record.bytes.slice(field.start + 1..field.end - 1));
        }
        let mut block = self.window.rent(raw.len(), record.line)?;
        let written = self.grammar.unquote(raw, &mut block);
        block.truncate(written);
        Ok(block.into_shared())
    }

    fn error(&self, record: &Record, reason: String) -> SourceError {
        SourceError::Csv { path: self.window.path().to_path_buf(), line: record.line, reason }
    }
}

/// How fields and records are told apart.
#[derive(Debug)]
pub(super) struct Grammar {
    reader: Reader,
}

impl Grammar {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { reader: ReaderBuilder::new().delimiter(delimiter).build() }
    }

    /// Looks for the first record, as [`Records::find`](super::record::Records::find) does.
    pub(super) fn find(&mut self, bytes: &[u8], ended: bool) -> Found {
        let Some(start) = bytes.iter().position(|byte| !is_line_end(*byte)) else {
            return if ended { Found::End } else { Found::Incomplete };
        };
        let mut at = start;
        let mut scratch = [0; 1024];
        self.begin();
        loop {
            // At the end of the input a line end completes whatever is not within quotes.
            let rest = match &bytes[at..] {
                [] if ended => &b"\n"[..],
                [] => return Found::Incomplete,
                rest => rest,
            };
            let behind = at == bytes.len();
            let (result, read, _) = self.reader.read_field(rest, &mut scratch);
            at = (at + read).min(bytes.len());
            match result {
                ReadFieldResult::Field { record_end: true } => {
                    let line_ends = bytes[start..at].iter().rev().take_while(|byte| is_line_end(**byte));
                    return Found::Record { text: start..at - line_ends.count(), next: at };
                }
                ReadFieldResult::InputEmpty | ReadFieldResult::End if behind => return Found::Unclosed,
                _ => {}
            }
        }
    }

    /// Where the fields of a record lie, quotes included.
    fn fields(&mut self, record: &[u8]) -> Vec<Range<usize>> {
        let mut fields = Vec::new();
        let mut scratch = [0; 1024];
        let (mut start, mut at) = (0, 0);
        self.begin();
        loop {
            let behind = at == record.len();
            let rest = if behind { &b"\n"[..] } else { &record[at..] };
            let (result, read, _) = self.reader.read_field(rest, &mut scratch);
            at = (at + read).min(record.len());
            match result {
                ReadFieldResult::Field { record_end: true } => {
                    fields.push(start..at);
                    return fields;
                }
                ReadFieldResult::Field { record_end: false } => {
                    fields.push(start..at - 1);
                    start = at;
                }
                ReadFieldResult::InputEmpty | ReadFieldResult::End if behind => return fields,
                _ => {}
            }
        }
    }

    /// Takes the quotes off a field; `block` has room for all of it. Tells how much of that was needed.
    fn unquote(&mut self, raw: &[u8], block: &mut [u8]) -> usize {
        self.begin();
        let (mut read, mut written) = (0, 0);
        while read < raw.len() {
            let (_, more_read, more_written) = self.reader.read_field(&raw[read..], &mut block[written..]);
            read += more_read;
            written += more_written;
        }
        written
    }

    /// Makes ready for the beginning of a record that is not the beginning of a file: there a byte order mark is text.
    fn begin(&mut self) {
        self.reader.reset();
        self.reader.read_field(b"\n", &mut []);
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of `bytes`, each as its fields.
    fn records(mut bytes: &[u8]) -> Vec<Vec<String>> {
        let mut grammar = Grammar::new(b',');
        let mut records = Vec::new();
        while let Found::Record { text, next } = grammar.find(bytes, true) {
            let record = &bytes[text];
            let fields = grammar.fields(record);
            let unquoted = fields.into_iter().map(|field| {
                let mut block = vec![0; field.len()];
                let written = grammar.unquote(&record[field], &mut block);
                block.truncate(written);
                String::from_utf8(block).unwrap()
            });
            records.push(unquoted.collect());
            bytes = &bytes[next..];
        }
        records
    }

    #[test]
    fn quotes_line_ends_and_empty_fields_are_as_the_format_has_them() {
        let bytes = b"\r\na,b\r\n\n\"x\"\"y\",\"1\n2\"\n,\n\"\",z";
        assert_eq!(records(bytes), [["a", "b"], ["x\"y", "1\n2"], ["", ""], ["", "z"]]);
        assert_eq!(records(b"a\"b,c\r\"d\"e,\n"), [["a\"b", "c"], ["de", ""]]);
    }

    #[test]
    fn a_record_without_its_end_is_incomplete_and_a_quote_without_its_end_unclosed() {
        let mut grammar = Grammar::new(b',');
        assert_eq!(grammar.find(b"a,b", false), Found::Incomplete);
        assert_eq!(grammar.find(b"a,\"b\n", false), Found::Incomplete);
        assert_eq!(grammar.find(b"a,\"b\n", true), Found::Unclosed);
        assert_eq!(grammar.find(b"a,b", true), Found::Record { text: 0..3, next: 3 });
        assert_eq!(grammar.find(b"a,b\r\nc", false), Found::Record { text: 0..3, next: 4 });
        assert_eq!(grammar.find(b"\n\r\n", true), Found::End);
    }
}
