//! What tenants of pooled buffers write, and how they find that it is still theirs.

use std::sync::atomic::{AtomicU64, Ordering};

use leasehold::MemoryOwner;

/// A rented buffer, filled with the number of its tenant: at both ends, where it is long.
pub(crate) struct Tenant {
    pub(crate) owner: MemoryOwner<u64>,
    number: u64,
}

const END: usize = 512;

/// The ends of a buffer, or all of it.
fn ends(len: usize) -> [std::ops::Range<usize>; 2] {
    if len <= 2 * END { [0..len, 0..0] } else { [0..END, len - END..len] }
}

impl Tenant {
    pub(crate) fn new(mut owner: MemoryOwner<u64>) -> Tenant {
        static TENANTS: AtomicU64 = AtomicU64::new(1);
        let number = TENANTS.fetch_add(1, Ordering::Relaxed);
        for range in ends(owner.len()) {
            owner[range].fill(number);
        }
        Tenant { owner, number }
    }

    /// The buffer, if nobody else has written to it.
    pub(crate) fn leave(self) -> MemoryOwner<u64> {
        assert!(
            is_all(&self.owner, self.number),
            "somebody else has written to the buffer of tenant {}",
            self.number
        );
        self.owner
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// Whether a tenant's number is all there is.
pub(crate) fn is_all(words: &[u64], number: u64) -> bool {
    ends(words.len()).into_iter().all(|range| words[range].iter().all(|&word| word == number))
}
