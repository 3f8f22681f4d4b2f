//! Rows of an Arrow stream, written once more.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use arrow_array::{
    RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int64Type},
};
use arrow_ipc::reader::StreamReader;
use arrow_schema::ArrowError;
use leasehold::MemoryOwner;

use super::{Sink, arrow};
use crate::{
    document::{Document, Place, Text},
    error::{EmbedError, SinkError},
};

/// Writes every row of a stream of [`ArrowSink::stream`](crate::ArrowSink::stream) to another sink, and finishes that.
///
/// A format whose end lists what it holds cannot grow over several runs; a stream can, and is turned into it at the end.
/// Errors will call the stream `name`.
///
/// # Errors
///
/// When the stream is not such a one or cannot be read, and those of the sink.
pub fn replay(stream: impl Read, name: &str, sink: &mut dyn Sink) -> Result<(), EmbedError> {
    let failed = |error| failure(name, error);
    let batches = StreamReader::try_new_buffered(stream, None).map_err(failed)?;
    let mut path: Arc<Path> = Path::new("").into();
    for batch in batches {
        let batch = batch.map_err(failed)?;
        let (documents, vectors) = rows(&batch, &mut path).map_err(failed)?;
        sink.write(&documents, vectors)?;
    }
    sink.finish()
}

/// The rows of a batch; `path` is the one that was seen last, which many share.
fn rows(batch: &RecordBatch, path: &mut Arc<Path>) -> Result<(Vec<Document>, MemoryOwner<f32>), ArrowError> {
    let foreign = || ArrowError::SchemaError("it has other columns than embeddings have".to_owned());
    let [paths, lines, texts, vectors] = batch.columns() else { return Err(foreign()) };
    let vectors = vectors.as_fixed_size_list_opt().ok_or_else(foreign)?;
    let width = usize::try_from(vectors.value_length()).map_err(|_| foreign())?;
    if *batch.schema().fields() != arrow::schema(width)?.fields {
        return Err(foreign());
    }
    let paths = paths.as_string_opt::<i32>().ok_or_else(foreign)?;
    let lines = lines.as_primitive_opt::<Int64Type>().ok_or_else(foreign)?;
    let texts = texts.as_string_opt::<i64>().ok_or_else(foreign)?;
    let values = vectors.values().as_primitive_opt::<Float32Type>().ok_or_else(foreign)?;
    let documents = (0..batch.num_rows()).map(|row| {
        let named = Path::new(paths.value(row));
        if **path != *named {
            *path = named.into();
        }
        let line = u64::try_from(lines.value(row)).unwrap_or(0);
        let place = Place { path: Arc::clone(path), line, offset: 0 };
        let text = MemoryOwner::from(texts.value(row).to_owned()).into_shared();
        Document { text: Text::checked(text), place, consumed: 0 }
    });
    Ok((documents.collect(), MemoryOwner::from(&values.values()[..])))
}

fn failure(name: &str, error: ArrowError) -> SinkError {
    let source = match error {
        ArrowError::IoError(_, source) => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    };
    SinkError::ReadBack { target: name.to_owned(), source }
}
