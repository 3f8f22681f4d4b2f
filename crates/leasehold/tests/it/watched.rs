//! A backing that counts what it has given, looks at what it gets back, and misbehaves when it is told to.
#![expect(unsafe_code, reason = "it is a backing")]

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use leasehold::{Backing, BackingError, Heap};

/// What is done once, during the next call.
type Surprise = Mutex<Option<Box<dyn FnOnce() + Send>>>;

#[derive(Default)]
pub struct Watched<B = Heap> {
    inner: B,
    granule: usize,
    held: AtomicUsize,
    peak: AtomicUsize,
    given: AtomicUsize,
    /// Blocks that were not all zero when they came back.
    dirty: AtomicUsize,
    looks: AtomicBool,
    on_allocate: Surprise,
    on_release: Surprise,
}

impl Watched {
    pub fn new() -> Arc<Watched> {
        Watched::over(Heap)
    }

    /// A heap that gives whole pages only.
    pub fn of_pages() -> Arc<Watched> {
        Arc::new(Watched { granule: 4096, ..Watched::default() })
    }
}

impl<B: Backing + Default> Watched<B> {
    pub fn over(inner: B) -> Arc<Watched<B>> {
        let granule = inner.granularity();
        Arc::new(Watched { inner, granule, ..Watched::default() })
    }

    /// Bytes that have not been released.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    /// Blocks given so far.
    pub fn given(&self) -> usize {
        self.given.load(Ordering::SeqCst)
    }

    /// From here on looks whether what comes back is zero.
    pub fn look(&self) {
        self.looks.store(true, Ordering::SeqCst);
    }

    pub fn dirty(&self) -> usize {
        self.dirty.load(Ordering::SeqCst)
    }

    pub fn on_next_allocate(&self, surprise: impl FnOnce() + Send + 'static) {
        *self.on_allocate.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(surprise));
    }

    pub fn on_next_release(&self, surprise: impl FnOnce() + Send + 'static) {
        *self.on_release.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(surprise));
    }
}

fn spring(surprise: &Surprise) {
    let surprise = surprise.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(surprise) = surprise {
        surprise();
    }
}

// SAFETY: 1 to 4, 6: the memory is the inner backing's, which promises the same; 5: it and the counters are `Sync`.
unsafe impl<B: Backing> Backing for Watched<B> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        spring(&self.on_allocate);
        let memory = self.inner.allocate(layout)?;
        let held = self.held.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        self.peak.fetch_max(held, Ordering::SeqCst);
        self.given.fetch_add(1, Ordering::SeqCst);
        Ok(memory)
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        if self.looks.load(Ordering::SeqCst) {
            // SAFETY: the block is initialised, and nobody uses it any more.
            let bytes = unsafe { std::slice::from_raw_parts(memory.as_ptr(), layout.size()) };
            self.dirty.fetch_add(usize::from(bytes.iter().any(|&byte| byte != 0)), Ordering::SeqCst);
        }
        self.held.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller's promise; the memory came from there.
        unsafe { self.inner.release(memory, layout) };
        spring(&self.on_release);
    }

    fn granularity(&self) -> usize {
        self.granule.max(1)
    }

    fn name(&self) -> &'static str {
        "watched"
    }
}
