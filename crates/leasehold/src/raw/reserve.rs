//! Entering and leaving a block: what makes a span safe against a revocation at any moment.
//!
//! ```text
//! reader                              revoker
//!   slot  = block                       word  = revoked
//!   light fence                         heavy fence
//!   word still mine? -> enter           slot still block? -> somebody is inside
//!   ..
//!   slot  = null
//!   light fence
//!   word still mine? no -> `departed`
//! ```
//! Either the reader sees the revocation or the revoker sees the reader; on the way out, either the revoker
//! sees the slot empty or the reader sees that it has to report its departure.

use std::hint::cold_path;
use std::marker::PhantomData;
use std::ptr;

use super::block::{Block, HOOKED, SEVERAL};
use super::fence::{light, light_or_full};
use super::record::{self, Record, Slot};
use super::source::release;
use super::word::{State, Word};
use crate::sync::{FENCED, Ordering, fence, fence_after_rmw};

/// One pin in [`Block::counted`].
const PIN: u64 = 1;
/// One counted span in [`Block::counted`].
const SPAN: u64 = 1 << 32;

/// The right to look at a block: while it lives, the block is not handed to anyone else (R3).
pub(super) struct Reservation {
    block: &'static Block,
    word: Word,
    /// The occupied slot, or [`record::counted_slot`] when the block's counter holds the reservation. One pointer, so
    /// that the slow paths return in a register and the fast path stays out of memory.
    slot: &'static Slot,
    /// A slot may be cleared by its own thread only.
    _not_send: PhantomData<*mut ()>,
}

/// The lease is over; nothing is reserved.
pub(super) struct Refused;

/// Reserves `block` if it is still in the lease `word`.
#[inline(always)]
pub(super) fn enter(block: &'static Block, word: Word) -> Result<Reservation, Refused> {
    match enter_slot(block, word) {
        Some(slot) => Ok(Reservation { block, word, slot, _not_send: PhantomData }),
        None => Err(Refused),
    }
}

#[inline(always)]
fn enter_slot(block: &'static Block, word: Word) -> Option<&'static Slot> {
    let record = record::fast_lane();
    // Spares stale handles the rest. Acquire: pairs with the Release in `publish`: the owner's writes come before our reads,
    // and the toucher that we look at next is that of this lease or later.
    let now = Word::from_bits(block.word.load(Ordering::Acquire));
    if now != word {
        cold_path();
        return refuse(now, block, word);
    }
    // Relaxed: the toucher is our own claim, or one that made it `SEVERAL`, and either came with a full fence; see
    // `touch`.
    let toucher = block.toucher.load(Ordering::Relaxed);
    if toucher != record.as_ptr() {
        // Not so cold, but two tests in one condition cost the sole toucher more than a jump costs the others.
        cold_path();
        if toucher != SEVERAL {
            return enter_first(block, word, record);
        }
    }
    let slot = record.first_slot();
    if !slot.is_free() {
        cold_path();
        return enter_nested(block, word);
    }
    slot.occupy(block, word);
    light();
    if !is_current(block, word) {
        cold_path();
        return enter_again(slot, block, word);
    }
    Some(slot)
}

/// Whether the lease goes on; asked after the slot has been occupied and a fence run.
#[inline(always)]
fn is_current(block: &Block, word: Word) -> bool {
    // Relaxed: an earlier load of the same word acquired what was published with it. This one only has to come behind the
    // fence.
    block.word.load(Ordering::Relaxed) == word.bits() || cfg!(leasehold_bug = "generation")
}

/// For a handle whose word is not the block's: stale, unless a `try_end` is under way.
#[inline(always)]
fn refuse(now: Word, block: &'static Block, word: Word) -> Option<&'static Slot> {
    let closing = now == word.in_state(State::Closing);
    if closing || cfg!(leasehold_bug = "generation") { enter_slow(block, word) } else { None }
}

/// For a thread whose first slot is taken, or that has no fast lane, in a lease that it or several have touched.
#[inline(never)]
fn enter_nested(block: &'static Block, word: Word) -> Option<&'static Slot> {
    let Some(record) = record::own() else { return enter_slow(block, word) };
    let slot = record.free_slot();
    slot.occupy(block, word);
    light_or_full();
    if is_current(block, word) { Some(slot) } else { enter_again(slot, block, word) }
}

/// For a thread that has not touched the lease yet, as far as the toucher tells.
#[inline(never)]
fn enter_first(block: &'static Block, word: Word, record: &'static Record) -> Option<&'static Slot> {
    let slot = record.first_slot();
    // Free slots are those of a thread with a fast lane.
    if !slot.is_free() {
        return enter_slow(block, word);
    }
    touch(block, record);
    slot.occupy(block, word);
    light();
    if is_current(block, word) { Some(slot) } else { enter_again(slot, block, word) }
}

#[cold]
#[inline(never)]
fn enter_again(slot: &'static Slot, block: &'static Block, word: Word) -> Option<&'static Slot> {
    leave(block, slot);
    enter_slow(block, word)
}

/// The slow path: first touch of a lease by this thread, threads without a record, ended leases.
#[cold]
#[inline(never)]
fn enter_slow(block: &'static Block, word: Word) -> Option<&'static Slot> {
    while is_live(block, word) {
        let Some(record) = record::attach() else { return enter_counted(block, word) };
        touch(block, record);
        let slot = record.free_slot();
        slot.occupy(block, word);
        light_or_full();
        if is_current(block, word) {
            return Some(slot);
        }
        leave(block, slot);
    }
    None
}

/// For a thread that is ending and has no record any more.
fn enter_counted(block: &'static Block, word: Word) -> Option<&'static Slot> {
    count_in(block, word, SPAN)?;
    record::note_counted_span(true);
    Some(record::counted_slot())
}

/// Whether the lease `word` goes on.
#[inline]
fn is_live(block: &Block, word: Word) -> bool {
    // Relaxed: who comes from `enter_slot` has acquired the word there, and who counts himself in runs a full fence before he
    // looks at anything else.
    let now = Word::from_bits(block.word.load(Ordering::Relaxed));
    now == word || cfg!(leasehold_bug = "generation") || call_off(block, word)
}

/// A reader that meets a `try_end` under way calls it off: the reader proceeds, and the lessor learns that the block is in
/// use. False when the lease is over.
#[cold]
fn call_off(block: &Block, word: Word) -> bool {
    let closing = word.in_state(State::Closing);
    loop {
        // Relaxed: as in `is_live`.
        let now = Word::from_bits(block.word.load(Ordering::Relaxed));
        if now != closing {
            return now == word;
        }
        // Relaxed: the lessor learns nothing but that somebody came; a read-modify-write keeps the release
        // sequence of `publish` going.
        let _ =
            block.word.compare_exchange(closing.bits(), word.bits(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Says that this thread enters the present lease of `block`, once per lease and thread.
///
/// The lessor that finds no toucher, or only itself, needs no barrier to know who is inside: a thread that it
/// did not see here runs the fence below after the lessor's, and therefore sees the end of the lease.
fn touch(block: &Block, record: &'static Record) {
    let me = record.as_ptr();
    // Relaxed: see `enter`.
    let toucher = block.toucher.load(Ordering::Relaxed);
    if toucher == me || toucher == SEVERAL {
        return;
    }
    record.announce_touch();
    // Release: pairs with the Acquire in `limbo::push`: who finds us here sees the announcement of this very fence, and
    // does not take it for a later one.
    if !toucher.is_null()
        || block.toucher.compare_exchange(ptr::null_mut(), me, Ordering::Release, Ordering::Relaxed).is_err()
    {
        // Relaxed would do: nobody concludes anything from `SEVERAL` but that a barrier is needed.
        block.toucher.swap(SEVERAL, FENCED);
    }
    fence_after_rmw();
}

impl Drop for Reservation {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.slot.is_light() {
            cold_path();
            return leave_slow(self.slot, self.block, self.word);
        }
        self.slot.clear();
        light();
        // Relaxed: `departed` fences before it relies on what it reads.
        if self.block.word.load(Ordering::Relaxed) != self.word.bits() {
            cold_path();
            departed(self.block);
        }
    }
}

/// Leaves a slot where fences are real, or a block whose counter holds the span.
#[cold]
#[inline(never)]
fn leave_slow(slot: &'static Slot, block: &'static Block, word: Word) {
    if ptr::eq(slot, record::counted_slot()) {
        record::note_counted_span(false);
        return count_out(block, word, SPAN);
    }
    slot.clear();
    light_or_full();
    // Relaxed: as in `drop`.
    if block.word.load(Ordering::Relaxed) != word.bits() {
        departed(block);
    }
}

/// Clears a slot that never led to a reservation. Somebody may have seen it occupied and gone away in the
/// belief that we would take care of the block; so we look.
#[cold]
#[inline(never)]
fn leave(block: &'static Block, slot: &'static Slot) {
    slot.clear();
    light_or_full();
    let now = Word::from_bits(block.word.load(Ordering::Relaxed));
    if !now.is(State::Exclusive) && !now.is(State::Published) {
        departed(block);
    }
}

/// Reserves `block` in its counter, for a pin. Unlike a slot, the reservation may move between threads. Tells whether
/// the pin has hooks.
#[inline]
pub(super) fn pin(block: &'static Block, word: Word) -> Result<bool, Refused> {
    count_in(block, word, PIN).ok_or(Refused)
}

#[inline]
pub(super) fn unpin(block: &'static Block, word: Word) {
    count_out(block, word, PIN);
}

/// Counts `unit` in; tells whether the block is hooked.
#[inline]
fn count_in(block: &'static Block, word: Word, unit: u64) -> Option<bool> {
    while is_live(block, word) {
        // Relaxed: ordered by the fence that follows.
        let before = block.counted.fetch_add(unit, Ordering::Relaxed);
        fence_after_rmw();
        if before & (OVERFLOW * unit) != 0 {
            overflow();
        }
        if is_current(block, word) {
            return Some(before & HOOKED != 0);
        }
        count_out(block, word, unit);
    }
    None
}

/// Half of what a counter holds: too many forgotten pins end the process before the count can wrap.
const OVERFLOW: u64 = 1 << 30;

#[cold]
fn overflow() -> ! {
    eprintln!("leasehold: more than 2^30 pins or counted spans of one block were never dropped");
    std::process::abort()
}

#[inline]
fn count_out(block: &'static Block, word: Word, unit: u64) {
    // Release: pairs with the Acquire loads of `counted` in `lease`: our accesses come before the next tenant's.
    block.counted.fetch_sub(unit, Ordering::Release);
    fence_after_rmw();
    // Relaxed: as in `Reservation::drop`.
    if block.word.load(Ordering::Relaxed) != word.bits() {
        departed(block);
    }
}

/// Who counts on the block's counter.
pub(super) fn counted(block: &Block) -> Counted {
    // Acquire: pairs with the Release in `count_out`.
    let counted = block.counted.load(Ordering::Acquire) & !HOOKED;
    Counted { pins: (counted % SPAN) as usize, spans: (counted / SPAN) as usize }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Counted {
    pub(super) pins: usize,
    pub(super) spans: usize,
}

impl Counted {
    pub(super) fn is_zero(self) -> bool {
        cfg!(leasehold_bug = "pins") || self == Counted::default()
    }
}

/// Called by whoever has left a block whose lease is over.
#[cold]
#[inline(never)]
fn departed(block: &'static Block) {
    // SeqCst: pairs with the fence in `try_finish`: of two that leave at once, the later sees both gone; and either we see
    // a draining state or the one who sets it sees us gone.
    fence(Ordering::SeqCst);
    // Acquire: pairs with the fence of `revoke`, behind which `push` stores the state. The lease that was abandoned need not
    // be the one we have left: its toucher, not an earlier one, and its source are what we see.
    let now = Word::from_bits(block.word.load(Ordering::Acquire));
    if now.is(State::Draining) || now.is(State::DrainingAbandoned) {
        try_finish(block, now);
    } else if now.is(State::RevokedAbandoned) && is_sole_toucher(block, now) {
        finish_abandoned(block, now);
    }
}

/// Whether nobody but this thread has entered the lease, and this thread has left.
///
/// For a caller that has acquired the end of the lease: whoever has entered it has run the fence of his touch before that of
/// `revoke`, so we see him in the toucher; who touches it later is refused.
fn is_sole_toucher(block: &Block, now: Word) -> bool {
    record::own().is_some_and(|record| {
        block.toucher.load(Ordering::Relaxed) == record.as_ptr()
            && record.count(block, now.in_state(State::Published)) == 0
            && counted(block).is_zero()
    })
}

/// Ends the drained lease `now` if nobody is inside any more. True when this call did it.
///
/// A block in a draining state has had a barrier since its revocation: nobody enters any more, and whoever still
/// occupies a slot of it, if only in passing, comes through `departed`.
pub(super) fn try_finish(block: &'static Block, now: Word) -> bool {
    // SeqCst: see `departed`. Also orders the look at the slots behind the load, or store, of `now`: we see every slot
    // that whoever set it saw.
    fence(Ordering::SeqCst);
    if !counted(block).is_zero() || record::count_everywhere(block, now.in_state(State::Published)) != 0 {
        return false;
    }
    if now.is(State::DrainingAbandoned) {
        return finish_abandoned(block, now);
    }
    // Release: pairs with the Acquire in `lease::is_reclaimed`: what the readers did, which the checks above acquired,
    // comes before what the lessor does.
    let next = now.after().bits();
    let finished = block.word.compare_exchange(now.bits(), next, Ordering::Release, Ordering::Relaxed);
    match finished {
        Ok(_) => {
            block.wake();
            true
        }
        // The lessor was given up at this moment.
        Err(other) if other == now.in_state(State::DrainingAbandoned).bits() => {
            finish_abandoned(block, Word::from_bits(other))
        }
        Err(_) => false,
    }
}

/// Releases a block without lessor, unless somebody else does. For a caller that knows that nobody is inside.
pub(super) fn finish_abandoned(block: &'static Block, now: Word) -> bool {
    let won = claim_abandoned(block, now);
    if won {
        // SAFETY: the exchange made us the only holder (R2): no lessor, no reservation, and nobody else won it.
        unsafe { release(block) };
    }
    won
}

/// Makes a block without lessor the caller's, who releases it; false when somebody else does. For a caller that knows that
/// nobody is inside.
pub(super) fn claim_abandoned(block: &Block, now: Word) -> bool {
    // Relaxed: what the readers did was acquired with the counts, and the source with the word that says that the lease is
    // abandoned, or by a fence since then.
    block.word.compare_exchange(now.bits(), now.after().bits(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
}
