//! Where embeddings go: one format a file.

#[cfg(feature = "arrow")]
mod arrow;
mod jsonl;
mod npy;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "arrow")]
mod replay;
mod terminal;

use leasehold::MemoryOwner;

#[cfg(feature = "parquet")]
pub use self::parquet::ParquetSink;
#[cfg(feature = "arrow")]
pub use self::{arrow::ArrowSink, replay::replay};
pub use self::{jsonl::JsonlSink, npy::NpySink, terminal::TerminalSink};
use crate::{document::Document, error::EmbedError};

/// Takes embeddings in the order of the input.
pub trait Sink {
    /// Takes some documents and the block with their vectors, back to back.
    ///
    /// The block belongs to the sink, which should drop it soon: others may be waiting for its memory.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError>;

    /// Hands everything so far to the file, so that a later run can go on from its present end; `false` where the format does
    /// not allow that, as if nothing is said.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn checkpoint(&mut self) -> Result<bool, EmbedError> {
        Ok(false)
    }

    /// Is called once, after the last `write` of a run that succeeded.
    ///
    /// # Errors
    ///
    /// When what is left cannot be written.
    fn finish(&mut self) -> Result<(), EmbedError>;
}
