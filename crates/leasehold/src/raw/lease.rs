//! The lessor's side: beginning a lease and the ways to end it.

use std::task::Waker;

use super::block::{AWAITED, Block, Site};
use super::reserve::{Counted, counted, try_finish};
use super::source::release;
use super::word::{State, Word};
use super::{block, fence, limbo, record};
use crate::sync::{FENCED, Ordering, fence_after_rmw};

/// Who uses a block at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InUse {
    pub(crate) spans: usize,
    pub(crate) pins: usize,
}

/// What a lease gives out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Parts, which are counted.
    Exclusive,
    /// Views, which are not.
    ReadOnly,
}

/// Begins a lease of a block that the caller holds exclusively. A block whose generations are used up is left
/// for ever, and the lease begins on another in its place.
///
/// # Safety
/// The caller holds `block` exclusively (R2), and after the call holds the lease of the returned block.
#[inline]
pub(super) unsafe fn publish(block: &'static Block, kind: Kind, site: Site) -> (&'static Block, Word) {
    // Relaxed: the block is exclusive, its word is ours to write.
    let word = Word::from_bits(block.word.load(Ordering::Relaxed)).in_state(State::Published);
    if word.generation() == Word::LAST {
        // SAFETY: the caller's promise.
        let fresh = unsafe { replace(block) };
        // SAFETY: as above, for a block that is not worn out.
        return unsafe { publish(fresh, kind, site) };
    }
    // An exclusive handle is most often used where it was made: this thread is its toucher from the start, which
    // saves the claim. A read-only one is made to be sent away: the first thread to enter claims it, unless the block's
    // past says which thread that will be.
    let toucher = match kind {
        Kind::Exclusive => record::own_or_null(),
        Kind::ReadOnly => block.likely_toucher(word, site),
    };
    block.stamp_leased(word, site);
    // Relaxed, all: published by the store to `word`. The one part of a read-only lease never comes back; where the last
    // lease left it, its line stays with whoever read it.
    if block.parts.load(Ordering::Relaxed) != 1 {
        block.parts.store(1, Ordering::Relaxed);
    }
    block.toucher.store(toucher, Ordering::Relaxed);
    // Release: pairs with the Acquire in `enter_slot`: what the owner wrote comes before what a reader reads.
    block.word.store(word.bits(), Ordering::Release);
    (block, word)
}

/// A fresh block with the source of a worn-out one, which is never used again.
///
/// # Safety
/// The caller holds `worn` exclusively (R2) and gives it up for the returned block.
#[cold]
unsafe fn replace(worn: &'static Block) -> &'static Block {
    let fresh = block::allocate();
    // SAFETY: both blocks are exclusively ours.
    let source = unsafe { *worn.source() };
    // SAFETY: the source passes from one to the other.
    unsafe { fresh.settle(source) };
    if let Some(site) = worn.created() {
        fresh.stamp_created(site);
    }
    fresh
}

/// Counts one more part. For whoever holds a part of the present lease and a reservation of it.
pub(super) fn add_part(block: &Block) {
    // Relaxed: a part is made from one that the count already includes.
    block.parts.fetch_add(1, Ordering::Relaxed);
}

/// Counts a part that has come back, under a reservation. True when it was the last and somebody awaits it.
pub(super) fn return_part(block: &Block) -> bool {
    // Release: pairs with the Acquire in `all_returned`: our accesses come before what the lessor does.
    block.parts.fetch_sub(1, Ordering::Release) == AWAITED | 1
}

/// Whether every part of an exclusive lease has come back.
#[inline]
pub(super) fn all_returned(block: &Block) -> bool {
    // Acquire: pairs with the Release in `Part::drop`: what the consumers did comes before what the lessor does.
    block.parts.load(Ordering::Acquire) & !AWAITED == 0
}

/// As [`all_returned`], leaving `waker` to be woken by the last part if not.
pub(super) fn poll_returned(block: &Block, waker: &Waker) -> bool {
    if all_returned(block) {
        return true;
    }
    block.wait(waker);
    // Relaxed: the waker's lock orders the waker, since the part that finds the mark takes it after us; the hold is
    // acquired by `all_returned` when the lease is ended.
    let returned = block.parts.fetch_or(AWAITED, Ordering::Relaxed) & !AWAITED == 0;
    if returned {
        block.stop_waiting();
    }
    returned
}

/// Takes back the waker of a poll that was not the last.
pub(super) fn stop_waiting(block: &Block) {
    block.stop_waiting();
}

/// Ends an exclusive lease whose parts have all come back: no handle is left, hence nobody to fear.
#[inline]
pub(super) fn end_returned(block: &Block, word: Word) {
    // Relaxed: no handle of this lease is left to see it; handles of earlier ones see a word that is not theirs.
    block.word.store(word.after().bits(), Ordering::Relaxed);
}

/// Ends the lease if nobody is inside; otherwise changes nothing and says who is.
pub(super) fn try_end(block: &'static Block, word: Word, site: Site) -> Result<(), InUse> {
    let closing = word.in_state(State::Closing);
    block.stamp_revoked(word, site);
    loop {
        // Ordered by the fence that follows. Nobody else leaves `Published`.
        block.word.swap(closing.bits(), FENCED);
        fence_after_rmw();
        let Counted { pins, spans } = counted(block);
        let spans = spans
            + spans_known(block, word).unwrap_or_else(|| {
                fence::heavy();
                record::count_everywhere(block, word)
            });
        let free = spans == 0 && (pins == 0 || cfg!(leasehold_bug = "pins"));
        let next = if free { word.after() } else { word };
        // Relaxed: the counts above have acquired what the readers did. It fails when a reader came meanwhile and
        // called the closing off; the lease then goes on as if we had never asked.
        let settled = block
            .word
            .compare_exchange(closing.bits(), next.bits(), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        match (free, settled) {
            (true, true) => return Ok(()),
            (true, false) => continue,
            (false, _) => {
                block.forget_revoked(word);
                return Err(InUse { spans, pins });
            }
        }
    }
}

/// Ends the lease now. True when nobody is inside and the caller holds the block exclusively again; otherwise
/// [`is_reclaimed`] tells when, and the waker of [`poll_reclaimed`] is called.
#[inline]
pub(super) fn end(block: &'static Block, word: Word, site: Site) -> bool {
    block.stamp_revoked(word, site);
    if revoke(block, word) {
        return true;
    }
    drain(block, word, State::Draining)
}

/// Ends many leases with at most one heavy barrier; [`is_reclaimed`] tells which have drained.
pub(super) fn end_all(leases: impl Iterator<Item = (&'static Block, Word)> + Clone, site: Site) {
    let mut all_drained = true;
    for (block, word) in leases.clone() {
        block.stamp_revoked(word, site);
        if all_returned(block) {
            end_returned(block, word);
        } else {
            all_drained &= revoke(block, word);
        }
    }
    if all_drained {
        return;
    }
    fence::heavy();
    for (block, word) in leases {
        if !is_reclaimed(block, word) {
            start_draining(block, word, State::Draining);
        }
    }
}

/// Gives up the lessor of a running lease: nobody waits, the last one out releases the block.
#[inline(never)]
pub(super) fn give_up(block: &'static Block, word: Word) {
    let drained = if all_returned(block) {
        end_returned(block, word);
        true
    } else {
        revoke(block, word)
    };
    if drained {
        // SAFETY: nobody is inside and the lessor is gone: the caller was the only holder (R2).
        unsafe { release(block) };
    } else {
        abandon(block, word);
    }
}

/// For a block in the state `Revoked` that somebody may still be in.
#[cold]
fn abandon(block: &'static Block, word: Word) {
    // SAFETY: the block is in the state `Revoked`, which only the lessor, our caller, can end (R2).
    let patient = unsafe { block.source() }.kind().patient;
    if patient {
        limbo::push(block, word);
    } else {
        drain(block, word, State::DrainingAbandoned);
    }
}

/// Gives up the lessor of a lease that has ended and is not reclaimed yet.
pub(super) fn abandon_draining(block: &'static Block, word: Word) {
    block.stop_waiting();
    let draining = word.in_state(State::Draining).bits();
    let abandoned = word.in_state(State::DrainingAbandoned).bits();
    // Relaxed: whoever finishes it has fenced since. Acquire on failure: as in `is_reclaimed`.
    if block.word.compare_exchange(draining, abandoned, Ordering::Relaxed, Ordering::Acquire).is_err() {
        // SAFETY: the last one out made the block exclusive before we gave it up, so it is ours alone (R2).
        unsafe { release(block) };
    }
}

/// Whether a lease that was ended has drained, so that the lessor holds the block exclusively.
pub(super) fn is_reclaimed(block: &Block, word: Word) -> bool {
    // Acquire: pairs with the Release in `try_finish`.
    block.word.load(Ordering::Acquire) == word.after().bits()
}

/// As [`is_reclaimed`], leaving `waker` to be woken by the last one out if not.
pub(super) fn poll_reclaimed(block: &Block, word: Word, waker: &Waker) -> bool {
    if is_reclaimed(block, word) {
        return true;
    }
    block.wait(waker);
    let reclaimed = is_reclaimed(block, word);
    if reclaimed {
        block.stop_waiting();
    }
    reclaimed
}

/// How many spans of `block` this thread holds. Of spans that the block's counter holds it is not known whose they are;
/// they are taken for this thread's, as far as it has such spans at all.
pub(super) fn spans_of_this_thread(block: &Block, word: Word) -> usize {
    record::own().map_or(0, |record| record.count(block, word))
        + counted(block).spans.min(record::counted_spans())
}

/// Whether the block is leased, or was until its users leave; its pins, and its spans as far as other threads' slots show.
pub(super) fn users(block: &Block) -> (bool, usize, usize) {
    // Relaxed: a report.
    let word = Word::from_bits(block.word.load(Ordering::Relaxed));
    let Counted { pins, spans } = counted(block);
    let leased = !word.is(State::Exclusive);
    let spans =
        if leased { spans + record::count_everywhere(block, word.in_state(State::Published)) } else { 0 };
    (leased, pins, spans)
}

/// From here on nobody enters. True when it is certain without a heavy barrier that nobody is inside; the
/// block is then exclusive. Otherwise it is `Revoked`.
#[inline]
fn revoke(block: &'static Block, word: Word) -> bool {
    // Ordered by the fence that follows.
    block.word.swap(word.in_state(State::Revoked).bits(), FENCED);
    fence_after_rmw();
    let drained = spans_known(block, word) == Some(0) && counted(block).is_zero();
    if drained {
        // Relaxed: what readers did was acquired with the counts, or happened in this thread.
        block.word.store(word.after().bits(), Ordering::Relaxed);
    }
    drained
}

/// Leaves a block that is still in use to the last one out, which may be this call. True when it was.
#[cold]
fn drain(block: &'static Block, word: Word, state: State) -> bool {
    fence::heavy();
    start_draining(block, word, state)
}

/// For a block that is `Revoked`, with a barrier since.
pub(super) fn start_draining(block: &'static Block, word: Word, state: State) -> bool {
    let draining = word.in_state(state);
    // Relaxed: `revoke` has fenced before it, and `try_finish` fences behind it.
    block.word.store(draining.bits(), Ordering::Relaxed);
    try_finish(block, draining)
}

/// How many slots hold `block`, as far as that can be said without a barrier: when nobody has entered the lease,
/// or nobody but this thread. For a caller that has fenced since it ended or closed the lease.
#[inline]
fn spans_known(block: &Block, word: Word) -> Option<usize> {
    // Relaxed: the fence orders it.
    let toucher = block.toucher.load(Ordering::Relaxed);
    if toucher.is_null() {
        return Some(0);
    }
    let own = record::own().filter(|record| toucher == record.as_ptr());
    if own.is_none() {
        block.break_habit();
    }
    own.map(|record| record.count(block, word))
}
