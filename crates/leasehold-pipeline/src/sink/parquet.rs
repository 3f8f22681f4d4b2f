//! Parquet files.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use base64::{Engine, prelude::BASE64_STANDARD};
use leasehold::MemoryOwner;
use parquet::{
    basic::{Compression, ZstdLevel},
    column::writer::ColumnWriterImpl,
    data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

use super::Sink;
use crate::{
    document::Document,
    error::{EmbedError, SinkError},
};

/// Bytes of a row group before it is encoded, at least, but for the last: what is kept until it is written.
const ROW_GROUP: usize = 32 * 1024 * 1024;

/// Rows whose vectors are encoded at a time.
const ROWS: usize = 64;

const SCHEMA: &str = "message embeddings {
    required binary path (UTF8);
    required int64 line;
    required binary text (UTF8);
    required group embedding (LIST) { repeated group list { required float element; } }
}";

/// Writes a Parquet file with the columns `path`, `line`, `text` and `embedding`, a list of f32.
///
/// The file says that the lists are of fixed size, as readers that know Arrow understand. Paths, lines and texts are
/// compressed with zstd; vectors are not, because their digits have no pattern. Rows are kept until they make a row group of
/// about 32 MiB.
///
/// ```
/// use std::{path::Path};
/// use leasehold::MemoryOwner;
/// use leasehold_pipeline::{Document, ParquetSink, Place, Sink, Text};
///
/// # let block = MemoryOwner::from("A span is short.".to_owned()).into_shared();
/// # let place = Place { path: Path::new("notes.txt").into(), line: 7, offset: 0 };
/// # let document = Document { text: Text::new(block)?, place, consumed: 16 };
/// let mut file = Vec::new();
/// let mut sink = ParquetSink::new(&mut file, 2, "memory")?;
/// sink.write(&[document], MemoryOwner::from(vec![0.6, 0.8]))?;
/// sink.finish()?;
/// drop(sink);
/// assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ParquetSink<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    target: String,
    width: usize,
    rows: Rows,
}

impl<W: Write + Send> ParquetSink<W> {
    /// Writes vectors of `width` values to `writer`; errors will call it `target`.
    ///
    /// # Errors
    ///
    /// When the beginning cannot be written.
    pub fn new(writer: W, width: usize, target: impl Into<String>) -> Result<Self, SinkError> {
        let target = target.into();
        let writer = open(writer, width).map_err(|error| failure(&target, error))?;
        Ok(Self { writer, target, width, rows: Rows::default() })
    }

    fn write_group(&mut self) -> Result<(), SinkError> {
        let rows = &self.rows;
        let written = self.writer.next_row_group().and_then(|group| rows.write(group, self.width));
        written.map_err(|error| failure(&self.target, error))?;
        self.rows.clear();
        Ok(())
    }
}

impl<W: Write + Send> Sink for ParquetSink<W> {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        for document in documents {
            self.rows.push(document, &self.target)?;
        }
        // Room for a whole group at once, which is touched only as it is filled: growing would take up twice as much.
        self.rows.vectors.reserve_exact(
            (ROW_GROUP / size_of::<f32>() + vectors.len()).saturating_sub(self.rows.vectors.len()),
        );
        self.rows.vectors.extend_from_slice(&vectors);
        drop(vectors);
        if self.rows.bytes() >= ROW_GROUP {
            self.write_group()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        if !self.rows.lines.is_empty() {
            self.write_group()?;
        }
        let finished = self.writer.finish().and_then(|_| Ok(self.writer.inner_mut().flush()?));
        Ok(finished.map_err(|error| failure(&self.target, error))?)
    }
}

impl<W: Write + Send> std::fmt::Debug for ParquetSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetSink").field("target", &self.target).finish_non_exhaustive()
    }
}

fn open<W: Write + Send>(writer: W, width: usize) -> Result<SerializedFileWriter<W>, ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let embedding =
        ColumnPath::from("embedding.list.element".split('.').map(str::to_owned).collect::<Vec<_>>());
    let text = ColumnPath::from("text");
    let properties = WriterProperties::builder()
        .set_created_by(concat!("leasehold ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_column_compression(embedding.clone(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(embedding, false)
        .set_column_dictionary_enabled(text, false)
        // Figures of vectors and texts help nobody to find a row, and would be kept in memory until the end.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_key_value_metadata(Some(vec![arrow_schema(width)?]))
        .build();
    SerializedFileWriter::new(writer, schema, Arc::new(properties))
}

/// Where readers that know Arrow look for what the schema of Parquet cannot say: that all lists have the same length.
fn arrow_schema(width: usize) -> Result<KeyValue, ParquetError> {
    let schema = super::arrow::schema(width).map_err(|error| ParquetError::General(error.to_string()))?;
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        &schema,
        &mut DictionaryTracker::new(true),
        &IpcWriteOptions::default(),
    );
    let length = u32::try_from(encoded.ipc_message.len())?;
    let mut message = vec![0xFF; 4];
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(&encoded.ipc_message);
    Ok(KeyValue::new("ARROW:schema".to_owned(), BASE64_STANDARD.encode(message)))
}

/// The rows of a group that is not written yet.
#[derive(Default)]
struct Rows {
    paths: Vec<ByteArray>,
    lines: Vec<i64>,
    texts: Vec<ByteArray>,
    text_bytes: usize,
    vectors: Vec<f32>,
    /// The path that was seen last, and how it is written.
    last: Option<(Arc<Path>, ByteArray)>,
}

impl Rows {
    fn push(&mut self, document: &Document, target: &str) -> Result<(), EmbedError> {
        let text = document.text()?;
        if i32::try_from(text.len()).is_err() {
            let reason = format!("a text of {} bytes is too long for Parquet", text.len());
            let source = io::Error::new(io::ErrorKind::InvalidData, reason);
            return Err(SinkError::write(target, source).into());
        }
        let path = &document.place.path;
        let written = match &self.last {
            Some((last, written)) if Arc::ptr_eq(last, path) => written.clone(),
            _ => ByteArray::from(path.to_string_lossy().as_bytes().to_vec()),
        };
        self.last = Some((Arc::clone(path), written.clone()));
        self.paths.push(written);
        self.lines.push(i64::try_from(document.place.line).unwrap_or(i64::MAX));
        self.texts.push(ByteArray::from(text.as_bytes().to_vec()));
        self.text_bytes += text.len() + 2 * size_of::<ByteArray>();
        Ok(())
    }

    /// Takes everything out, and keeps the room.
    fn clear(&mut self) {
        self.paths.clear();
        self.lines.clear();
        self.texts.clear();
        self.text_bytes = 0;
        self.vectors.clear();
    }

    fn bytes(&self) -> usize {
        self.text_bytes + size_of_val(&*self.vectors)
    }

    fn write<W: Write + Send>(
        &self,
        mut group: SerializedRowGroupWriter<'_, W>,
        width: usize,
    ) -> Result<(), ParquetError> {
        write_column::<ByteArrayType, W>(&mut group, |column| {
            column.write_batch(&self.paths, None, None).map(drop)
        })?;
        write_column::<Int64Type, W>(&mut group, |column| {
            column.write_batch(&self.lines, None, None).map(drop)
        })?;
        write_column::<ByteArrayType, W>(&mut group, |column| {
            column.write_batch(&self.texts, None, None).map(drop)
        })?;
        // Every value is there, and the first of each row begins a list.
        let present = vec![1_i16; ROWS * width];
        let mut begins = vec![1_i16; ROWS * width];
        begins.iter_mut().step_by(width.max(1)).for_each(|level| *level = 0);
        write_column::<FloatType, W>(&mut group, |column| {
            for rows in self.vectors.chunks((ROWS * width).max(1)) {
                column.write_batch(rows, Some(&present[..rows.len()]), Some(&begins[..rows.len()]))?;
            }
            Ok(())
        })?;
        group.close().map(drop)
    }
}

/// Writes the next column of a group.
fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    write: impl FnOnce(&mut ColumnWriterImpl<'_, T>) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has fewer columns".to_owned()));
    };
    write(column.typed::<T>())?;
    column.close()
}

fn failure(target: &str, error: ParquetError) -> SinkError {
    let source = match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        other => io::Error::other(other),
    };
    SinkError::write(target, source)
}
