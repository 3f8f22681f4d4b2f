//! How much memory a pool holds at most for a mixed workload: what is rented, and what it is documented to keep.
#![expect(unsafe_code, reason = "a backing is unsafe to implement")]

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use check_speed::Trace;
use leasehold::{Backing, BackingError, Heap, MemoryPool};

/// The heap, counting every byte that the pool asks for, what it needs for alignment included.
#[derive(Default)]
struct Counted {
    now: AtomicUsize,
    peak: AtomicUsize,
}

// SAFETY: each promise is the heap's, to which every call goes.
unsafe impl Backing for Counted {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        let memory = Heap.allocate(layout)?;
        let now = self.now.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.peak.fetch_max(now, Ordering::Relaxed);
        Ok(memory)
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        self.now.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise; it came from there.
        unsafe { Heap.release(memory, layout) };
    }
}

const THREADS: usize = 3;
const STOCK: usize = 8 << 20;

#[test]
fn a_pool_holds_at_most_a_tenth_more_than_is_rented_and_its_documented_caches() {
    let trace = Trace::mixed(1, 22_000);
    let backing = Arc::new(Counted::default());
    let pool =
        MemoryPool::builder().backing(Arc::clone(&backing)).idle_limit(STOCK).decay(Duration::ZERO).build();
    // What nobody uses when the most is held: the caches and the stock.
    let (most, kept) = (AtomicUsize::new(0), AtomicUsize::new(0));
    trace.replay(THREADS, |len| {
        let owner = pool.rent::<u8>(len);
        let peak = backing.peak.load(Ordering::Relaxed);
        if most.swap(peak, Ordering::Relaxed) < peak {
            kept.store(pool.idle_bytes(), Ordering::Relaxed);
        }
        owner
    });
    let (peak, rented) = (backing.peak.load(Ordering::Relaxed), trace.peak_bytes());
    let documented = rented + rented / 10 + kept.load(Ordering::Relaxed);
    assert!(peak <= documented, "{peak} bytes at the peak of {rented} rented");
    // What it is for this workload. A regression shows here before it breaks the promise.
    assert!(4 * peak <= 6 * rented, "{peak} bytes at the peak of {rented} rented");

    pool.trim();
    assert_eq!(backing.now.load(Ordering::Relaxed), 0, "nothing is kept after a trim");
}

#[test]
fn without_caches_a_pool_holds_a_tenth_more_than_is_rented_and_its_stock() {
    let trace = Trace::mixed(2, 4000);
    let backing = Arc::new(Counted::default());
    // Whoever wipes what comes back lets no thread keep it.
    let builder = MemoryPool::builder().backing(Arc::clone(&backing)).zero_on_return(true);
    let pool = builder.idle_limit(STOCK).decay(Duration::ZERO).build();
    trace.replay(THREADS, |len| pool.rent::<u8>(len));
    let (peak, rented) = (backing.peak.load(Ordering::Relaxed), trace.peak_bytes());
    assert!(peak <= rented + rented / 10 + STOCK, "{peak} bytes at the peak of {rented} rented");
}
