//! Why there is no CUDA.

use std::error::Error;
use std::fmt;

/// The CUDA driver is missing, or refuses.
///
/// # Examples
/// See [`PinnedHost`](super::PinnedHost).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver's library cannot be loaded.
    Missing {
        /// What the system's loader says.
        reason: String,
    },
    /// The driver's library has no such function: it is too old.
    TooOld {
        /// The function.
        function: &'static str,
    },
    /// A call of the driver failed.
    Failed {
        /// The function.
        function: &'static str,
        /// The driver's number for the error.
        code: i32,
        /// What the driver says about it.
        message: String,
    },
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CudaError::Missing { reason } => write!(f, "the CUDA driver cannot be loaded: {reason}"),
            CudaError::TooOld { function } => write!(f, "the CUDA driver is too old: it has no {function}"),
            CudaError::Failed { function, code, message } => {
                write!(f, "the CUDA driver refuses {function}: {message} ({code})")
            }
        }
    }
}

impl Error for CudaError {}
