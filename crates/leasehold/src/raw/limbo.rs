//! Revoked blocks of which it is not known whether somebody still looks at them.
//!
//! Each thread has its own, so that one heavy barrier serves many blocks, and often none is needed: a block that
//! only one thread has touched is free as soon as that thread is seen to have fenced since, which it does
//! whenever it touches another block for the first time.

use std::sync::Arc;

use super::block::Block;
use super::fence;
use super::record::{self, Record};
use super::reserve::{claim_abandoned, counted, try_finish};
use super::source::release;
use super::store;
use super::word::{State, Word};
use crate::sync::{Mutex, Ordering, lock, thread_local, try_lock};

/// Blocks that wait before a barrier is spent on them.
const CAPACITY: usize = if cfg!(leasehold_loom) { 2 } else { 64 };
/// Bytes that wait before a barrier is spent on them.
const CAPACITY_BYTES: usize = 8 << 20;

struct Entry {
    block: &'static Block,
    /// The word the block has as long as it is ours to look after.
    word: Word,
    /// The only thread that has entered, with its fence count; `None` when there are several.
    toucher: Option<(&'static Record, u64)>,
    bytes: usize,
}

struct Limbo {
    entries: Vec<Entry>,
    bytes: usize,
    seen: Vec<*const Block>,
    /// Room for what a drain takes out, kept for the next one.
    spare: Vec<Step>,
}

// SAFETY: the pointers in `seen` are compared only, and blocks and records are shared freely.
unsafe impl Send for Limbo {}

/// What is left to do for a block that has left the limbo.
enum Step {
    /// The block is ours alone.
    Release(&'static Block),
    /// A barrier has passed, and somebody may still be inside.
    Settle(&'static Block, Word),
}

/// Steps to be taken with no lock held: they may run a backing, and wake who waits. When one panics, the others are taken
/// nevertheless.
struct Steps(Vec<Step>);

impl Steps {
    fn take(&mut self) {
        while let Some(step) = self.0.pop() {
            match step {
                // SAFETY: `claim_abandoned` made us the only holder (R2).
                Step::Release(block) => unsafe { release(block) },
                Step::Settle(block, word) => settle(block, word),
            }
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.take();
    }
}

/// A limbo belongs to one thread, but a pool that is out of memory looks into all of them.
type Shared = Arc<Mutex<Limbo>>;

impl Limbo {
    fn new() -> Limbo {
        Limbo {
            entries: Vec::with_capacity(CAPACITY),
            bytes: 0,
            seen: Vec::with_capacity(256),
            spare: Vec::with_capacity(CAPACITY),
        }
    }
}

#[cfg(not(leasehold_loom))]
static ALL: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

#[cfg(leasehold_loom)]
loom::lazy_static! {
    static ref ALL: Mutex<Vec<Shared>> = Mutex::new(Vec::new());
}

thread_local! {
    static OWN: Own = Own::new();
}

/// A thread's hold of its limbo.
struct Own(Shared);

impl Own {
    fn new() -> Own {
        let limbo = Arc::new(Mutex::new(Limbo::new()));
        lock(&ALL).push(Arc::clone(&limbo));
        Own(limbo)
    }
}

/// When the thread ends.
impl Drop for Own {
    fn drop(&mut self) {
        // Loom's statics are gone by the time the main thread ends.
        #[cfg(not(leasehold_loom))]
        lock(&ALL).retain(|limbo| !Arc::ptr_eq(limbo, &self.0));
        drain(&self.0, 0, 0);
    }
}

/// Takes over a block in the state `Revoked` whose lessor is gone.
#[cold]
pub(super) fn push(block: &'static Block, word: Word) {
    let abandoned = word.in_state(State::RevokedAbandoned);
    // SAFETY: `Revoked` is the lessor's own state, and the lessor handed it to us (R2).
    let bytes = unsafe { block.source() }.room;
    // Acquire: pairs with the Release in `reserve::touch`: the fence count below includes the toucher's own.
    let toucher = Record::from_toucher(block.toucher.load(Ordering::Acquire));
    let toucher = toucher.map(|record| (record, record.touches()));
    // Relaxed: `revoke` has fenced, for the Acquire in `departed`. From here on a departing toucher may release it.
    block.word.store(abandoned.bits(), Ordering::Relaxed);
    let entry = Entry { block, word: abandoned, toucher, bytes };
    let kept = OWN.try_with(|Own(limbo)| keep(limbo, entry));
    if !matches!(kept, Ok(true)) {
        fence::heavy();
        settle(block, abandoned);
    }
}

/// False when somebody looks into the limbo at the moment, or when the thread is ending and has none any more.
fn keep(shared: &Mutex<Limbo>, entry: Entry) -> bool {
    {
        let Some(mut limbo) = try_lock(shared) else { return false };
        limbo.bytes += entry.bytes;
        limbo.entries.push(entry);
        if limbo.entries.len() < CAPACITY && limbo.bytes < CAPACITY_BYTES {
            drop(limbo);
            flush_for_waiters(shared);
            return true;
        }
    }
    drain(shared, CAPACITY / 2, CAPACITY_BYTES / 2);
    flush_for_waiters(shared);
    true
}

/// Where somebody waits for the budget of a pool, nothing is kept from him. He says that he waits, and then looks into every
/// limbo: into this one after we had it, and finds what we put there, or before, and its lock passes on to us what he said.
fn flush_for_waiters(limbo: &Mutex<Limbo>) {
    if store::somebody_waits() {
        drain(limbo, 0, 0);
    }
}

/// Spends a barrier on what waits in this thread's limbo, if anything does.
pub(crate) fn flush() {
    let _ = OWN.try_with(|Own(limbo)| drain(limbo, 0, 0));
}

/// As [`flush`], for every thread's.
pub(crate) fn flush_all() {
    let all = lock(&ALL).clone();
    for limbo in all {
        drain(&limbo, 0, 0);
    }
}

/// Releases what can be released without a barrier, for models of just that.
#[cfg(leasehold_loom)]
pub(super) fn release_by_piggyback() {
    OWN.with(|Own(limbo)| drain(limbo, CAPACITY, CAPACITY_BYTES));
}

/// Releases what can be released without a barrier, and the rest with one if more than is tolerated remains.
fn drain(shared: &Mutex<Limbo>, entries: usize, bytes: usize) {
    let mut steps = lock(shared).sort_out(entries, bytes);
    steps.take();
    let mut limbo = lock(shared);
    if limbo.spare.capacity() == 0 {
        limbo.spare = std::mem::take(&mut steps.0);
    }
}

impl Limbo {
    /// Takes out what is to be released. Runs nobody's code.
    fn sort_out(&mut self, entries: usize, bytes: usize) -> Steps {
        let Limbo { entries: waiting, seen, spare, .. } = self;
        let mut steps = Steps(std::mem::take(spare));
        waiting.retain(|entry| !entry.has_left_by_piggyback(&mut steps.0));
        self.bytes = waiting.iter().map(|entry| entry.bytes).sum();
        if waiting.len() > entries || self.bytes > bytes {
            self.bytes = 0;
            fence::heavy();
            let complete = record::collect_everywhere(seen);
            for Entry { block, word, .. } in waiting.drain(..) {
                // Nobody was inside after the barrier, so nobody is.
                let free = complete && !seen.contains(&std::ptr::from_ref(block)) && counted(block).is_zero();
                if !free {
                    steps.0.push(Step::Settle(block, word));
                } else if claim_abandoned(block, word) {
                    steps.0.push(Step::Release(block));
                }
            }
        }
        steps
    }
}

impl Entry {
    /// True when the block is off our hands, as soon as `steps` are taken.
    fn has_left_by_piggyback(&self, steps: &mut Vec<Step>) -> bool {
        if self.block.word.load(Ordering::Relaxed) != self.word.bits() {
            return true;
        }
        let Some((record, touches)) = self.toucher else { return false };
        // All records, since those that continue the toucher's are its own to walk.
        let inside = || record::count_everywhere(self.block, self.word.in_state(State::Published)) > 0;
        let gone = record.touched_since(touches) && !inside() && counted(self.block).is_zero();
        // The claim fails only when the toucher itself released the block on its way out.
        if gone && claim_abandoned(self.block, self.word) {
            steps.push(Step::Release(self.block));
        }
        gone
    }
}

/// Leaves a block to the last one out. For a block of which a barrier has passed since its revocation.
fn settle(block: &'static Block, abandoned: Word) {
    let draining = abandoned.in_state(State::DrainingAbandoned);
    // Relaxed: as in `push`. It fails when the toucher released the block meanwhile.
    let settled =
        block.word.compare_exchange(abandoned.bits(), draining.bits(), Ordering::Relaxed, Ordering::Relaxed);
    if settled.is_ok() {
        try_finish(block, draining);
    }
}
