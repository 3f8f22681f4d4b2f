//! One column of strings of a Parquet file.

use std::{collections::VecDeque, fmt, fs::File, path::Path, sync::Arc};

use leasehold::SharedOwner;
use parquet::{
    basic::{Compression, ConvertedType, Type},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, ByteArrayType},
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    schema::types::{ColumnDescriptor, SchemaDescriptor},
};

use super::{
    Next,
    columns::list,
    guard::guard,
    memory::{BLOCK, Memory},
    repair::Repair,
};
use crate::{
    document::{Document, Place},
    error::SourceError,
};

/// Rows that are decoded at a time.
const ROWS: usize = 256;

/// The strings of one column, row group by row group, page by page.
///
/// What the decoder gives lies in pages that belong to it. Strings are copied from there, many into one rented block, and not
/// lent with an owner over their page, although that could be done (`SharedOwner::from_owner` of its `Bytes`):
///
/// - A budget has to know of memory before it is there. The decoder allocates a page by itself, of whatever size the file has it, and
///   a slice of `Bytes` does not tell how much it holds. A reservation afterwards could not keep the pool below its budget, and for
///   a page that is larger than the share for text it could only fail, although each string would fit.
/// - One short string would keep its page, and the dictionary page that many refer to would stay for as long as any of them.
/// - There is nothing to gain. All of this source, of which the copy is a small part, gives 39 million tokens a second where the
///   tokenizer takes 0.3 million on one thread: 0.6 % of the time of a run whose model has one layer of width 32, and less than 0.1 %
///   with all-MiniLM-L6-v2 in int8 (`leasehold bench`, a book by paragraphs).
pub(super) struct Rows {
    path: Arc<Path>,
    memory: Memory,
    file: SerializedFileReader<File>,
    length: u64,
    column: usize,
    /// The row group that is read after the current one.
    group: usize,
    current: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Decoded rows, `None` for a null.
    decoded: VecDeque<Option<ByteArray>>,
    /// The first rows, in a block.
    packed: VecDeque<Option<SharedOwner<u8>>>,
    /// Rows that were given.
    row: u64,
    rows: u64,
}

impl Rows {
    pub(super) fn open(
        path: Arc<Path>,
        file: File,
        column: &str,
        memory: &Memory,
    ) -> Result<Self, SourceError> {
        let length = file.metadata().map(|metadata| metadata.len());
        let length = length.map_err(|source| SourceError::Read { path: path.to_path_buf(), source })?;
        let failed = |reason: String| SourceError::Parquet { path: path.to_path_buf(), reason };
        let file = decoded(|| SerializedFileReader::new(file)).map_err(failed)?;
        let metadata = file.metadata().file_metadata();
        let column = find(metadata.schema_descr(), column).map_err(failed)?;
        let groups = file.metadata().row_groups();
        let codecs = groups.iter().map(|group| group.column(column).compression());
        check_codecs(codecs).map_err(failed)?;
        let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
        Ok(Self {
            path,
            memory: memory.clone(),
            file,
            length,
            column,
            group: 0,
            current: None,
            decoded: VecDeque::new(),
            packed: VecDeque::new(),
            row: 0,
            rows,
        })
    }

    /// About how many bytes of the file the rows make up that were given.
    pub(super) fn consumed(&self) -> u64 {
        let share = u128::from(self.length) * u128::from(self.row.min(self.rows));
        share.checked_div(u128::from(self.rows)).and_then(|share| u64::try_from(share).ok()).unwrap_or(0)
    }

    /// The next row's string.
    pub(super) fn next_document(&mut self, repair: &Repair) -> Result<Next, SourceError> {
        let value = loop {
            match self.packed.pop_front() {
                Some(value) => break value,
                None if self.decoded.is_empty() && !self.decode()? => return Ok(Next::End),
                None => self.pack()?,
            }
        };
        self.row += 1;
        let Some(bytes) = value else { return Ok(Next::Blank) };
        let wrong = |_| self.failed(format!("the string in row {} is not UTF-8", self.row));
        let rent = |length| self.memory.rent_text(length, &self.path, self.row);
        let Some(text) = repair.look(bytes, rent, wrong)?.into_text() else { return Ok(Next::LeftOut) };
        let place = Place { path: Arc::clone(&self.path), line: self.row, offset: 0 };
        let document = Document { text, place, consumed: self.consumed() };
        Ok(if document.text()?.trim().is_empty() { Next::Blank } else { Next::Document(document) })
    }

    /// Decodes some more rows; tells whether there were any.
    fn decode(&mut self) -> Result<bool, SourceError> {
        loop {
            let Some(reader) = &mut self.current else {
                if self.group == self.file.num_row_groups() {
                    return Ok(false);
                }
                self.current = Some(self.open_group().map_err(|reason| self.failed(reason))?);
                self.group += 1;
                continue;
            };
            let (mut levels, mut values) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
            let decoded = decoded(|| reader.read_records(ROWS, Some(&mut levels), None, &mut values));
            let (rows, _, _) =
                decoded.map_err(|reason| self.failed(format!("behind row {}: {reason}", self.row)))?;
            if rows == 0 {
                self.current = None;
                continue;
            }
            let full = self.descriptor().max_def_level();
            let mut values = values.into_iter();
            match full {
                0 => self.decoded.extend(values.map(Some)),
                _ => self
                    .decoded
                    .extend(levels.iter().map(|level| if *level == full { values.next() } else { None })),
            }
            return Ok(true);
        }
    }

    fn open_group(&self) -> Result<ColumnReaderImpl<ByteArrayType>, String> {
        let open = || self.file.get_row_group(self.group)?.get_column_reader(self.column);
        match decoded(open)? {
            ColumnReader::ByteArrayColumnReader(reader) => Ok(reader),
            _ => Err("a row group has another type than the schema".to_owned()),
        }
    }

    /// Moves decoded rows into a block, as many as it has room for, and at least one.
    fn pack(&mut self) -> Result<(), SourceError> {
        let mut length = 0;
        let fits = |value: &&Option<ByteArray>| {
            let with_it = length + value.as_ref().map_or(0, ByteArray::len);
            let fits = length == 0 || with_it <= BLOCK;
            if fits {
                length = with_it;
            }
            fits
        };
        let count = self.decoded.iter().take_while(fits).count();
        let mut block = self.memory.rent(length, &self.path, self.row + 1)?;
        let mut at = 0;
        let mut ranges = Vec::with_capacity(count);
        for value in self.decoded.drain(..count) {
            ranges.push(value.map(|value| {
                let range = at..at + value.len();
                block[range.clone()].copy_from_slice(value.data());
                at = range.end;
                range
            }));
        }
        let block = block.into_shared();
        self.packed.extend(ranges.into_iter().map(|range| range.map(|range| block.slice(range))));
        Ok(())
    }

    fn descriptor(&self) -> &ColumnDescriptor {
        let schema = self.file.metadata().file_metadata().schema_descr();
        &schema.columns()[self.column]
    }

    fn failed(&self, reason: String) -> SourceError {
        SourceError::Parquet { path: self.path.to_path_buf(), reason }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("path", &self.path).field("row", &self.row).finish_non_exhaustive()
    }
}

/// What a decoder comes to. After a panic nothing of it is used again: the source ends with the error.
fn decoded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match guard(decode) {
        Some(decoded) => decoded.map_err(|error| error.to_string()),
        None => Err("the file is damaged".to_owned()),
    }
}

/// The column of that name, if it is one of strings.
fn find(schema: &SchemaDescriptor, name: &str) -> Result<usize, String> {
    let columns = schema.columns();
    let Some(index) = columns.iter().position(|column| column.path().string() == name) else {
        let names: Vec<_> = columns.iter().map(|column| column.path().string()).collect();
        return Err(format!("no column {name:?}; name another with --field: {}", list(&names)));
    };
    let column = &columns[index];
    let kind = column.converted_type();
    let strings =
        matches!(kind, ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON);
    match column.physical_type() {
        Type::BYTE_ARRAY if strings && column.max_rep_level() == 0 => Ok(index),
        Type::BYTE_ARRAY if strings => {
            Err(format!("the column {name:?} holds lists; name one of strings with --field"))
        }
        Type::BYTE_ARRAY => {
            Err(format!("the column {name:?} holds {kind}; name one of strings with --field"))
        }
        other => Err(format!("the column {name:?} holds {other}; name one of strings with --field")),
    }
}

/// Whether all pages can be decompressed: known before the first is read.
fn check_codecs(mut codecs: impl Iterator<Item = Compression>) -> Result<(), String> {
    match codecs.find(|codec| matches!(codec, Compression::BROTLI(_) | Compression::LZO)) {
        Some(codec) => {
            Err(format!("compressed as {codec}, which is not supported; write it with zstd or snappy"))
        }
        None => Ok(()),
    }
}
