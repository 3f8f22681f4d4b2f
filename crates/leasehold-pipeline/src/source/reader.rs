//! One input that is being read.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek},
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

#[cfg(feature = "directories")]
use super::Invalid;
use super::{
    Access, Format, Input, Next, Split,
    compressed::{self, Codec},
    files::open_error,
    json,
    memory::Memory,
    record::Records,
    repair::Repair,
    window::{Origin, Window},
};
use crate::{document::Document, error::SourceError};

/// The documents of one input.
#[derive(Debug)]
pub(super) enum Reader {
    Text(Window),
    JsonLines(Window, Arc<str>),
    #[cfg(feature = "csv")]
    Csv(Box<super::csv::Table>),
    #[cfg(feature = "parquet")]
    Parquet(Box<super::parquet::Rows>),
}

impl Reader {
    /// Opens an input whose format is known.
    pub(super) fn open(
        input: &Input,
        format: Format,
        access: Access,
        memory: &Memory,
    ) -> Result<Self, SourceError> {
        let path: Arc<Path> = match input {
            Input::File(path) => path.as_path().into(),
            Input::Standard => Path::new("-").into(),
        };
        #[cfg(not(all(feature = "csv", feature = "parquet")))]
        let left_out = |what, feature| SourceError::LeftOut { path: path.to_path_buf(), what, feature };
        let window = |records| open_window(input, &path, records, access, memory);
        match format {
            Format::JsonLines { field } => Ok(Self::JsonLines(window(Records::Text(Split::Line))?, field)),
            #[cfg(feature = "csv")]
            Format::Csv { field, delimiter } => {
                let grammar = super::csv::Grammar::new(delimiter);
                let window = window(Records::Csv(Box::new(grammar)))?;
                Ok(Self::Csv(Box::new(super::csv::Table::new(window, field, delimiter))))
            }
            #[cfg(not(feature = "csv"))]
            Format::Csv { .. } => Err(left_out("CSV", "csv")),
            #[cfg(feature = "parquet")]
            Format::Parquet { column } => open_parquet(input, path, &column, memory),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet { .. } => Err(left_out("Parquet", "parquet")),
            Format::Text(split) => Ok(Self::Text(window(Records::Text(split))?)),
            // `Files` has looked at the ending.
            Format::ByEnding { split, .. } => {
                Ok(Self::Text(window(Records::Text(split.unwrap_or_default()))?))
            }
        }
    }

    /// Bytes of the input up to the last document.
    pub(super) fn consumed(&self) -> u64 {
        match self {
            #[cfg(feature = "parquet")]
            Self::Parquet(rows) => rows.consumed(),
            #[cfg(feature = "csv")]
            Self::Csv(table) => table.window().consumed(),
            Self::Text(window) | Self::JsonLines(window, _) => window.consumed(),
        }
    }

    /// Whether a file that was found in a directory is one of text, or of another format that holds text.
    #[cfg(feature = "directories")]
    pub(super) fn is_readable(&mut self, repair: &Repair) -> Result<bool, SourceError> {
        /// As much as says of most files what they are.
        const HEAD: usize = 8 * 1024;
        let repaired = repair.invalid != Invalid::Error;
        match self {
            #[cfg(feature = "parquet")]
            Self::Parquet(_) => Ok(true),
            #[cfg(feature = "csv")]
            Self::Csv(table) => table.window_mut().begins_with_text(HEAD, repaired),
            Self::Text(window) | Self::JsonLines(window, _) => window.begins_with_text(HEAD, repaired),
        }
    }

    /// The next document, blank or not.
    pub(super) fn next_document(&mut self, repair: &Repair) -> Result<Next, SourceError> {
        match self {
            Self::Text(window) => next_text(window, repair),
            Self::JsonLines(window, field) => match next_text(window, repair)? {
                Next::Document(line) => {
                    let number = line.place.line;
                    match json::field(line, field, |length| window.rent(length, number))? {
                        Some(document) if !document.text()?.trim().is_empty() => Ok(Next::Document(document)),
                        _ => Ok(Next::Blank),
                    }
                }
                // Blank lines between the objects are allowed, as most writers of the format do.
                other => Ok(other),
            },
            #[cfg(feature = "csv")]
            Self::Csv(table) => table.next_document(repair),
            #[cfg(feature = "parquet")]
            Self::Parquet(rows) => rows.next_document(repair),
        }
    }
}

/// The next record as it stands.
fn next_text(window: &mut Window, repair: &Repair) -> Result<Next, SourceError> {
    let Some(record) = window.next_record()? else { return Ok(Next::End) };
    let place = window.place(&record);
    let line = record.line;
    let wrong = |at| place.not_utf8(place.offset + at as u64);
    let repaired = repair.look(record.bytes, |length| window.rent(length, line), wrong)?;
    let Some(text) = repaired.into_text() else { return Ok(Next::LeftOut) };
    let document = Document { text, place, consumed: window.consumed() };
    Ok(if document.text()?.trim().is_empty() { Next::Blank } else { Next::Document(document) })
}

#[cfg(feature = "parquet")]
fn open_parquet(
    input: &Input,
    path: Arc<Path>,
    column: &str,
    memory: &Memory,
) -> Result<Reader, SourceError> {
    let unfit = || SourceError::Parquet {
        path: path.to_path_buf(),
        reason: "Parquet cannot be read from a stream; name it as a file".to_owned(),
    };
    let Input::File(named) = input else { return Err(unfit()) };
    let file = File::open(named).map_err(open_error(named))?;
    if !file.metadata().map_err(open_error(named))?.is_file() {
        return Err(unfit());
    }
    Ok(Reader::Parquet(Box::new(super::parquet::Rows::open(path, file, column, memory)?)))
}

/// Bytes, and how many were read to give them where they are decompressed.
type Opened = (Origin, Option<Arc<AtomicU64>>);

/// Opens an input as bytes: mapped or read where it is a regular file, decompressed where it begins like something compressed.
fn open_window(
    input: &Input,
    path: &Arc<Path>,
    records: Records,
    access: Access,
    memory: &Memory,
) -> Result<Window, SourceError> {
    let path = Arc::clone(path);
    let opened = match input {
        Input::Standard => stream(&path, io::stdin())?,
        Input::File(named) => {
            let mut file = File::open(named).map_err(open_error(named))?;
            let metadata = file.metadata().map_err(open_error(named))?;
            // Files that the kernel makes up as they are read say that they are empty.
            if !metadata.is_file() || metadata.len() == 0 {
                stream(&path, file)?
            } else if let Some(codec) = codec_of(&mut file, &path)? {
                decompressed(codec, &path, file)?
            } else {
                (Origin::File { file, length: metadata.len(), access }, None)
            }
        }
    };
    Ok(Window::new(path, records, opened, memory))
}

/// The compression of a file, which is at its beginning before and after.
fn codec_of(file: &mut File, path: &Path) -> Result<Option<Codec>, SourceError> {
    let head = compressed::peek(file).and_then(|head| file.rewind().map(|()| head));
    head.map(|head| Codec::of(&head)).map_err(read_error(path))
}

fn stream(path: &Path, mut reader: impl Read + Send + 'static) -> Result<Opened, SourceError> {
    let head = compressed::peek(&mut reader).map_err(read_error(path))?;
    let codec = Codec::of(&head);
    let whole = Cursor::new(head).chain(reader);
    match codec {
        Some(codec) => decompressed(codec, path, whole),
        None => Ok((Origin::Stream(Box::new(whole)), None)),
    }
}

#[cfg(feature = "compression")]
fn decompressed(
    codec: Codec,
    path: &Path,
    reader: impl Read + Send + 'static,
) -> Result<Opened, SourceError> {
    let read = Arc::default();
    let counted = Counted { reader, read: Arc::clone(&read) };
    let reader = codec.decode(counted).map_err(read_error(path))?;
    Ok((Origin::Stream(reader), Some(read)))
}

#[cfg(not(feature = "compression"))]
fn decompressed(codec: Codec, path: &Path, _: impl Read) -> Result<Opened, SourceError> {
    let (path, what) = (path.to_owned(), codec.name());
    Err(SourceError::LeftOut { path, what, feature: "compression" })
}

/// Counts what is read.
#[cfg(feature = "compression")]
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

#[cfg(feature = "compression")]
impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        // Relaxed: a statistic.
        self.read.fetch_add(read as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(read)
    }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> SourceError {
    let path = path.to_owned();
    move |source| SourceError::Read { path, source }
}
