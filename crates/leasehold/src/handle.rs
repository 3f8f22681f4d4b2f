//! Pins: sendable reservations with a stable address.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::memory::{Memory, ReadOnlyMemory};
use crate::raw::{Pinned, PinnedMut};

/// Pinned memory for reading: at a stable address and reserved until it is dropped, in whatever thread.
///
/// For calls that go on after they return: give the kernel or the device the address, and keep the handle until
/// completion, also when the future that started the operation is cancelled. The lessor can revoke meanwhile, which
/// stops new accesses; the buffer goes back only when the pin is gone.
///
/// # Examples
/// ```
/// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1u8, 2, 3]).lease_read_only();
/// let pinned = memory.pin().unwrap();
/// let (address, len) = (pinned.as_ptr(), pinned.len()); // for the kernel
/// let revocation = lessor.revoke().try_take().unwrap_err();
/// drop(pinned); // the operation has completed
/// let owner = revocation.wait().unwrap();
/// assert_eq!((owner.as_ptr(), owner.len()), (address, len));
/// ```
#[must_use = "the pin ends when the handle is dropped"]
pub struct MemoryHandle<T: Send + 'static>(pub(crate) Pinned<T>);

impl<T: Send + 'static> MemoryHandle<T> {
    /// The memory that was pinned.
    pub fn memory(&self) -> ReadOnlyMemory<T> {
        ReadOnlyMemory(self.0.view())
    }
}

impl<T: Send + 'static> Deref for MemoryHandle<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T: Send + 'static> AsRef<[T]> for MemoryHandle<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

/// Says what is pinned, never what is in it.
impl<T: Send + 'static> fmt::Debug for MemoryHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.view().identity().debug("MemoryHandle", f)
    }
}

/// Pinned memory for writing. See [`MemoryHandle`].
///
/// Dropping it drops the memory that was pinned; [`unpin`](Self::unpin) gives that back.
///
/// # Examples
/// ```
/// let (mut lessor, memory) = leasehold::MemoryOwner::from(vec![0u8; 3]).lease();
/// let mut pinned = memory.pin().unwrap();
/// std::thread::spawn(move || pinned.fill(7)).join().unwrap();
/// assert_eq!(lessor.try_reclaim().unwrap()[..], [7, 7, 7]);
/// ```
#[must_use = "the pin ends when the handle is dropped"]
pub struct MemoryHandleMut<T: Send + 'static>(pub(crate) PinnedMut<T>);

impl<T: Send + 'static> MemoryHandleMut<T> {
    /// Ends the pin and gives the memory back.
    pub fn unpin(self) -> Memory<T> {
        Memory(self.0.into_part())
    }
}

impl<T: Send + 'static> Deref for MemoryHandleMut<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T: Send + 'static> DerefMut for MemoryHandleMut<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }
}

impl<T: Send + 'static> AsRef<[T]> for MemoryHandleMut<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Send + 'static> AsMut<[T]> for MemoryHandleMut<T> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

/// Says what is pinned, never what is in it.
impl<T: Send + 'static> fmt::Debug for MemoryHandleMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.part().identity().debug("MemoryHandleMut", f)
    }
}
