//! JSON lines.

use std::io::{self, Write};

use leasehold::MemoryOwner;
use serde::Serialize;

use super::Sink;
use crate::{
    document::Document,
    error::{EmbedError, SinkError},
};

/// Writes one JSON object per document: `{"text": .., "source": {"path": .., "line": ..}, "embedding": [..]}`.
///
/// ```
/// use std::{path::Path};
/// use leasehold::MemoryOwner;
/// use leasehold_pipeline::{Document, JsonlSink, Place, Sink, Text};
///
/// # let block = MemoryOwner::from("A span is short.".to_owned()).into_shared();
/// # let place = Place { path: Path::new("notes.txt").into(), line: 7, offset: 0 };
/// # let document = Document { text: Text::new(block)?, place, consumed: 16 };
/// let mut sink = JsonlSink::new(Vec::new(), "memory");
/// sink.write(&[document], MemoryOwner::from(vec![0.5, 1.0]))?;
/// sink.finish()?;
/// let line = String::from_utf8(sink.into_inner())?;
/// assert!(line.starts_with(r#"{"text":"A span is short.""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
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

    fn checkpoint(&mut self) -> Result<bool, EmbedError> {
        self.finish()?;
        Ok(true)
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
