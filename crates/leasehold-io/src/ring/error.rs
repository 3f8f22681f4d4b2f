//! What can go wrong, with what was given handed back.

use std::fmt;
use std::io;

use leasehold::MemoryOwner;

/// An operation failed, or was cancelled; the memory comes back with the reason.
///
/// It turns into a [`std::io::Error`] of the same kind, so that `?` passes it on where the memory is not wanted.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use leasehold::MemoryOwner;
///
/// # fn main() -> std::io::Result<()> {
/// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
/// let ring = leasehold_io::Ring::new()?;
/// let folder = Arc::new(std::fs::File::open(".")?);
/// let failed = ring.read_at(&folder, MemoryOwner::from(vec![0; 10]), 5).wait().unwrap_err();
/// assert_eq!(failed.to_string(), "cannot read 10 bytes at offset 5: Is a directory (os error 21)");
/// assert_eq!(failed.memory.len(), 10);
/// # Ok(())
/// # }
/// ```
pub struct Failed<B> {
    /// The memory of the operation. After a read that failed nothing is known of its contents.
    pub memory: B,
    /// What the operating system says.
    pub error: io::Error,
    pub(super) task: Task,
}

impl<B> Failed<B> {
    /// Whether the operation was cancelled, by [`Operation::cancel`](crate::Operation::cancel) or because the ring was dropped.
    pub fn is_cancelled(&self) -> bool {
        // A blocking operation in a thread of the kernel's is cancelled by a signal.
        matches!(self.error.raw_os_error(), Some(libc::ECANCELED | libc::EINTR))
    }
}

impl<B> fmt::Display for Failed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.task, self.error)
    }
}

/// Says what failed, never what is in the memory.
impl<B> fmt::Debug for Failed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failed({self})")
    }
}

impl<B> std::error::Error for Failed<B> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<B> From<Failed<B>> for io::Error {
    fn from(failed: Failed<B>) -> io::Error {
        io::Error::new(failed.error.kind(), failed.to_string())
    }
}

/// What an operation was to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) verb: &'static str,
    pub(super) len: usize,
    pub(super) offset: Option<u64>,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} bytes", self.verb, self.len)?;
        self.offset.map_or(Ok(()), |offset| write!(f, " at offset {offset}"))
    }
}

/// There is no ring; the buffers that were to be registered come back.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
/// use leasehold_io::Ring;
///
/// let refused = Ring::builder().entries(0).register([MemoryOwner::from(vec![0; 10])]).build().unwrap_err();
/// assert_eq!(refused.buffers.len(), 1);
/// ```
#[derive(Debug)]
pub struct SetupError {
    /// What the operating system says.
    pub error: io::Error,
    /// The buffers, in the order in which they were given.
    pub buffers: Vec<MemoryOwner<u8>>,
}

impl SetupError {
    /// Whether the system knows no `io_uring`, or forbids it to this process.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES))
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot set up an io_uring: {}", self.error)?;
        match self.error.raw_os_error() {
            Some(libc::ENOSYS) => f.write_str("; the kernel is older than 5.6, or a seccomp filter hides it"),
            Some(libc::EPERM | libc::EACCES) => {
                f.write_str("; allow it with the sysctl kernel.io_uring_disabled or in the seccomp filter")
            }
            Some(libc::ENOMEM) => f.write_str("; raise the limit of locked memory, or register less"),
            Some(libc::EINVAL) => f.write_str("; ask for 1 to 32768 entries, and register no empty buffer"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<SetupError> for io::Error {
    fn from(refused: SetupError) -> io::Error {
        io::Error::new(refused.error.kind(), refused.to_string())
    }
}
