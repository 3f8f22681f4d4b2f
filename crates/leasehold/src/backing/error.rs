//! Why a backing has no memory to give.

use std::error::Error;
use std::fmt;
use std::io;

/// A backing could not give a block. Nothing has changed.
///
/// What the operating system said, where it said something, is the [`source`](Error::source).
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::{Backing, BackingError, Heap};
///
/// let error = Heap.allocate(Layout::new::<()>()).unwrap_err();
/// assert!(matches!(error, BackingError::Layout { size: 0, .. }));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BackingError {
    /// The backing has no blocks of this form.
    Layout {
        /// Bytes asked for.
        size: usize,
        /// Alignment asked for.
        alignment: usize,
        /// Sizes on offer are multiples of this.
        granularity: usize,
    },
    /// There is not enough memory.
    OutOfMemory {
        /// Bytes asked for.
        size: usize,
    },
    /// More memory would be locked into RAM than the process may.
    LockLimit {
        /// Bytes asked for.
        size: usize,
        /// Bytes that the process may lock altogether.
        limit: u64,
    },
    /// A step on the way failed.
    Failed {
        /// What was attempted, as in "mapping".
        attempt: &'static str,
        /// Bytes asked for.
        size: usize,
        /// Why it failed.
        source: io::Error,
    },
}

impl BackingError {
    #[cfg(unix)]
    #[cold]
    pub(super) fn mapping(size: usize, source: io::Error) -> BackingError {
        match source.kind() {
            io::ErrorKind::OutOfMemory => BackingError::OutOfMemory { size },
            _ => BackingError::Failed { attempt: "mapping", size, source },
        }
    }

    /// Bytes asked for.
    pub fn size(&self) -> usize {
        match *self {
            BackingError::Layout { size, .. }
            | BackingError::OutOfMemory { size }
            | BackingError::LockLimit { size, .. }
            | BackingError::Failed { size, .. } => size,
        }
    }
}

impl fmt::Display for BackingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackingError::Layout { size, alignment, granularity } => write!(
                f,
                "no block of {size} bytes aligned to {alignment} is on offer: \
                 sizes are multiples of {granularity}, alignments at most 2 MiB"
            ),
            BackingError::OutOfMemory { size } => write!(f, "no memory for a block of {size} bytes"),
            BackingError::LockLimit { size, limit } => write!(
                f,
                "cannot lock a block of {size} bytes into RAM: the process may lock {limit} bytes altogether \
                 (raise the limit with `ulimit -l` or `LimitMEMLOCK=`)"
            ),
            BackingError::Failed { attempt, size, .. } => {
                write!(f, "{attempt} a block of {size} bytes failed")
            }
        }
    }
}

impl Error for BackingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BackingError::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}
