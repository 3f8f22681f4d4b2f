//! Memory that the operating system keeps in RAM.

use std::alloc::Layout;
use std::io;
use std::ptr::NonNull;

use super::mapping::{Access, Mapping};
use super::system::{self, page_size};
use super::{Backing, BackingError, check};

/// Pages that are locked into RAM: never swapped out, present before the first touch.
///
/// For keys that must not reach a disk, and for threads that must not wait for one. What a process may lock
/// altogether is limited (`ulimit -l`, often 8 MiB), and going beyond it is
/// [`BackingError::LockLimit`]. A child that the process forks has the memory, but not locked.
///
/// For one buffer without a pool see [`PageLocked`](crate::PageLocked).
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::{Backing, BackingError, Locked};
///
/// let layout = Layout::from_size_align(Locked.granularity(), 64)?;
/// match Locked.allocate(layout) {
///     // SAFETY: it came from there, with this layout, and nobody uses it.
///     Ok(memory) => unsafe { Locked.release(memory, layout) },
///     Err(error @ BackingError::LockLimit { .. }) => println!("{error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "mlock")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Locked;

// SAFETY: 1: anonymous pages are zero; 2: `Mapping::aligned`; 3, 4: a fresh mapping that is known to the caller only; 5: the
// system takes calls from any thread; 6: `check`.
unsafe impl Backing for Locked {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        check(layout, self.granularity())?;
        let mapping = Mapping::aligned(layout, Access::ReadWrite)
            .map_err(|error| BackingError::mapping(layout.size(), error))?;
        system::lock(mapping.start(), mapping.size()).map_err(|error| refusal(layout.size(), error))?;
        Ok(mapping.into_start())
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        // The lock goes with the mapping.
        // SAFETY: the caller's promise: mapped above, and nobody uses it.
        drop(unsafe { Mapping::from_raw(memory, layout.size()) });
    }

    fn granularity(&self) -> usize {
        page_size()
    }

    fn name(&self) -> &'static str {
        "locked"
    }
}

/// What a refusal to lock means.
#[cold]
fn refusal(size: usize, error: io::Error) -> BackingError {
    match error.raw_os_error() {
        // Linux says so when the pages are not to be had; elsewhere it can mean the limit.
        Some(libc::EAGAIN) if cfg!(target_os = "linux") => BackingError::OutOfMemory { size },
        Some(libc::EAGAIN | libc::ENOMEM | libc::EPERM) => match system::lock_limit() {
            Some(limit) => BackingError::LockLimit { size, limit },
            None => BackingError::OutOfMemory { size },
        },
        _ => BackingError::Failed { attempt: "locking", size, source: error },
    }
}
