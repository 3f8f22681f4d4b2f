//! From a buffer of a pool to memory that can never change.

use std::error::Error;
use std::fmt;
use std::io;

use bytemuck::Pod;

use super::{Sealed, SharedMemory};
use crate::MemoryOwner;

impl SharedMemory {
    /// Makes a buffer of a pool on this backing read-only for ever, to be given to other processes.
    ///
    /// What the block holds beside the elements is erased, since it may be another tenant's. The block stays rented
    /// until the sealed memory is dropped here, and goes back to the pool with a file of its own; who has the old one keeps
    /// what is in it. Costs some system calls, and no copy.
    ///
    /// # Errors
    /// [`FreezeError`] hands the owner back.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryOwner, SharedMemory};
    ///
    /// let error = SharedMemory::new().freeze(MemoryOwner::from(vec![1, 2, 3])).unwrap_err();
    /// assert_eq!(error.owner[..], [1, 2, 3]); // not from a pool on shared memory
    /// ```
    pub fn freeze<T: Pod + Send>(&self, owner: MemoryOwner<T>) -> Result<Sealed<T>, FreezeError<T>> {
        let Some((memory, size)) = owner.0.pooled_block() else {
            return Err(FreezeError { owner, reason: FreezeReason::NotFromHere });
        };
        let offset = owner.as_ptr().addr() - memory.addr().get();
        let elements = (offset, owner.len());
        // SAFETY: the block is the owner's, and its elements lie within it; the pool does not carve up what it was given.
        let sealed = unsafe { Sealed::freeze(self, memory, size, elements, owner) };
        sealed.map_err(|(owner, error)| FreezeError { owner, reason: FreezeReason::from(error) })
    }
}

/// A buffer cannot be frozen; it comes back with the reason.
///
/// # Examples
/// See [`SharedMemory::freeze`].
pub struct FreezeError<T> {
    /// The owner, as it was.
    pub owner: MemoryOwner<T>,
    /// Why.
    pub reason: FreezeReason,
}

/// What keeps a buffer from being frozen.
#[derive(Debug)]
#[non_exhaustive]
pub enum FreezeReason {
    /// It is not of a pool on this backing, or its block has lost its file for want of descriptors.
    NotFromHere,
    /// What the operating system says. `ResourceBusy` when the kernel still writes to the memory for someone.
    System(io::Error),
}

impl From<io::Error> for FreezeReason {
    fn from(error: io::Error) -> FreezeReason {
        match error.kind() {
            io::ErrorKind::Unsupported => FreezeReason::NotFromHere,
            _ => FreezeReason::System(error),
        }
    }
}

impl<T> fmt::Display for FreezeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            FreezeReason::NotFromHere => "the buffer is not of a pool on this shared memory",
            FreezeReason::System(_) => "the buffer cannot be sealed",
        })
    }
}

impl<T> fmt::Debug for FreezeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreezeError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> Error for FreezeError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            FreezeReason::System(error) => Some(error),
            FreezeReason::NotFromHere => None,
        }
    }
}
