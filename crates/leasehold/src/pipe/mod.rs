//! A bounded pipe over pooled blocks: one writes, one reads, and nothing is copied in between.

mod builder;
mod channel;
mod error;
mod reader;
mod writer;

use bytemuck::Pod;

pub use builder::PipeBuilder;
pub use error::{BoxError, ReadError, WriteError};
pub use reader::{PipeReader, Read, ReadResult};
pub use writer::{Flush, PipeWriter, Reserve};

/// A pipe of at most 256 KiB, over blocks of the shared pool. See [`PipeWriter`] and [`PipeReader`], and [`PipeBuilder`] for
/// other sizes and pools.
///
/// ```text
///   writer                                             reader
///   reserve -> fill -> commit -> flush  ==>  read -> look -> advance(consumed, examined)
///      ^                                                          |
///      +------------------ room for more <-----------------------+
/// ```
/// The writer fills blocks of the pool in place, and the reader looks at them in place, as a [`Sequence`](crate::Sequence).
/// What the reader keeps of it stays valid, whatever it tells the pipe afterwards.
///
/// **The bound** is on what the pipe holds: what was committed and not consumed. A reader that has examined everything and
/// consumed nothing, of a pipe that has no room for what the writer waits to write, gets [`ReadError::Full`] in place of a
/// dead lock.
///
/// **The end.** [`complete`](PipeWriter::complete) ends the data, or fails it: the reader first gets what is in the pipe, then
/// the error. A writer that is dropped without it is such an error too, so that a task that was cancelled is not taken
/// for the end. When the reader has gone, the writer's next [`flush`](PipeWriter::flush) or
/// [`reserve`](PipeWriter::reserve) says so.
///
/// It works on any runtime and without one (`read_blocking` and the like), costs one mutex a call, which neither side
/// holds for longer than it takes to move a few words, and allocates nothing in the steady state.
///
/// # Examples
/// ```
/// use leasehold::pipe;
///
/// let (mut writer, mut reader) = pipe::<u8>();
/// let source = std::thread::spawn(move || {
///     for line in ["to be\n", "or not\n"] {
///         let room = writer.reserve_blocking(line.len())?;
///         room[..line.len()].copy_from_slice(line.as_bytes());
///         writer.commit(line.len());
///         writer.flush_blocking()?;
///     }
///     writer.complete(Ok(()));
///     Ok::<_, leasehold::WriteError>(())
/// });
///
/// let mut lines = Vec::new();
/// loop {
///     let result = reader.read_blocking()?;
///     let (buffer, is_completed) = (result.buffer(), result.is_completed());
///     let mut at = buffer.reader();
///     while let Some(line) = at.read_until(&b'\n') {
///         lines.push(line);
///     }
///     let (consumed, examined) = (at.consumed(), buffer.len());
///     reader.advance(consumed, examined);
///     if is_completed {
///         break;
///     }
/// }
/// assert!(lines[0] == b"to be"[..] && lines[1] == b"or not"[..]);
/// # source.join().unwrap()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "Pipe")]
#[doc(alias = "System.IO.Pipelines")]
#[doc(alias = "duplex")]
pub fn pipe<T: Pod + Send + Sync>() -> (PipeWriter<T>, PipeReader<T>) {
    PipeBuilder::new().build()
}

#[cfg(all(test, leasehold_loom))]
mod models;
