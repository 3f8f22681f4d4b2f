//! Thread records: the hazard slots in which a thread says which blocks it is looking at.
//!
//! A record is never freed. It belongs to one thread at a time and is handed on when that thread has ended and its
//! slots are free. A forgotten guard keeps its slot, and with it the block and the record, for ever.

use std::cell::Cell;
use std::ptr;

use super::block::{Block, SEVERAL};
use super::fence;
use super::word::Word;
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, thread_local};

/// Slots in a record. A thread that holds more spans gets a further record.
const SLOTS: usize = if cfg!(leasehold_loom) { 1 } else { 8 };

#[repr(C, align(128))]
pub(crate) struct Record {
    slots: [Slot; SLOTS],
    /// Counts the full fences this thread ran in [`super::reserve`] when it touched a block for the first
    /// time. Whoever sees it move knows that such a fence has begun since; see [`super::limbo`].
    touches: AtomicU64,
    /// Whether a slot other than the first may be occupied, here or in `more`. Only the owning thread asks.
    deep: AtomicUsize,
    /// The record that continues this one, once the thread has held more spans than it has slots. It stays there when the
    /// record is handed on.
    more: AtomicPtr<Record>,
    /// The next record of the registry, written once before the record is published.
    next: AtomicPtr<Record>,
    /// [`FREE`], [`TAKEN`] or [`LEFT`]; that of a continuation stays [`TAKEN`].
    state: AtomicUsize,
    #[cfg(leasehold_loom)]
    made: Made,
}

/// What a model knows of the making of a record: that it came before, or not. Atomics do not tell.
#[cfg(leasehold_loom)]
struct Made(loom::cell::UnsafeCell<()>);

#[cfg(leasehold_loom)]
// SAFETY: nothing is in it, and loom checks that it is looked at only after it was made.
unsafe impl Sync for Made {}

/// No thread has the record.
const FREE: usize = 0;
/// A thread has the record.
const TAKEN: usize = 1;
/// The record's thread has ended with spans alive. It is free again when they are gone, if they ever are.
const LEFT: usize = 2;

/// One span. Written by the owning thread only, read by everyone who revokes.
pub(super) struct Slot {
    /// The block that the thread looks at; null when the slot is free.
    block: AtomicPtr<Block>,
    /// The lease in which it does. A span that was forgotten leaves its slot occupied for ever, but only for the lease
    /// it belonged to: when that came back regardless, the block's next leases are not held up.
    word: AtomicU64,
    /// Whether a light fence is enough to leave it. False where fences are real, and for what is no slot at all.
    light: bool,
}

impl Slot {
    pub(super) fn new() -> Slot {
        let light = fence::is_asymmetric();
        Slot { block: AtomicPtr::new(ptr::null_mut()), word: AtomicU64::new(0), light }
    }

    #[inline(always)]
    pub(super) fn is_light(&self) -> bool {
        self.light
    }

    #[inline(always)]
    pub(super) fn is_free(&self) -> bool {
        // Relaxed: only the owning thread writes its slots, and only it asks.
        self.block.load(Ordering::Relaxed).is_null()
    }

    /// Says that this thread looks at `block`. A light fence has to follow.
    #[inline(always)]
    pub(super) fn occupy(&self, block: &Block, word: Word) {
        // Release, both: pair with the Acquires in `holds`. Who sees either store also sees that the thread has left the
        // block that was in the slot before. The block comes first: from there on the slot is taken, also for a signal
        // handler that interrupts us here.
        self.block.store(ptr::from_ref(block).cast_mut(), Ordering::Release);
        self.word.store(word.bits(), Ordering::Release);
    }

    /// Says that this thread looks no longer. A light fence has to follow.
    #[inline(always)]
    pub(super) fn clear(&self) {
        // Release: pairs with the Acquire in `holds`: our accesses come before the next tenant's.
        self.block.store(ptr::null_mut(), Ordering::Release);
    }

    pub(super) fn holds(&self, block: &Block, word: Word) -> bool {
        // Acquire, both: pair with the Releases in `occupy` and `clear`: if the span is gone, what was done under it
        // happens before what the caller does to the block.
        ptr::eq(self.block.load(Ordering::Acquire), block) && self.word.load(Ordering::Acquire) == word.bits()
    }
}

impl Record {
    pub(super) fn new() -> Record {
        Record {
            slots: std::array::from_fn(|_| Slot::new()),
            touches: AtomicU64::new(0),
            deep: AtomicUsize::new(0),
            more: AtomicPtr::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
            state: AtomicUsize::new(TAKEN),
            #[cfg(leasehold_loom)]
            made: Made(loom::cell::UnsafeCell::new(())),
        }
    }

    /// To be called with a record that was reached by a pointer. Fails a model in which it need not have been made yet.
    #[inline(always)]
    fn reached(&'static self) -> &'static Record {
        #[cfg(leasehold_loom)]
        self.made.0.with(|_| ());
        self
    }

    /// The record a toucher stands for; null and [`SEVERAL`] stand for none.
    pub(super) fn from_toucher(toucher: *mut Record) -> Option<&'static Record> {
        if toucher == SEVERAL {
            return None;
        }
        // SAFETY: what remains is null or was made by `as_ptr` from a record, and records are never freed (R1).
        unsafe { toucher.as_ref() }.map(Record::reached)
    }

    #[inline(always)]
    pub(super) fn as_ptr(&self) -> *mut Record {
        ptr::from_ref(self).cast_mut()
    }

    #[inline(always)]
    pub(super) fn first_slot(&self) -> &Slot {
        &self.slots[0]
    }

    /// A free slot of this thread's record or of one that continues it.
    pub(super) fn free_slot(&'static self) -> &'static Slot {
        if self.first_slot().is_free() {
            return self.first_slot();
        }
        // Relaxed: for this thread only, and for who takes the record over.
        self.deep.store(1, Ordering::Relaxed);
        let mut record = self;
        loop {
            if let Some(slot) = record.slots.iter().find(|slot| slot.is_free()) {
                return slot;
            }
            record = record.continuation().unwrap_or_else(|| record.continue_on(publish()));
        }
    }

    /// For the thread that has the record.
    fn continuation(&self) -> Option<&'static Record> {
        // Relaxed: it was written by this thread, or by one that handed the record on.
        // SAFETY: it is null or a leaked record (R1).
        unsafe { self.more.load(Ordering::Relaxed).as_ref() }.map(Record::reached)
    }

    /// Appends a record, unless a signal handler did so meanwhile. That one is then used, and `more` never.
    #[cold]
    fn continue_on(&self, more: &'static Record) -> &'static Record {
        // Relaxed: as in `continuation`.
        let _ =
            self.more.compare_exchange(ptr::null_mut(), more.as_ptr(), Ordering::Relaxed, Ordering::Relaxed);
        self.continuation().unwrap_or(more)
    }

    fn with_continuations(&self) -> impl Iterator<Item = &Record> {
        std::iter::successors(Some(self), |record| record.continuation())
    }

    /// How many spans of `block` in the lease `word` this record and those that continue it hold. For the thread that has
    /// the record.
    #[inline]
    pub(super) fn count(&self, block: &Block, word: Word) -> usize {
        // Relaxed: as in `free_slot`.
        if self.deep.load(Ordering::Relaxed) == 0 {
            return usize::from(self.first_slot().holds(block, word));
        }
        self.count_deep(block, word)
    }

    #[cold]
    fn count_deep(&self, block: &Block, word: Word) -> usize {
        let others = self.occupied() - usize::from(!self.first_slot().is_free());
        self.deep.store(usize::from(others != 0), Ordering::Relaxed);
        self.with_continuations().map(|record| record.count_here(block, word)).sum()
    }

    fn count_here(&self, block: &Block, word: Word) -> usize {
        self.slots.iter().filter(|slot| slot.holds(block, word)).count()
    }

    /// Announces a fence that the caller runs next.
    pub(super) fn announce_touch(&self) {
        // Relaxed: only the owning thread writes the counter.
        let touches = self.touches.load(Ordering::Relaxed);
        // Release: pairs with the Acquire in `touched_since`: who sees the new count also sees every slot
        // store that came before it.
        self.touches.store(touches + 1, Ordering::Release);
    }

    pub(super) fn touches(&self) -> u64 {
        // Relaxed: the caller has run a full fence, and compares with a later Acquire load.
        self.touches.load(Ordering::Relaxed)
    }

    pub(super) fn touched_since(&self, touches: u64) -> bool {
        // Acquire: pairs with the Release in `announce_touch`.
        self.touches.load(Ordering::Acquire) > touches
    }

    /// How many slots of this record and those that continue it are occupied, by whatever block.
    pub(super) fn occupied(&self) -> usize {
        // Acquire: pairs with the Release in `Slot::clear`, for a caller that takes the record over.
        let slots = self.with_continuations().flat_map(|record| &record.slots);
        slots.filter(|slot| !slot.block.load(Ordering::Acquire).is_null()).count()
    }

    /// Makes the record this thread's, if it is nobody's.
    pub(super) fn try_take(&self) -> bool {
        // Acquire, both: pair with the Release in `give_back`: we see the record as its last thread left it.
        let take =
            |from| self.state.compare_exchange(from, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok();
        match self.state.load(Ordering::Relaxed) {
            FREE => take(FREE),
            LEFT if take(LEFT) => {
                let free = self.occupied() == 0;
                if !free {
                    self.give_back();
                }
                free
            }
            _ => false,
        }
    }

    pub(super) fn give_back(&self) {
        let state = if self.occupied() == 0 { FREE } else { LEFT };
        // Release: pairs with the Acquire in `try_take`.
        self.state.store(state, Ordering::Release);
    }
}

#[cfg(not(leasehold_loom))]
static REGISTRY: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());

#[cfg(leasehold_loom)]
loom::lazy_static! {
    static ref REGISTRY: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
}

/// Every record that was ever made, newest first.
fn registry() -> impl Iterator<Item = &'static Record> {
    // Acquire: pairs with the Release that published the newest record.
    let mut next = REGISTRY.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: records are leaked boxes (R1), and the Acquire above orders their initialisation before us.
        let record = unsafe { next.as_ref() }?;
        // Relaxed: `next` was written before the record was published.
        next = record.next.load(Ordering::Relaxed);
        Some(record.reached())
    })
}

/// How many spans of `block` in the lease `word` all threads hold in their slots.
pub(super) fn count_everywhere(block: &Block, word: Word) -> usize {
    registry().map(|record| record.count_here(block, word)).sum()
}

/// The block in every occupied slot of every thread, into `seen`; false when there are more than fit.
pub(super) fn collect_everywhere(seen: &mut Vec<*const Block>) -> bool {
    seen.clear();
    for slot in registry().flat_map(|record| &record.slots) {
        // Acquire: as in `Slot::holds`.
        let block = slot.block.load(Ordering::Acquire);
        if !block.is_null() {
            if seen.len() == seen.capacity() {
                return false;
            }
            seen.push(block);
        }
    }
    true
}

/// Makes a record, or takes over one that its thread gave back.
fn claim() -> &'static Record {
    registry().find(|record| record.try_take()).unwrap_or_else(publish)
}

fn publish() -> &'static Record {
    let record: &'static Record = Box::leak(Box::new(Record::new()));
    let mut head = REGISTRY.load(Ordering::Relaxed);
    loop {
        record.next.store(head, Ordering::Relaxed);
        // Release: pairs with the Acquire in `registry`; the record's fields come first.
        match REGISTRY.compare_exchange(head, record.as_ptr(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(newer) => head = newer,
        }
    }
    record
}

/// Spans of threads that have ended. They were forgotten, or are about to be dropped by a destructor.
pub(crate) fn leaked_spans() -> usize {
    // Acquire: pairs with the Release in `give_back`: the continuations were made before.
    let left = |record: &&Record| record.state.load(Ordering::Acquire) == LEFT;
    registry().filter(left).map(Record::occupied).sum()
}

pub(crate) fn records() -> usize {
    registry().count()
}

/// What a thread without a fast lane points to: no slot of it is ever free, so the fast path of a span falls through to
/// the slow one. Also stands for the slot of a span that its block's counter holds.
#[cfg(not(leasehold_loom))]
static STAND_IN: Record = Record {
    slots: [const {
        Slot { block: AtomicPtr::new(ptr::without_provenance_mut(1)), word: AtomicU64::new(0), light: false }
    }; SLOTS],
    touches: AtomicU64::new(0),
    deep: AtomicUsize::new(0),
    more: AtomicPtr::new(ptr::null_mut()),
    next: AtomicPtr::new(ptr::null_mut()),
    state: AtomicUsize::new(TAKEN),
};

#[cfg(leasehold_loom)]
loom::lazy_static! {
    static ref STAND_IN: Record = Record {
        slots: [Slot { block: AtomicPtr::new(ptr::without_provenance_mut(1)), light: false, ..Slot::new() }],
        ..Record::new()
    };
}

#[cfg(not(leasehold_loom))]
thread_local! {
    // Without destructors, so that they can be read in destructors of other thread-locals.

    /// This thread's record if it has one and fences are asymmetric, else the stand-in.
    static FAST_LANE: Cell<&'static Record> = const { Cell::new(&STAND_IN) };
    static OWN: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// Spans of this thread that the counters of their blocks hold.
    static COUNTED_SPANS: Cell<usize> = const { Cell::new(0) };

    static AT_EXIT: AtExit = const { AtExit };
}

#[cfg(leasehold_loom)]
thread_local! {
    static FAST_LANE: Cell<Option<&'static Record>> = Cell::new(None);
    static OWN: Cell<Option<&'static Record>> = Cell::new(None);
    static COUNTED_SPANS: Cell<usize> = Cell::new(0);
    static ENDING: Cell<bool> = Cell::new(false);
}

/// What stands in for a slot where a block's counter holds the reservation.
pub(super) fn counted_slot() -> &'static Slot {
    STAND_IN.first_slot()
}

/// The record whose first slot the fast path of a span may use.
#[inline(always)]
pub(super) fn fast_lane() -> &'static Record {
    #[cfg(not(leasehold_loom))]
    return FAST_LANE.get();
    #[cfg(leasehold_loom)]
    FAST_LANE.with(Cell::get).unwrap_or_else(|| &*STAND_IN)
}

/// The record of this thread, if it has one.
#[inline(always)]
pub(super) fn own() -> Option<&'static Record> {
    OWN.with(Cell::get)
}

/// The record of this thread; null while it is ending.
#[inline(always)]
pub(super) fn own_or_null() -> *mut Record {
    own().or_else(attach).map_or(ptr::null_mut(), Record::as_ptr)
}

/// Registers this thread if need be. `None` while the thread is ending.
#[cold]
pub(super) fn attach() -> Option<&'static Record> {
    if let Some(record) = own() {
        return Some(record);
    }
    fence::decide();
    if is_ending() {
        return None;
    }
    let record = claim();
    OWN.with(|own| own.set(Some(record)));
    if fence::is_asymmetric() {
        set_fast_lane(record);
    }
    Some(record)
}

/// Notes that this thread began, or ended, a span that a block's counter holds.
pub(super) fn note_counted_span(begun: bool) {
    COUNTED_SPANS.with(|spans| spans.set(if begun { spans.get() + 1 } else { spans.get() - 1 }));
}

pub(super) fn counted_spans() -> usize {
    COUNTED_SPANS.with(Cell::get)
}

#[cfg(not(leasehold_loom))]
fn set_fast_lane(record: &'static Record) {
    FAST_LANE.set(record);
}

#[cfg(leasehold_loom)]
fn set_fast_lane(record: &'static Record) {
    FAST_LANE.with(|lane| lane.set(Some(record)));
}

/// Whether the destructors of this thread's locals are running. Otherwise makes sure that ours will.
#[cfg(not(leasehold_loom))]
fn is_ending() -> bool {
    AT_EXIT.try_with(|_| ()).is_err()
}

/// Gives the record back at thread exit.
#[cfg(not(leasehold_loom))]
struct AtExit;

#[cfg(not(leasehold_loom))]
impl Drop for AtExit {
    fn drop(&mut self) {
        FAST_LANE.set(&STAND_IN);
        if let Some(record) = OWN.take() {
            record.give_back();
        }
    }
}

#[cfg(leasehold_loom)]
fn is_ending() -> bool {
    ENDING.with(Cell::get)
}

/// Models end their threads by hand: loom destroys thread-locals in an order of its own.
#[cfg(leasehold_loom)]
pub(crate) fn detach() {
    ENDING.with(|ending| ending.set(true));
    FAST_LANE.with(|lane| lane.set(None));
    if let Some(record) = OWN.with(Cell::take) {
        record.give_back();
    }
}
