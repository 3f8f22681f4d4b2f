//! Where embeddings go.

use std::io::{self, Seek, SeekFrom, Write};

use serde::Serialize;

use crate::{
    document::Document,
    error::{EmbedError, SinkError},
};

/// Takes embeddings in the order of the input.
pub trait Sink {
    /// Takes some documents and their vectors, back to back.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn write(&mut self, documents: &[Document], vectors: &[f32]) -> Result<(), EmbedError>;

    /// Is called once, after the last `write` of a run that succeeded.
    ///
    /// # Errors
    ///
    /// When what is left cannot be written.
    fn finish(&mut self) -> Result<(), EmbedError>;
}

/// Writes one JSON object per document: `{"text": .., "source": {"path": .., "line": ..}, "embedding": [..]}`.
#[derive(Debug)]
pub struct JsonlSink<W> {
    writer: W,
    target: String,
    buffer: Vec<u8>,
}

impl<W: Write> JsonlSink<W> {
    /// Writes to `writer`; errors will call it `target`.
    pub fn new(writer: W, target: impl Into<String>) -> Self {
        Self { writer, target: target.into(), buffer: Vec::new() }
    }

    /// The writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Sink for JsonlSink<W> {
    fn write(&mut self, documents: &[Document], vectors: &[f32]) -> Result<(), EmbedError> {
        let width = vectors.len() / documents.len().max(1);
        let failed = |error| SinkError::write(&self.target, error);
        for (document, embedding) in documents.iter().zip(vectors.chunks_exact(width.max(1))) {
            let record = Record {
                text: document.text()?,
                source: Origin { path: &document.place.path.to_string_lossy(), line: document.place.line },
                embedding,
            };
            self.buffer.clear();
            serde_json::to_writer(&mut self.buffer, &record).map_err(io::Error::from).map_err(failed)?;
            self.buffer.push(b'\n');
            self.writer.write_all(&self.buffer).map_err(failed)?;
        }
        // Whoever reads along sees whole units as they come.
        self.writer.flush().map_err(failed)?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        self.writer.flush().map_err(|error| SinkError::write(&self.target, error))?;
        Ok(())
    }
}

#[derive(Serialize)]
struct Record<'a> {
    text: &'a str,
    source: Origin<'a>,
    embedding: &'a [f32],
}

#[derive(Serialize)]
struct Origin<'a> {
    path: &'a str,
    line: u64,
}

/// Bytes before the values of an NPY file, a multiple of 64 as the format asks.
const NPY_HEADER: usize = 128;

/// Writes a NumPy array of f32, one row per document.
///
/// The header states the number of rows, so it is written last; until then the file has none.
#[derive(Debug)]
pub struct NpySink<W> {
    writer: W,
    target: String,
    width: usize,
    rows: u64,
}

impl<W: Write + Seek> NpySink<W> {
    /// Writes rows of `width` values to `writer`; errors will call it `target`.
    ///
    /// # Errors
    ///
    /// When the room for the header cannot be written.
    pub fn new(mut writer: W, width: usize, target: impl Into<String>) -> Result<Self, SinkError> {
        let target = target.into();
        writer.write_all(&[0; NPY_HEADER]).map_err(|error| SinkError::write(&target, error))?;
        Ok(Self { writer, target, width, rows: 0 })
    }

    /// The writer back.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn write_header(&mut self) -> io::Result<()> {
        self.writer.seek(SeekFrom::Start(0))?;
        self.writer.write_all(&npy_header(self.rows, self.width))?;
        self.writer.flush()
    }
}

impl<W: Write + Seek> Sink for NpySink<W> {
    fn write(&mut self, documents: &[Document], vectors: &[f32]) -> Result<(), EmbedError> {
        let written = if cfg!(target_endian = "little") {
            self.writer.write_all(bytemuck::cast_slice(vectors))
        } else {
            vectors.iter().try_for_each(|value| self.writer.write_all(&value.to_le_bytes()))
        };
        written.map_err(|error| SinkError::write(&self.target, error))?;
        self.rows += documents.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        self.write_header().map_err(|error| SinkError::write(&self.target, error))?;
        Ok(())
    }
}

fn npy_header(rows: u64, width: usize) -> [u8; NPY_HEADER] {
    let mut header = [b' '; NPY_HEADER];
    let shape = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    header[8..10].copy_from_slice(&((NPY_HEADER - 10) as u16).to_le_bytes());
    // Two numbers of at most twenty digits leave this well within the header.
    header[10..10 + shape.len()].copy_from_slice(shape.as_bytes());
    header[NPY_HEADER - 1] = b'\n';
    header
}
