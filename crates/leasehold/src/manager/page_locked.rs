//! Memory that the operating system keeps in RAM.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

use bytemuck::Pod;

use super::{MemoryManager, MemoryManagerMut};
use crate::MemoryOwner;
use crate::backing::system;

/// Zeroed memory that is locked into RAM: never swapped out, no page fault at first touch.
///
/// It has its pages to itself, since locks count per page and not per lock.
pub struct PageLocked<T> {
    elements: NonNull<T>,
    len: usize,
    layout: Layout,
}

// SAFETY: the memory is the manager's own, and moves with it as the elements do.
unsafe impl<T: Send> Send for PageLocked<T> {}

impl<T: Pod + Send> PageLocked<T> {
    /// An owner of `len` zeroed elements in locked memory.
    ///
    /// # Errors
    /// `OutOfMemory` when there is not enough memory, or when more would be locked than the process may
    /// (`ulimit -l`); otherwise what the operating system says.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use leasehold::PageLocked;
    ///
    /// let mut key = PageLocked::<u8>::zeroed(32)?;
    /// key[0] = 7;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn zeroed(len: usize) -> io::Result<MemoryOwner<T>> {
        let layout = page_layout::<T>(len).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the layout is at least a page.
        let elements = unsafe { alloc_zeroed(layout) };
        let elements = NonNull::new(elements.cast::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let locked = PageLocked { elements, len, layout };
        system::lock(elements.cast(), layout.size())?;
        Ok(MemoryOwner::from_manager(locked))
    }
}

/// Whole pages for `len` elements, at least one.
fn page_layout<T>(len: usize) -> Option<Layout> {
    let elements = Layout::array::<T>(len).ok()?.align_to(system::page_size()).ok()?;
    let size = elements.size().max(1).checked_next_multiple_of(elements.align())?;
    Layout::from_size_align(size, elements.align()).ok()
}

impl<T> Drop for PageLocked<T> {
    fn drop(&mut self) {
        system::unlock(self.elements.cast(), self.layout.size());
        // SAFETY: allocated with this layout. plain types have no destructor to run.
        unsafe { dealloc(self.elements.as_ptr().cast(), self.layout) };
    }
}

// SAFETY: 1: zeroed, and any bit pattern is a `T`; 2, 3: the allocation is the manager's own; 4: no hooks.
unsafe impl<T: Pod + Send> MemoryManager<T> for PageLocked<T> {
    fn memory(&mut self) -> NonNull<[T]> {
        NonNull::slice_from_raw_parts(self.elements, self.len)
    }
}

// SAFETY: 5, 6: the allocation is the manager's own.
unsafe impl<T: Pod + Send> MemoryManagerMut<T> for PageLocked<T> {}
