//! The asymmetric fence: nearly free for the many readers, dear for the rare revoker.
//!
//! `light` and `heavy` stand for a `SeqCst` fence on both sides of a Dekker-style handshake. Where the
//! kernel offers `membarrier(PRIVATE_EXPEDITED)` the light side only holds the compiler back, and the heavy
//! side makes the kernel run a full fence on every processor that runs a thread of this process.
//! The mode is decided once, before the first thread record exists, and never changes: no thread can be in
//! a light section of one mode while another relies on the other.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::fence;

/// How many heavy barriers this process has executed.
static HEAVY_BARRIERS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn heavy_barriers() -> u64 {
    // Relaxed: a statistic.
    HEAVY_BARRIERS.load(Ordering::Relaxed)
}

/// The reader's half, for a reader that knows the mode to be asymmetric.
#[inline(always)]
pub(super) fn light() {
    #[cfg(not(any(leasehold_loom, miri)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(leasehold_loom)]
    super::gates::light();
    #[cfg(miri)]
    full();
}

/// The reader's half in either mode.
pub(super) fn light_or_full() {
    if is_asymmetric() { light() } else { full() }
}

fn full() {
    // SeqCst: a Dekker handshake with the fence that the revoker runs between its store to the word and its look at the
    // slots: one of the two sees the other's store.
    fence(Ordering::SeqCst);
}

/// The revoker's half, for a caller that has run a full fence of its own if the mode may be the other one: when it returns,
/// everything any thread did before its last `light` is visible here, and everything done here is visible to any thread after
/// its next `light`.
#[cold]
pub(super) fn heavy() {
    // Relaxed: a statistic.
    HEAVY_BARRIERS.fetch_add(1, Ordering::Relaxed);
    if !cfg!(leasehold_bug = "barrier") {
        imp::heavy();
    }
}

/// Decides the mode; must return before any thread record is handed out.
pub(super) fn decide() {
    imp::decide();
}

/// True when the light side costs no fence instruction.
pub(crate) fn is_asymmetric() -> bool {
    imp::is_asymmetric()
}

#[cfg(all(target_os = "linux", not(any(leasehold_loom, leasehold_fences, miri))))]
use super::membarrier as imp;

/// In models, unless they are to be of the other mode.
#[cfg(all(leasehold_loom, not(leasehold_fences)))]
mod imp {
    pub(super) use super::super::gates::heavy;

    pub(super) fn decide() {}

    pub(super) fn is_asymmetric() -> bool {
        true
    }
}

/// Everywhere else readers run a full fence, and the one that the revoker has run is enough. Under miri the light fence is a
/// full one, so that it takes the path that ships.
#[cfg(not(any(
    all(target_os = "linux", not(any(leasehold_loom, leasehold_fences, miri))),
    all(leasehold_loom, not(leasehold_fences))
)))]
mod imp {
    pub(super) fn decide() {}

    pub(super) fn is_asymmetric() -> bool {
        cfg!(all(miri, not(leasehold_fences)))
    }

    pub(super) fn heavy() {
        // For those who know the mode to be asymmetric, and run no fence of their own.
        #[cfg(miri)]
        super::full();
    }
}
