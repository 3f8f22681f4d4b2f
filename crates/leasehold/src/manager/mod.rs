//! Custom sources of memory.

mod arc;
mod foreign;
#[cfg(feature = "memmap2")]
mod mapping;
#[cfg(unix)]
mod page_locked;

pub use arc::SharedSlice;
pub(crate) use foreign::{Foreign, ForeignMut};
#[cfg(feature = "memmap2")]
pub use mapping::{FileMapping, FileMappingMut};
#[cfg(unix)]
pub use page_locked::PageLocked;

use std::ptr::NonNull;

/// A source of memory that answers for it until it is dropped.
///
/// Implement it to put a block of your own (a mapping, a device buffer, another library's allocation) under
/// Leasehold's rules, and hand it to [`SharedOwner::from_manager`](crate::SharedOwner::from_manager). The
/// manager is moved into a box, asked once for its memory, and dropped when the last owner, span and pin is gone.
///
/// # Safety
/// The implementor promises that, from the call of [`memory`](Self::memory) until the manager is dropped:
///
/// 1. the returned range holds that many initialised elements, aligned, inside one allocation of at most
///    `isize::MAX` bytes (for no elements, any aligned pointer will do);
/// 2. nobody writes to them, except through interior mutability of `T` itself;
/// 3. the range neither moves nor becomes unreadable, whatever else the process does;
/// 4. the hooks keep these promises and do not touch the elements; with [`PIN_HOOKS`](Self::PIN_HOOKS) the range lies
///    outside of the manager itself (behind a pointer), since a hook borrows the whole manager.
///
/// The manager may be dropped on any thread, and drops the elements if they need it.
///
/// # Examples
/// ```
/// use std::ptr::NonNull;
/// use leasehold::{MemoryManager, SharedOwner};
///
/// struct Table([u32; 4]);
///
/// // SAFETY: the array lies inside the boxed manager, which nobody else can reach.
/// unsafe impl MemoryManager<u32> for Table {
///     fn memory(&mut self) -> NonNull<[u32]> {
///         NonNull::from(&mut self.0[..])
///     }
/// }
///
/// let table = SharedOwner::from_manager(Table([1, 2, 3, 4]));
/// assert_eq!(table[2], 3);
/// ```
#[doc(alias = "MemoryManager<T>")]
pub unsafe trait MemoryManager<T>: Send + 'static {
    /// Whether the pin hooks below are to be called. Without them a pin is one atomic addition.
    const PIN_HOOKS: bool = false;

    /// The memory. Called once, when the manager has reached its final address.
    fn memory(&mut self) -> NonNull<[T]>;

    /// Called when the number of pins rises from zero, before the pin is handed out.
    fn first_pin(&mut self) {}

    /// Called when the number of pins falls to zero. First pins and last unpins alternate.
    fn last_unpin(&mut self) {}
}

/// A source of memory that may be written.
///
/// # Safety
/// As [`MemoryManager`], and
///
/// 5. the elements may be written through the returned pointer;
/// 6. nobody else reads or writes them.
///
/// # Examples
/// ```
/// use std::ptr::NonNull;
/// use leasehold::{MemoryManager, MemoryManagerMut, MemoryOwner};
///
/// struct Scratch(Box<[u8]>);
///
/// // SAFETY: the heap block is the manager's own, and stays until the box is dropped.
/// unsafe impl MemoryManager<u8> for Scratch {
///     fn memory(&mut self) -> NonNull<[u8]> {
///         NonNull::from(&mut self.0[..])
///     }
/// }
/// // SAFETY: as above; nobody else has a pointer to it.
/// unsafe impl MemoryManagerMut<u8> for Scratch {}
///
/// let mut owner = MemoryOwner::from_manager(Scratch(vec![0; 16].into()));
/// owner[0] = 1;
/// ```
pub unsafe trait MemoryManagerMut<T>: MemoryManager<T> {}
