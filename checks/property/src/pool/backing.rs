//! A backing that counts.
#![expect(unsafe_code, reason = "it is a backing")]

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold::{Backing, BackingError, Heap};

/// The heap, with the bytes that it has given and not got back.
#[derive(Default)]
pub struct Counted {
    held: AtomicUsize,
    peak: AtomicUsize,
}

impl Counted {
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// The most that was ever held.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}

// SAFETY: 1 to 4, 6: the memory is the heap's, which promises the same; 5: it and the counters are `Sync`.
unsafe impl Backing for Counted {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        let memory = Heap.allocate(layout)?;
        let held = self.held.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        self.peak.fetch_max(held, Ordering::SeqCst);
        Ok(memory)
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        self.held.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller's promise; the memory came from there.
        unsafe { Heap.release(memory, layout) }
    }

    fn name(&self) -> &'static str {
        "counted"
    }
}
