//! What the reservation machinery has done, process-wide.

use crate::raw;

/// Counts since the start of the process; see [`counters`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// Barriers that interrupted the process's other running threads. Common flows run none.
    pub heavy_barriers: u64,
    /// Spans that were forgotten on threads that have ended. Each keeps a buffer for ever.
    pub leaked_spans: usize,
    /// Thread records ever made: the most threads that held leases at the same time, plus those with leaked spans.
    pub thread_records: usize,
    /// Whether spans do without a fence instruction, which they do where the kernel offers `membarrier`. False until the
    /// first lease.
    pub asymmetric: bool,
}

/// Reads the counters.
///
/// # Examples
/// ```
/// let before = leasehold::counters().heavy_barriers;
/// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// assert_eq!(memory.span().unwrap()[0], 1);
/// drop(lessor);
/// assert_eq!(leasehold::counters().heavy_barriers, before, "one thread alone needs none");
/// ```
pub fn counters() -> Counters {
    Counters {
        heavy_barriers: raw::heavy_barriers(),
        leaked_spans: raw::leaked_spans(),
        thread_records: raw::records(),
        asymmetric: raw::is_asymmetric(),
    }
}

/// Returns what this thread has revoked by dropping lessors, and has not yet found out to be free.
///
/// A rented buffer whose lessor is dropped while it may be in use waits in the thread, so that one heavy barrier serves
/// up to 64 of them. It goes back with the next of its kind, when the thread ends, or now.
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
///
/// let (lessor, memory) = MemoryPool::shared().rent::<u8>(100).lease_read_only();
/// std::thread::spawn(move || memory.span().map(drop)).join().unwrap().unwrap();
/// drop(lessor);
/// leasehold::reclaim_now();
/// ```
pub fn reclaim_now() {
    raw::flush();
}
