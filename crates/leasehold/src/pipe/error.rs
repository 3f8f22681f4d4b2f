//! What can go wrong between the two ends of a pipe.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::error::RentError;

/// Any error, as the ends of a pipe hand it to each other.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// There is nothing to read, and why. It is said again by each further read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The writer has completed with this error. What it had written before was read.
    Failed(Arc<dyn Error + Send + Sync>),
    /// The writer was dropped and had not completed. What it had flushed before was read.
    WriterGone,
    /// The pipe has no room for what the writer waits to write, and the reader, which has examined everything, no use for
    /// what is there: neither would ever go on. Consume some of it, or make the pipe larger.
    Full {
        /// Elements in the pipe.
        held: usize,
        /// Elements that the writer wants room for.
        wanted: usize,
        /// Elements that the pipe holds at most.
        capacity: usize,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Failed(_) => f.write_str("the writer of the pipe has failed"),
            ReadError::WriterGone => {
                f.write_str("the writer of the pipe was dropped before it had completed")
            }
            ReadError::Full { held, wanted, capacity } => write!(
                f,
                "the pipe is full: it holds {held} of {capacity} elements, all examined and none consumed, and the \
                 writer waits for room for {wanted}"
            ),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReadError::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Nothing more can be written now, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The reader was dropped, or has completed. What is in the pipe is lost.
    ReaderGone,
    /// The reader has completed with this error.
    ReaderFailed(Arc<dyn Error + Send + Sync>),
    /// The writer itself was [closed](crate::PipeWriter::close) before.
    Completed,
    /// The pipe never has so much room.
    TooLarge {
        /// Elements asked for.
        asked: usize,
        /// Elements that the pipe holds at most.
        capacity: usize,
    },
    /// The memory for a block is not to be had.
    Rent(RentError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::ReaderGone => f.write_str("the reader of the pipe has gone"),
            WriteError::ReaderFailed(_) => f.write_str("the reader of the pipe has failed"),
            WriteError::Completed => f.write_str("the writer of the pipe was closed before"),
            WriteError::TooLarge { asked, capacity } => {
                write!(f, "room for {asked} elements asked for in a pipe of {capacity}")
            }
            WriteError::Rent(_) => f.write_str("no memory for a block of the pipe"),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            WriteError::ReaderFailed(error) => Some(&**error),
            WriteError::Rent(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RentError> for WriteError {
    fn from(error: RentError) -> WriteError {
        WriteError::Rent(error)
    }
}

/// The kind is that of an `io::Error` with which the writer has failed, or `UnexpectedEof` when it was dropped.
impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        let kind = match &error {
            ReadError::Failed(error) => kind(&**error),
            ReadError::WriterGone => io::ErrorKind::UnexpectedEof,
            ReadError::Full { .. } => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// The kind is that of an `io::Error` with which the reader has failed, or `BrokenPipe` when nobody reads or the writer was
/// closed.
impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> io::Error {
        let kind = match &error {
            WriteError::ReaderGone | WriteError::Completed => io::ErrorKind::BrokenPipe,
            WriteError::ReaderFailed(error) => kind(&**error),
            WriteError::TooLarge { .. } => io::ErrorKind::InvalidInput,
            WriteError::Rent(_) => io::ErrorKind::OutOfMemory,
        };
        io::Error::new(kind, error)
    }
}

fn kind(error: &(dyn Error + Send + Sync + 'static)) -> io::ErrorKind {
    error.downcast_ref::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind)
}
