//! Where documents come from: files, JSON lines, standard input.

mod json;
mod record;
mod window;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    vec,
};

use leasehold::BoundedPool;

use self::window::Window;
use crate::{
    document::{Document, Place, Text},
    error::SourceError,
};

/// Where text separates into documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// Each line is a document.
    #[default]
    Line,
    /// Each run of lines between blank ones is a document.
    Paragraph,
}

/// How the bytes of an input are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text(Split),
    /// One JSON object per line, whose named field is the document.
    JsonLines {
        /// Name of the field.
        field: Arc<str>,
    },
}

/// A file, or standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The file at that path; mapped where it is a regular file, read as a stream where it is a pipe.
    File(PathBuf),
    /// Standard input, written `-`.
    Standard,
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Standard } else { Self::File(path) }
    }
}

/// Documents of several inputs, one after the other.
///
/// Blank documents are skipped, and counted. After an error it gives nothing more.
///
/// Regular files are mapped: they must not be written to or cut while the source or a document of it lives.
#[derive(Debug)]
pub struct Source {
    pool: BoundedPool,
    waiting: vec::IntoIter<(Input, Format)>,
    current: Option<Window>,
    finished_bytes: u64,
    total_bytes: Option<u64>,
    skipped: Arc<AtomicU64>,
}

impl Source {
    /// Makes sure that every input is there before the first is read.
    ///
    /// # Errors
    ///
    /// When one of them does not exist, cannot be opened or is a directory, or standard input is named twice.
    pub fn open(inputs: Vec<(Input, Format)>, pool: &BoundedPool) -> Result<Self, SourceError> {
        let times = inputs.iter().filter(|(input, _)| *input == Input::Standard).count();
        if times > 1 {
            return Err(SourceError::StandardInputTwice { times });
        }
        let mut total_bytes = Some(0);
        for (input, _) in &inputs {
            let length = match input {
                Input::File(path) => checked_length(path)?,
                Input::Standard => None,
            };
            total_bytes = total_bytes.zip(length).map(|(total, length)| total + length);
        }
        Ok(Self {
            pool: pool.clone(),
            waiting: inputs.into_iter(),
            current: None,
            finished_bytes: 0,
            total_bytes,
            skipped: Arc::default(),
        })
    }

    /// Bytes of all inputs, where each is a regular file.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The number of blank documents skipped so far; may be kept and read while the source is in use.
    #[must_use]
    pub fn skipped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.skipped)
    }

    fn next_document(&mut self) -> Result<Option<Document>, SourceError> {
        loop {
            let Some(window) = &mut self.current else {
                let Some((input, format)) = self.waiting.next() else { return Ok(None) };
                self.current = Some(open_window(&input, format, &self.pool)?);
                continue;
            };
            let Some(record) = window.next_record()? else {
                self.finished_bytes += window.consumed();
                self.current = None;
                continue;
            };
            let place = Place { path: Arc::clone(window.path()), line: record.line, offset: record.offset };
            let text = Text::new(record.bytes).map_err(|error| SourceError::NotUtf8 {
                path: place.path.to_path_buf(),
                line: place.line,
                offset: record.offset + error.valid_up_to() as u64,
            })?;
            let consumed = self.finished_bytes + window.consumed();
            let document = Document { text, place, consumed };
            let line = document.text()?;
            let wanted = match window.format() {
                // Blank lines between the objects are allowed, as most writers of the format do.
                Format::JsonLines { .. } if line.trim().is_empty() => None,
                Format::JsonLines { field } => json::field(&document, field)?,
                Format::Text(_) => Some(document),
            };
            match wanted {
                Some(document) if !document.text()?.trim().is_empty() => return Ok(Some(document)),
                // Relaxed: a statistic.
                _ => self.skipped.fetch_add(1, Ordering::Relaxed),
            };
        }
    }
}

impl Iterator for Source {
    type Item = Result<Document, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_document().transpose();
        if matches!(next, Some(Err(_)) | None) {
            self.current = None;
            self.waiting = Vec::new().into_iter();
        }
        next
    }
}

/// The length of a regular file; `None` for what has none, such as a pipe.
fn checked_length(path: &Path) -> Result<Option<u64>, SourceError> {
    let open = |source| SourceError::Open { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(open)?;
    if metadata.is_dir() {
        return Err(SourceError::Directory { path: path.to_owned() });
    }
    if !metadata.is_file() {
        // Opening a pipe may wait for its writer; that is left for its turn.
        return Ok(None);
    }
    File::open(path).map_err(open)?;
    Ok(Some(metadata.len()))
}

fn open_window(input: &Input, format: Format, pool: &BoundedPool) -> Result<Window, SourceError> {
    let path = match input {
        Input::Standard => {
            return Ok(Window::stream(Path::new("-").into(), format, Box::new(io::stdin()), pool));
        }
        Input::File(path) => path,
    };
    let open = |source| SourceError::Open { path: path.clone(), source };
    let file = File::open(path).map_err(open)?;
    let metadata = file.metadata().map_err(open)?;
    // Files that the kernel makes up as they are read say that they are empty.
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(Window::stream(path.as_path().into(), format, Box::new(file), pool));
    }
    Ok(Window::file(path.as_path().into(), format, file, metadata.len(), pool))
}
