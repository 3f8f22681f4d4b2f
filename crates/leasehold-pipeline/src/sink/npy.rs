//! NumPy arrays.

use std::io::{self, Seek, SeekFrom, Write};

use leasehold::MemoryOwner;

use super::Sink;
use crate::{
    document::Document,
    error::{EmbedError, SinkError},
};

/// Bytes before the values of an NPY file, a multiple of 64 as the format asks.
const NPY_HEADER: usize = 128;

/// Writes a NumPy array of f32, one row per document.
///
/// The header states the number of rows, so it is written last; until then the file has none.
///
/// ```
/// use std::{io::Cursor, path::Path};
/// use leasehold::MemoryOwner;
/// use leasehold_pipeline::{Document, NpySink, Place, Sink, Text};
///
/// # let block = MemoryOwner::from("A span is short.".to_owned()).into_shared();
/// # let place = Place { path: Path::new("notes.txt").into(), line: 7, offset: 0 };
/// # let document = Document { text: Text::new(block)?, place, consumed: 16 };
/// let mut sink = NpySink::new(Cursor::new(Vec::new()), 2, "memory")?;
/// sink.write(&[document], MemoryOwner::from(vec![0.6, 0.8]))?;
/// sink.finish()?;
/// let array = sink.into_inner().into_inner();
/// assert_eq!(array.len(), 128 + 2 * size_of::<f32>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// When the room for the header cannot be written, or the writer cannot go back to it, as a pipe.
    pub fn new(mut writer: W, width: usize, target: impl Into<String>) -> Result<Self, SinkError> {
        let target = target.into();
        // Before hours of work, not after them.
        if let Err(source) = writer.seek(SeekFrom::Start(0)) {
            return Err(SinkError::OneWay { target, source });
        }
        writer.write_all(&[0; NPY_HEADER]).map_err(|error| SinkError::write(&target, error))?;
        Ok(Self { writer, target, width, rows: 0 })
    }

    /// Goes on behind the rows that an earlier sink has written to `writer`, which stands at its end.
    #[must_use]
    pub fn resume(writer: W, width: usize, rows: u64, target: impl Into<String>) -> Self {
        Self { writer, target: target.into(), width, rows }
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
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        let written = if cfg!(target_endian = "little") {
            self.writer.write_all(bytemuck::cast_slice(&vectors))
        } else {
            vectors.iter().try_for_each(|value| self.writer.write_all(&value.to_le_bytes()))
        };
        written.map_err(|error| SinkError::write(&self.target, error))?;
        self.rows += documents.len() as u64;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<bool, EmbedError> {
        self.writer.flush().map_err(|error| SinkError::write(&self.target, error))?;
        Ok(true)
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
