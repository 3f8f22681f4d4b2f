//! The allocator that everything else uses.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use super::{Backing, BackingError, check};

/// Memory of the global allocator. The only backing that small blocks are cheap in.
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::{Backing, Heap};
///
/// let layout = Layout::from_size_align(100, 64)?;
/// let memory = Heap.allocate(layout)?;
/// assert_eq!(memory.addr().get() % 64, 0);
/// // SAFETY: it came from there, with this layout, and nobody uses it.
/// unsafe { Heap.release(memory, layout) };
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

// SAFETY: 1 to 5: the global allocator promises as much; 6: empty layouts are turned away, any other will do.
unsafe impl Backing for Heap {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        check(layout, self.granularity())?;
        // SAFETY: the size is not zero, which `check` has seen to.
        let memory = unsafe { alloc_zeroed(layout) };
        NonNull::new(memory).ok_or(BackingError::OutOfMemory { size: layout.size() })
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise: allocated above, with this layout.
        unsafe { dealloc(memory.as_ptr(), layout) };
    }

    fn name(&self) -> &'static str {
        "heap"
    }
}
