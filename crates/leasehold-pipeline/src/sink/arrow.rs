//! Arrow IPC: files and streams of record batches.

use std::{
    io::{self, Write},
    sync::Arc,
};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, RecordBatch,
    builder::{Int64Builder, LargeStringBuilder, StringBuilder},
};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use bytes::Bytes;
use leasehold::MemoryOwner;

use super::Sink;
use crate::{
    document::Document,
    error::{EmbedError, SinkError},
};

/// Bytes of vectors or of text in a record batch of a file, at least, but for the last.
const BATCH: usize = 4 * 1024 * 1024;

/// Writes Arrow record batches with the columns `path`, `line`, `text` and `embedding`, a list of fixed size of f32.
///
/// A stream has one batch for each `write`, whose vectors are those of the block that was handed in, not a copy, and is
/// flushed after each. A file has batches of about 4 MiB, because its footer lists them all; vectors are copied into them,
/// unless a block is large enough to be a batch of its own.
///
/// ```
/// use std::{path::Path};
/// use leasehold::MemoryOwner;
/// use leasehold_pipeline::{Document, ArrowSink, Place, Sink, Text};
///
/// # let block = MemoryOwner::from("A span is short.".to_owned()).into_shared();
/// # let place = Place { path: Path::new("notes.txt").into(), line: 7, offset: 0 };
/// # let document = Document { text: Text::new(block)?, place, consumed: 16 };
/// let mut stream = Vec::new();
/// let mut sink = ArrowSink::stream(&mut stream, 2, "memory")?;
/// sink.write(&[document], MemoryOwner::from(vec![0.6, 0.8]))?;
/// sink.finish()?;
/// drop(sink);
/// assert_eq!(stream[..4], [0xff; 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ArrowSink<W: Write> {
    writer: Writer<W>,
    target: String,
    rows: Rows,
    /// Vectors of the rows so far.
    vectors: Vec<f32>,
}

enum Writer<W: Write> {
    File(FileWriter<W>),
    Stream(StreamWriter<Gate<W>>),
}

/// Passes on what is written once it is open: a stream that is gone on with has its beginning already.
struct Gate<W> {
    writer: W,
    open: bool,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open { self.writer.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.open { self.writer.flush() } else { Ok(()) }
    }
}

impl<W: Write> ArrowSink<W> {
    /// Writes the IPC file format, also called Feather; errors will call the writer `target`.
    ///
    /// # Errors
    ///
    /// When the beginning cannot be written.
    pub fn file(writer: W, width: usize, target: impl Into<String>) -> Result<Self, SinkError> {
        let open = |writer, schema: &Schema| FileWriter::try_new(writer, schema).map(Writer::File);
        Self::new(writer, width, target.into(), open)
    }

    /// Writes the IPC streaming format; errors will call the writer `target`.
    ///
    /// # Errors
    ///
    /// When the beginning cannot be written.
    pub fn stream(writer: W, width: usize, target: impl Into<String>) -> Result<Self, SinkError> {
        let open = |writer, schema: &Schema| {
            StreamWriter::try_new(Gate { writer, open: true }, schema).map(Writer::Stream)
        };
        Self::new(writer, width, target.into(), open)
    }

    /// Goes on with a stream behind the batches that an earlier sink has written to `writer`, which stands at its end.
    ///
    /// # Errors
    ///
    /// When vectors cannot be as long.
    pub fn resume_stream(writer: W, width: usize, target: impl Into<String>) -> Result<Self, SinkError> {
        let open = |writer, schema: &Schema| {
            let mut stream = StreamWriter::try_new(Gate { writer, open: false }, schema)?;
            stream.flush()?;
            stream.get_mut().open = true;
            Ok(Writer::Stream(stream))
        };
        Self::new(writer, width, target.into(), open)
    }

    fn new(
        writer: W,
        width: usize,
        target: String,
        open: impl FnOnce(W, &Schema) -> Result<Writer<W>, ArrowError>,
    ) -> Result<Self, SinkError> {
        let failed = |error| failure(&target, error);
        let rows = Rows::new(width).map_err(failed)?;
        let writer = open(writer, &rows.schema).map_err(failed)?;
        Ok(Self { writer, target, rows, vectors: Vec::new() })
    }

    /// Writes the rows so far as a batch, with these vectors.
    fn write_batch(&mut self, vectors: Buffer) -> Result<(), SinkError> {
        let written = self.rows.finish(vectors).and_then(|batch| match &mut self.writer {
            Writer::File(writer) => writer.write(&batch),
            // Whoever reads along sees whole batches as they come.
            Writer::Stream(writer) => writer.write(&batch).and_then(|()| writer.flush()),
        });
        written.map_err(|error| failure(&self.target, error))
    }
}

impl<W: Write> Sink for ArrowSink<W> {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        if documents.is_empty() {
            return Ok(());
        }
        self.rows.push(documents)?;
        let is_file = matches!(self.writer, Writer::File(_));
        if is_file && !(self.vectors.is_empty() && size_of_val(&*vectors) >= BATCH) {
            self.vectors.extend_from_slice(&vectors);
            drop(vectors);
            if size_of_val(&*self.vectors).max(self.rows.text_bytes) >= BATCH {
                let gathered = std::mem::take(&mut self.vectors);
                self.write_batch(Buffer::from_vec(gathered))?;
            }
            return Ok(());
        }
        Ok(self.write_batch(lend(vectors))?)
    }

    fn checkpoint(&mut self) -> Result<bool, EmbedError> {
        match &mut self.writer {
            // The list at its end cannot be gone on with.
            Writer::File(_) => Ok(false),
            Writer::Stream(writer) => {
                writer.flush().map_err(|error| failure(&self.target, error))?;
                Ok(true)
            }
        }
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        if !self.vectors.is_empty() {
            let gathered = std::mem::take(&mut self.vectors);
            self.write_batch(Buffer::from_vec(gathered))?;
        }
        let finished = match &mut self.writer {
            Writer::File(writer) => writer.finish(),
            Writer::Stream(writer) => writer.finish().and_then(|()| writer.flush()),
        };
        Ok(finished.map_err(|error| failure(&self.target, error))?)
    }
}

impl<W: Write> std::fmt::Debug for ArrowSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowSink").field("target", &self.target).finish_non_exhaustive()
    }
}

/// The columns of embeddings whose vectors have `width` values.
pub(super) fn schema(width: usize) -> Result<Schema, ArrowError> {
    let width = i32::try_from(width).map_err(|error| ArrowError::SchemaError(error.to_string()))?;
    let value = Arc::new(Field::new("item", DataType::Float32, false));
    Ok(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("line", DataType::Int64, false),
        // A text may be longer than the other kind of string can be.
        Field::new("text", DataType::LargeUtf8, false),
        Field::new("embedding", DataType::FixedSizeList(value, width), false),
    ]))
}

/// A block as an Arrow buffer, which gives it back when it is dropped.
fn lend(vectors: MemoryOwner<f32>) -> Buffer {
    struct Vectors(MemoryOwner<f32>);

    impl AsRef<[u8]> for Vectors {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }

    Buffer::from(Bytes::from_owner(Vectors(vectors)))
}

/// All columns but the vectors.
struct Rows {
    schema: Arc<Schema>,
    width: i32,
    paths: StringBuilder,
    lines: Int64Builder,
    texts: LargeStringBuilder,
    text_bytes: usize,
}

impl Rows {
    fn new(width: usize) -> Result<Self, ArrowError> {
        Ok(Self {
            schema: Arc::new(schema(width)?),
            // `schema` has refused what does not fit.
            width: i32::try_from(width).unwrap_or(i32::MAX),
            paths: StringBuilder::new(),
            lines: Int64Builder::new(),
            texts: LargeStringBuilder::new(),
            text_bytes: 0,
        })
    }

    fn push(&mut self, documents: &[Document]) -> Result<(), EmbedError> {
        for document in documents {
            let text = document.text()?;
            self.paths.append_value(document.place.path.to_string_lossy());
            self.lines.append_value(i64::try_from(document.place.line).unwrap_or(i64::MAX));
            self.texts.append_value(text);
            self.text_bytes += text.len();
        }
        Ok(())
    }

    /// The rows so far with their vectors, and none after that.
    fn finish(&mut self, vectors: Buffer) -> Result<RecordBatch, ArrowError> {
        self.text_bytes = 0;
        let values = vectors.len() / size_of::<f32>();
        let values = Float32Array::try_new(ScalarBuffer::new(vectors, 0, values), None)?;
        let DataType::FixedSizeList(value, _) = self.schema.field(3).data_type() else {
            return Err(ArrowError::SchemaError("the fourth column holds no vectors".to_owned()));
        };
        let vectors = FixedSizeListArray::try_new(Arc::clone(value), self.width, Arc::new(values), None)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.paths.finish()),
            Arc::new(self.lines.finish()),
            Arc::new(self.texts.finish()),
            Arc::new(vectors),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn failure(target: &str, error: ArrowError) -> SinkError {
    match error {
        ArrowError::IoError(_, source) => SinkError::write(target, source),
        other => SinkError::write(target, io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow_array::{cast::AsArray, types::Float32Type};
    use leasehold::MemoryPool;

    use super::*;
    use crate::document::{Place, Text};

    #[test]
    fn vectors_of_a_batch_are_the_block_and_go_back_with_it() {
        let pool = MemoryPool::new();
        let mut block = pool.rent::<f32>(6);
        block.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let address = block.as_ptr();
        let text = || Text::new(MemoryOwner::from("text".to_owned()).into_shared()).unwrap();
        let place = Place { path: Path::new("a").into(), line: 1, offset: 0 };
        let document = || Document { text: text(), place: place.clone(), consumed: 0 };
        let mut rows = Rows::new(3).unwrap();
        rows.push(&[document(), document()]).unwrap();
        let batch = rows.finish(lend(block)).unwrap();
        let vectors = batch.column(3).as_fixed_size_list();
        assert_eq!(vectors.values().as_primitive::<Float32Type>().values().as_ptr(), address);
        assert_eq!(vectors.value(1).as_primitive::<Float32Type>().values(), &[4.0, 5.0, 6.0][..]);
        assert_eq!(pool.outstanding().len(), 1);
        drop(batch);
        assert!(pool.outstanding().is_empty());
    }
}
