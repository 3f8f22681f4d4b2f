//! Control blocks: what outlives every handle, so that a stale one can always be told.
//!
//! A control block is never unmapped; it is reused with a new generation. It is two pairs of cache lines: what changes with each
//! tenancy and lease, and what is mostly read.

use std::cell::{Cell, UnsafeCell};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::task::Waker;

use super::record::Record;
use super::word::{State, Word};
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};

/// A call site; one pointer to store.
pub(crate) type Site = &'static Location<'static>;

/// Toucher of a block that more than one thread has entered since it was leased.
pub(super) const SEVERAL: *mut Record = ptr::without_provenance_mut(1);

#[repr(C, align(128))]
pub struct Block {
    // Lines 0 and 1: written when a tenancy or a lease begins or ends. Every span reads the first.
    /// The [`Word`].
    pub(super) word: AtomicU64,
    /// Null, the record of the only thread that has entered this lease so far, or [`SEVERAL`].
    pub(super) toucher: AtomicPtr<Record>,
    /// Where the present tenancy began: the rent, or the making of the owner.
    created: AtomicPtr<Location<'static>>,
    /// When, for rents: see [`super::clock`].
    rented_at: AtomicU64,
    /// The call sites of the latest leases, each overwritten by the [`HISTORY`]th after it.
    episodes: [Episode; HISTORY],

    // Line 2: written by pins, parts and shares, and read by who lets go of the memory. Where nobody pins or shares, all
    // threads keep a copy of it, so memory that is rented in one and returned in another stays out of the other's way.
    // Processors fetch lines in pairs: beside one that is written with every rent it would not stay with who returns.
    /// What is behind the block and how to let go of it.
    source: UnsafeCell<Source>,
    /// Pins in the low half, counted spans in the high half, and [`HOOKED`].
    pub(super) counted: AtomicU64,
    /// Parts of an exclusive lease, and [`AWAITED`].
    pub(super) parts: AtomicU64,
    /// Shared owners.
    pub(super) shares: AtomicUsize,

    // Line 3: what is rarely written.
    /// The toucher of the latest lease that anybody entered.
    sole: AtomicPtr<Record>,
    /// How many leases before it had the same one; [`HABIT`] at the most.
    times: AtomicUsize,
    /// Who waits for the end of the lease. The standard library's mutex never allocates.
    waiter: Mutex<Option<Waker>>,
    /// Link of the free list that holds the block.
    next: Cell<Option<&'static Block>>,
}

// Each pair of lines holds what its comment says. Where the standard library's mutex is as small as a futex.
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(leasehold_loom)))]
const _: () = {
    assert!(
        std::mem::offset_of!(Block, source) == 128,
        "pins and readers of the source have the second pair"
    );
    assert!(size_of::<Block>() == 256, "which is the last");
};

/// How many leases in a row one thread alone has to enter for the next one to be taken for one of that kind.
const HABIT: usize = if cfg!(any(leasehold_loom, miri)) { 1 } else { 64 };

/// In [`Block::counted`]: the source wants to hear of pins. Here, because whoever pins reads the counter anyway.
pub(super) const HOOKED: u64 = 1 << 63;

/// In [`Block::parts`]: somebody awaits the return of the last part.
pub(super) const AWAITED: u64 = 1 << 63;

/// How many leases a block remembers the call sites of, the one to come included.
const HISTORY: usize = if cfg!(leasehold_loom) { 1 } else { 4 };

// SAFETY: the atomics and the mutex are shared freely; `source` is written only by whoever holds the block
// exclusively (R2) and read under an exclusive hold or a reservation (R3), ordered by `word`; `next` belongs to
// the free list that holds the block. The memory behind `source` is reached through typed handles, which state
// their own bounds on `T`.
unsafe impl Sync for Block {}
// SAFETY: nothing in a block belongs to the thread that made it.
unsafe impl Send for Block {}

/// The memory behind a block, with the operations that depend on where it came from.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// A pool's goes with the pool.
    pub(crate) kind: *const Kind,
    pub(crate) base: *mut (),
    /// Elements at `base` that `kind` has to drop.
    pub(crate) len: usize,
    /// Bytes at `base`.
    pub(crate) room: usize,
    /// What else `kind` has to remember.
    pub(crate) extra: *mut (),
}

/// The operations of one kind of source.
pub(crate) struct Kind {
    /// Lets go of the memory. Called once per tenancy, by the only party left.
    pub(crate) release: unsafe fn(&'static Block),
    /// Called with each successful pin and its end, for managers that ask for it.
    pub(crate) pin_hooks: Option<PinHooks>,
    /// Whether a `&mut` to the memory may exist.
    pub(crate) writable: bool,
    /// Whether a revoked block may wait in the limbo; only for memory whose release nobody can observe.
    pub(crate) patient: bool,
    /// Whether the memory is a pool's.
    pub(crate) pooled: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct PinHooks {
    pub(crate) pinned: unsafe fn(&Source),
    pub(crate) unpinned: unsafe fn(&Source),
}

// A panic leaves nothing half done: whatever changes a block's state is one atomic operation.
impl UnwindSafe for Block {}
impl RefUnwindSafe for Block {}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for Block {}

impl Block {
    fn new() -> Block {
        Block {
            word: AtomicU64::new(Word::FIRST.bits()),
            toucher: AtomicPtr::new(ptr::null_mut()),
            created: AtomicPtr::new(ptr::null_mut()),
            rented_at: AtomicU64::new(0),
            episodes: std::array::from_fn(|_| Episode::new()),
            source: UnsafeCell::new(Source::NONE),
            counted: AtomicU64::new(0),
            parts: AtomicU64::new(0),
            shares: AtomicUsize::new(0),
            sole: AtomicPtr::new(ptr::null_mut()),
            times: AtomicUsize::new(0),
            waiter: Mutex::new(None),
            next: Cell::new(None),
        }
    }

    /// Begins a tenancy on a block that nobody else holds.
    ///
    /// # Safety
    /// - The caller holds the block exclusively (R2).
    /// - `source` and its kind stay valid until the kind's `release` is called.
    #[inline]
    pub(crate) unsafe fn settle(&self, source: Source) {
        // SAFETY: by the caller's promise nobody else reads or writes the source.
        unsafe { self.source.get().write(source) };
        // A stale handle may be counting itself in and out again, so nothing but the mark is changed.
        let hooked = source.kind().pin_hooks.is_some();
        if hooked != self.is_hooked() {
            // Relaxed: the hold is exclusive; published with it.
            self.counted.fetch_xor(HOOKED, Ordering::Relaxed);
        }
    }

    /// Whether pins of the present tenancy have hooks. For whoever holds the block or a reservation of it.
    #[inline]
    pub(super) fn is_hooked(&self) -> bool {
        // Relaxed: written before the hold that the caller's comes from.
        self.counted.load(Ordering::Relaxed) & HOOKED != 0
    }

    /// # Safety
    /// The caller holds the block exclusively (R2), or holds a reservation of its present lease (R3).
    #[inline]
    pub(crate) unsafe fn source(&self) -> &Source {
        // SAFETY: nobody writes the source while the caller's hold lasts.
        unsafe { &*self.source.get() }
    }

    #[inline]
    pub(super) fn stamp_created(&self, site: Site) {
        // Relaxed: call sites are 'static and complete; only their pairing matters, which `Episode` guards.
        self.created.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn stamp_rented(&self, now: u64) {
        // Relaxed: a time stamp orders nothing.
        self.rented_at.store(now, Ordering::Relaxed);
    }

    pub(super) fn rented_at(&self) -> u64 {
        self.rented_at.load(Ordering::Relaxed)
    }

    pub(super) fn created(&self) -> Option<Site> {
        site(&self.created)
    }

    fn episode(&self, word: Word) -> &Episode {
        &self.episodes[word.generation() as usize % HISTORY]
    }

    /// Called by whoever begins the lease `word`, before it is published.
    #[inline]
    pub(super) fn stamp_leased(&self, word: Word, leased: Site) {
        // Release: pairs with the Acquire fence in `sites`: who sees a site below also sees that the lease before this one
        // is over.
        fence(Ordering::Release);
        let episode = self.episode(word);
        // Relaxed, all: published with the word; only who comes too late has to fear that they are another lease's.
        episode.created.store(self.created.load(Ordering::Relaxed), Ordering::Relaxed);
        episode.leased.store(ptr::from_ref(leased).cast_mut(), Ordering::Relaxed);
        episode.revoked.store(ptr::null_mut(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn stamp_revoked(&self, word: Word, revoked: Site) {
        // Relaxed: ordered before the end of the lease by the store to `word` that follows.
        self.episode(word).revoked.store(ptr::from_ref(revoked).cast_mut(), Ordering::Relaxed);
    }

    /// Undoes [`stamp_revoked`](Self::stamp_revoked) for a lease that goes on.
    pub(super) fn forget_revoked(&self, word: Word) {
        self.episode(word).revoked.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// The call sites of the lease `word`; none when later leases have overwritten them.
    pub(super) fn sites(&self, word: Word) -> Sites {
        let Episode { created, leased, revoked } = self.episode(word);
        let sites = Sites { created: site(created), leased: site(leased), revoked: site(revoked) };
        // Acquire: pairs with the Release fence in `stamp_leased`.
        fence(Ordering::Acquire);
        // A lease stamps its sites while the word says that the one before it is over.
        let now = Word::from_bits(self.word.load(Ordering::Relaxed));
        if now.generation() < word.generation() + HISTORY as u64 { sites } else { Sites::default() }
    }

    /// How many leases began since the lease `word`, and where the latest did, if it goes on.
    pub(super) fn successors(&self, word: Word) -> (u64, Option<Site>) {
        // Acquire: pairs with the Release in `publish`: we see where that lease began.
        let now = Word::from_bits(self.word.load(Ordering::Acquire));
        let over = now.is(State::Exclusive);
        let latest = if over { now.before() } else { now };
        let since = latest.generation().saturating_sub(word.generation());
        (since, if over { None } else { self.sites(latest).leased })
    }

    /// The only thread that is likely to enter the lease `word` that is about to begin at `leased`: the one that always was,
    /// lately, where leases began there. Null when nobody can tell.
    #[inline]
    pub(super) fn likely_toucher(&self, word: Word, leased: Site) -> *mut Record {
        let Block { sole, times, .. } = self;
        // Relaxed, all: whoever begins a lease holds the block. A late reader of an earlier lease may change the toucher
        // still; that makes the guess a worse one at the most.
        let last = self.toucher.load(Ordering::Relaxed);
        if last.is_null() || last == SEVERAL {
            return ptr::null_mut();
        }
        let place = self.episode(word.before()).leased.load(Ordering::Relaxed).cast_const();
        let before = times.load(Ordering::Relaxed);
        if last != sole.load(Ordering::Relaxed) || !ptr::eq(place, leased) {
            sole.store(last, Ordering::Relaxed);
            times.store(0, Ordering::Relaxed);
        } else if before < HABIT {
            times.store(before + 1, Ordering::Relaxed);
        } else {
            return last;
        }
        ptr::null_mut()
    }

    /// Notes that what the toucher said was of no use to who ended the lease.
    #[cold]
    pub(super) fn break_habit(&self) {
        // Relaxed: for the guess of `likely_toucher` only.
        self.times.store(0, Ordering::Relaxed);
    }

    /// Leaves `waker` to be woken when the lease ends. The caller looks at the block again afterwards.
    pub(super) fn wait(&self, waker: &Waker) {
        // Cloning and dropping a waker can run any code, this block's included: never under the lock.
        let new = waker.clone();
        let old = lock(&self.waiter).replace(new);
        drop(old);
    }

    /// Takes back what `wait` left, so that no task is kept alive by a block it no longer waits for.
    pub(super) fn stop_waiting(&self) {
        let waker = lock(&self.waiter).take();
        drop(waker);
    }

    #[cold]
    pub(super) fn wake(&self) {
        let waker = lock(&self.waiter).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    #[cfg(all(test, not(leasehold_loom)))]
    pub(crate) fn wear_out(&self) {
        self.word.store(Word::at(Word::LAST, State::Exclusive).bits(), Ordering::Relaxed);
    }
}

impl Source {
    const NONE: Source =
        Source { kind: &NO_SOURCE, base: ptr::null_mut(), len: 0, room: 0, extra: ptr::null_mut() };

    #[inline]
    pub(super) fn kind(&self) -> &Kind {
        // SAFETY: it stays as long as the source, see `settle`.
        unsafe { &*self.kind }
    }
}

static NO_SOURCE: Kind =
    Kind { release: |_| (), pin_hooks: None, writable: false, patient: false, pooled: false };

/// The call sites of one lease.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Sites {
    pub(crate) created: Option<Site>,
    pub(crate) leased: Option<Site>,
    pub(crate) revoked: Option<Site>,
}

/// The call sites of one lease.
struct Episode {
    created: AtomicPtr<Location<'static>>,
    leased: AtomicPtr<Location<'static>>,
    revoked: AtomicPtr<Location<'static>>,
}

impl Episode {
    fn new() -> Episode {
        Episode {
            created: AtomicPtr::new(ptr::null_mut()),
            leased: AtomicPtr::new(ptr::null_mut()),
            revoked: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

fn site(slot: &AtomicPtr<Location<'static>>) -> Option<Site> {
    let site = slot.load(Ordering::Relaxed);
    // SAFETY: only null and pointers made from `Site`, a `&'static`, are ever stored (R5).
    unsafe { site.as_ref() }
}

pub(crate) use free::{allocate, free};

#[cfg(not(leasehold_loom))]
mod free {
    //! Free control blocks: a short list per thread in front of a common one.

    use std::cell::Cell;

    use super::Block;
    use crate::sync::{Mutex, lock, thread_local};

    /// Blocks made at a time.
    const SLAB: usize = 16;
    /// Blocks a thread keeps; half of them go to the common list beyond that.
    const KEPT: u32 = 64;

    static COMMON: Mutex<List> = Mutex::new(List::EMPTY);

    thread_local! {
        static LOCAL: Local = const { Local { head: Cell::new(None), len: Cell::new(0) } };
        static AT_EXIT: AtExit = const { AtExit };
    }

    /// Without a destructor, so that a block can be freed in destructors of other thread-locals.
    struct Local {
        head: Cell<Option<&'static Block>>,
        len: Cell<u32>,
    }

    struct List {
        head: Option<&'static Block>,
        len: u32,
    }

    impl List {
        const EMPTY: List = List { head: None, len: 0 };

        fn push(&mut self, block: &'static Block) {
            block.next.set(self.head.replace(block));
            self.len += 1;
        }

        fn pop(&mut self) -> Option<&'static Block> {
            let block = self.head?;
            self.head = block.next.take();
            self.len -= 1;
            Some(block)
        }
    }

    /// A block that nobody else holds.
    #[inline]
    pub(crate) fn allocate() -> &'static Block {
        LOCAL.with(|local| match local.head.get() {
            Some(block) => {
                local.head.set(block.next.take());
                local.len.set(local.len.get() - 1);
                block
            }
            None => refill(local),
        })
    }

    /// Puts a block back whose tenancy has been released.
    ///
    /// # Safety
    /// The caller holds the block exclusively (R2) and gives it up.
    #[inline]
    pub(crate) unsafe fn free(block: &'static Block) {
        LOCAL.with(|local| {
            let len = local.len.get();
            if len == 0 && AT_EXIT.try_with(|_| ()).is_err() {
                // The thread is ending; what it keeps would be lost with it.
                return lock(&COMMON).push(block);
            }
            if len == KEPT {
                spill(local, KEPT / 2);
            }
            block.next.set(local.head.replace(Some(block)));
            local.len.set(local.len.get() + 1);
        });
    }

    #[cold]
    fn refill(local: &Local) -> &'static Block {
        let mut common = lock(&COMMON);
        if common.len == 0 {
            let slab: &'static mut [Block] = Vec::leak((0..SLAB).map(|_| Block::new()).collect());
            for block in slab {
                common.push(block);
            }
        }
        let first = common.pop().expect("the slab was not empty");
        if AT_EXIT.try_with(|_| ()).is_ok() {
            for _ in 1..SLAB {
                let Some(block) = common.pop() else { break };
                block.next.set(local.head.replace(Some(block)));
                local.len.set(local.len.get() + 1);
            }
        }
        first
    }

    #[cold]
    fn spill(local: &Local, count: u32) {
        let mut common = lock(&COMMON);
        for _ in 0..count {
            let Some(block) = local.head.take() else { break };
            local.head.set(block.next.take());
            local.len.set(local.len.get() - 1);
            common.push(block);
        }
    }

    struct AtExit;

    impl Drop for AtExit {
        fn drop(&mut self) {
            LOCAL.with(|local| spill(local, u32::MAX));
        }
    }
}

#[cfg(leasehold_loom)]
mod free {
    use super::Block;

    /// Models make few blocks and never reuse one behind the model's back.
    pub(crate) fn allocate() -> &'static Block {
        Box::leak(Box::new(Block::new()))
    }

    /// # Safety
    /// The caller holds the block exclusively and gives it up.
    pub(crate) unsafe fn free(_: &'static Block) {}
}
