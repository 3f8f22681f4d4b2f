//! What a thread keeps to itself: a stack of idle blocks per class.
//!
//! The thread pushes and pops without atomic instructions. Whoever else wants what is on a shelf (a trim, a pool that is
//! out of budget, the sweep of idle memory) claims the cache in a Dekker handshake, as a revoker claims a block:
//! ```text
//! owning thread                        claimant
//!   busy  = 1                            open_for = nobody
//!   light fence                          heavy fence
//!   open for my store? -> push or pop    busy? -> wait
//!   busy  = 0                            the shelves are mine
//! ```

use std::cell::Cell;
use std::collections::HashSet;
use std::ptr;
use std::sync::{Arc, Weak};

use super::Store;
use super::class::class_of;
use crate::raw::block::{Block, Kind};
use crate::raw::{clock, fence};
use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Mutex, Ordering, lock, thread_local, yield_now};

/// The largest class a thread keeps to itself; larger blocks go straight to the depot. Fewer where every step is dear.
const CACHED_MAX: usize = if cfg!(leasehold_loom) {
    64
} else if cfg!(miri) {
    4 << 10
} else {
    1 << 20
};
pub(super) const CACHED_CLASSES: usize = class_of(CACHED_MAX) + 1;
/// Blocks on a full shelf.
const SHELF: usize = if cfg!(leasehold_loom) {
    2
} else if cfg!(miri) {
    16
} else {
    128
};
/// How many blocks of a class go to the depot, or come from there, at a time. A thread that rents up to this many and gives
/// them all back, again and again, comes to do without the depot: a shelf has room for them on top of what it got there.
const EXCHANGED: usize = SHELF / 2;

/// What one thread keeps of one store.
#[repr(C, align(128))]
pub(super) struct Cache {
    /// The kind of the blocks that the fast paths serve, which is the store's own. Null once the cache is claimed, until its
    /// thread comes by a slow path, and where it is to stay empty.
    open_for: AtomicPtr<Kind>,
    /// One while the owning thread is in a fast path.
    busy: AtomicUsize,
    /// The block that came back last; null when it has been rented again. Most rents follow the return of a block of the same
    /// class. A guess at that, which the processor makes, takes everything but this pointer off the way from one rent to the
    /// next.
    last: AtomicPtr<Block>,
    /// The time, in milliseconds, when the thread last looked at the clock.
    now: AtomicU64,
    /// Rents of each class until the thread looks at the clock.
    until_tick: [AtomicUsize; CACHED_CLASSES],
    shelves: [Shelf; CACHED_CLASSES],
    /// Held by whoever works on the shelves outside of the fast paths.
    books: Mutex<Books>,
    /// Whose cache it is. Not counted: blocks keep their store, and a cache without blocks has no need of it.
    store: Weak<Store>,
}

/// Idle blocks of one class.
struct Shelf {
    /// One past the topmost block.
    top: AtomicUsize,
    slots: [AtomicPtr<Block>; SHELF],
}

/// What is counted on the slow paths, for each class.
struct Books([Page; CACHED_CLASSES]);

#[derive(Clone, Copy)]
struct Page {
    /// What `until_tick` was when it was last wound up.
    period: usize,
    /// Rents before that.
    rents: u64,
    /// Blocks that came from the depot or were fresh, less those that went there.
    imported: i64,
    /// Time of the last tick.
    ticked: u64,
    /// What `until_tick` and `top` were in the last sweep.
    swept: (usize, usize),
}

/// Rents between two looks at the clock, at the most. A thread that rents rarely looks each time.
const LONGEST_PERIOD: usize = 1024;
const SHORTEST_PERIOD: usize = if cfg!(leasehold_loom) { 16 } else { 1 };
/// Milliseconds between two looks at the clock, roughly.
const TICK: std::ops::RangeInclusive<u64> = 1..=8;

impl Shelf {
    fn new() -> Shelf {
        Shelf { top: AtomicUsize::new(0), slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())) }
    }

    // Relaxed, everywhere below: a shelf is one party's at a time, and passes on with `open_for`, `busy` or the books.

    fn len(&self) -> usize {
        self.top.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn pop(&self) -> Option<&'static Block> {
        let below = self.top.load(Ordering::Relaxed).wrapping_sub(1);
        let block = self.slots.get(below)?.load(Ordering::Relaxed);
        // SAFETY: put there by `push` or `fill`, as for all slots below `top` (R1).
        let block = unsafe { &*block };
        self.top.store(below, Ordering::Relaxed);
        Some(block)
    }

    #[inline(always)]
    fn push(&self, block: *mut Block) -> bool {
        let top = self.top.load(Ordering::Relaxed);
        let Some(slot) = self.slots.get(top) else { return false };
        slot.store(block, Ordering::Relaxed);
        self.top.store(top + 1, Ordering::Relaxed);
        true
    }

    /// Puts blocks on the shelf, which has room for them.
    fn fill(&self, blocks: &[&'static Block]) {
        let top = self.len();
        let filled = top + blocks.len();
        for (slot, block) in self.slots[top..filled].iter().zip(blocks) {
            slot.store(ptr::from_ref(*block).cast_mut(), Ordering::Relaxed);
        }
        self.top.store(filled, Ordering::Relaxed);
    }

    /// The lowest `count` blocks, which have lain there longest.
    fn lowest(&self, count: usize) -> impl Iterator<Item = &'static Block> {
        // SAFETY: put there by `push` or `fill`, as far as `top` (R1).
        self.slots[..count].iter().map(|slot| unsafe { &*slot.load(Ordering::Relaxed) })
    }

    /// Forgets the lowest `count` blocks: what lies above comes down.
    fn drop_lowest(&self, count: usize) {
        let top = self.len();
        for (to, from) in self.slots.iter().zip(&self.slots[count..top]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.top.store(top - count, Ordering::Relaxed);
    }
}

impl Cache {
    fn new(store: &Arc<Store>) -> Cache {
        let page = Page { period: 0, rents: 0, imported: 0, ticked: 0, swept: (0, 0) };
        Cache {
            open_for: AtomicPtr::new(ptr::null_mut()),
            busy: AtomicUsize::new(0),
            last: AtomicPtr::new(ptr::null_mut()),
            now: AtomicU64::new(0),
            until_tick: std::array::from_fn(|_| AtomicUsize::new(0)),
            shelves: std::array::from_fn(|_| Shelf::new()),
            books: Mutex::new(Books([page; CACHED_CLASSES])),
            store: Arc::downgrade(store),
        }
    }
}

/// For a block that the ledger has, as it has all that are idle.
#[inline(always)]
pub(super) fn class_of_block(block: &'static Block) -> usize {
    // SAFETY: its source stays as it is until it is taken out of the ledger.
    unsafe { block.source() }.len
}

/// A block that this thread keeps, if its cache is that of `store` and nobody claims it.
#[inline(always)]
pub(super) fn take(store: &Store, class: usize) -> Option<&'static Block> {
    let cache = last()?;
    let block = if cache.enter(&store.kept) { cache.take(class) } else { None };
    cache.leave();
    block
}

/// Keeps a block. False, with everything as before, when it is not one that the cache takes, its shelf is full or the cache
/// is claimed.
///
/// # Safety
/// The caller holds the block exclusively (R2), and gives it up if it is kept.
#[inline(always)]
pub(in crate::raw) unsafe fn keep(block: &'static Block) -> bool {
    let Some(cache) = last() else { return false };
    // SAFETY: the caller's promise.
    let kind = unsafe { block.source() }.kind;
    let kept = cache.enter(kind) && cache.keep(block);
    cache.leave();
    kept
}

impl Cache {
    /// Begins a fast path. Tells whether it may go on.
    #[inline(always)]
    fn enter(&self, kind: *const Kind) -> bool {
        // Relaxed: ordered before the load by the light fence.
        self.busy.store(1, Ordering::Relaxed);
        fence::light();
        // Relaxed: null is a claimant's, whose fence makes us see it. Anything else is our own, stored under the books, by
        // which the shelves came back to us.
        ptr::eq(self.open_for.load(Ordering::Relaxed), kind)
    }

    #[inline(always)]
    fn leave(&self) {
        // Release: pairs with the Acquire in `claim`: the claimant sees what we did to the shelves.
        self.busy.store(0, Ordering::Release);
    }

    // Relaxed, below: as for shelves.

    #[inline(always)]
    fn take(&self, class: usize) -> Option<&'static Block> {
        let until_tick = self.until_tick.get(class)?;
        // At zero it is time to look at the clock.
        let until = until_tick.load(Ordering::Relaxed).checked_sub(1)?;
        let block = match self.last() {
            Some(last) if class_of_block(last) == class => {
                self.last.store(ptr::null_mut(), Ordering::Relaxed);
                last
            }
            _ => self.shelves.get(class)?.pop()?,
        };
        until_tick.store(until, Ordering::Relaxed);
        block.stamp_rented(self.now.load(Ordering::Relaxed));
        Some(block)
    }

    #[inline(always)]
    fn last(&self) -> Option<&'static Block> {
        // SAFETY: put there by `keep` (R1).
        unsafe { self.last.load(Ordering::Relaxed).as_ref() }
    }

    /// Keeps the block as the last one, and the one that was it on its shelf.
    #[inline(always)]
    fn keep(&self, block: &'static Block) -> bool {
        if !self.last().is_none_or(|last| self.shelve(last)) {
            return false;
        }
        self.last.store(ptr::from_ref(block).cast_mut(), Ordering::Relaxed);
        true
    }

    #[inline(always)]
    fn shelve(&self, block: &'static Block) -> bool {
        self.shelves
            .get(class_of_block(block))
            .is_some_and(|shelf| shelf.push(ptr::from_ref(block).cast_mut()))
    }

    /// Lets the fast paths in. For the owning thread, when it has the books.
    fn open(&self, store: &Store) {
        if fence::is_asymmetric() {
            // Relaxed: see `enter`.
            self.open_for.store(ptr::from_ref(&store.kept).cast_mut(), Ordering::Relaxed);
        }
    }

    /// A block for a rent, from the shelf or from the depot behind it. For the owning thread.
    pub(super) fn take_slow(&self, store: &Store, class: usize) -> Option<&'static Block> {
        let mut books = lock(&self.books);
        if !store.lets_threads_keep() {
            return None;
        }
        self.open(store);
        if self.until_tick[class].load(Ordering::Relaxed) == 0 {
            let now = clock::now();
            // Never back: see `Store::draw_line`.
            self.now.store(now.max(self.now.load(Ordering::Relaxed)), Ordering::Relaxed);
            books.0[class].wind_up(&self.until_tick[class], now);
        }
        if let Some(block) = self.take(class) {
            return Some(block);
        }
        let taken = store.take_idle(class, EXCHANGED, |blocks| self.shelves[class].fill(blocks));
        books.0[class].imported += taken as i64;
        self.take(class)
    }

    /// Keeps a block that comes back, and sends the lower half of a full shelf to the depot. False when nothing is to be kept.
    /// For the owning thread.
    pub(super) fn keep_slow(&self, store: &Store, block: &'static Block, class: usize) -> bool {
        let mut books = lock(&self.books);
        if !store.lets_threads_keep() {
            return false;
        }
        self.open(store);
        if self.keep(block) {
            return true;
        }
        let full = self.last().map_or(class, class_of_block);
        self.send_lowest(store, full, EXCHANGED, &mut books);
        self.keep(block)
    }

    /// Notes that this thread has rented a block that did not come from here, so that its return is no surprise.
    pub(super) fn note_import(&self, class: usize) {
        lock(&self.books).0[class].imported += 1;
    }

    fn send_lowest(&self, store: &Store, class: usize, count: usize, books: &mut Books) {
        books.0[class].imported -= count as i64;
        let shelf = &self.shelves[class];
        store.put_idle(class, count, shelf.lowest(count));
        shelf.drop_lowest(count);
    }

    /// Puts the last block where the others are.
    fn clear_last(&self, store: &Store, books: &mut Books) {
        let Some(last) = self.last() else { return };
        if !self.shelve(last) {
            self.send_lowest(store, class_of_block(last), 1, books);
            let shelved = self.shelve(last);
            debug_assert!(shelved, "there is room now");
        }
        self.last.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Moves everything to the depots.
    fn empty(&self, store: &Store, books: &mut Books) {
        self.clear_last(store, books);
        for class in 0..CACHED_CLASSES {
            let len = self.shelves[class].len();
            if len > 0 {
                self.send_lowest(store, class, len, books);
            }
        }
    }
}

impl Page {
    /// Says how many rents follow until it is time to look at the clock again.
    fn wind_up(&mut self, until_tick: &AtomicUsize, now: u64) {
        self.rents += self.period as u64;
        let passed = now.saturating_sub(self.ticked);
        self.period = match passed {
            _ if passed < *TICK.start() => self.period.saturating_mul(4).min(LONGEST_PERIOD),
            _ if passed > *TICK.end() => self.period / 4,
            _ => self.period,
        }
        .max(SHORTEST_PERIOD);
        self.ticked = now;
        until_tick.store(self.period, Ordering::Relaxed);
    }
}

/// Claims every cache of `store` and does `work` with the shelves. The fast paths of a claimed cache fail until its thread
/// comes by a slow one.
fn claim_all(store: &Store, mut work: impl FnMut(&Cache, &mut Books)) {
    let caches = lock(&store.caches);
    let mut books: Vec<_> = caches.iter().map(|cache| lock(&cache.books)).collect();
    let own = LAST.with(Cell::get);
    let mut barrier = false;
    for cache in caches.iter() {
        // Relaxed: ordered by the heavy fence that follows.
        let open = !cache.open_for.load(Ordering::Relaxed).is_null();
        cache.open_for.store(ptr::null_mut(), Ordering::Relaxed);
        barrier |= open && !ptr::eq(Arc::as_ptr(cache), own);
    }
    if barrier {
        // Of the Dekker handshake with the light fence in `enter`. Caches are open only where fences are asymmetric.
        fence::heavy();
    }
    for (cache, books) in caches.iter().zip(&mut books) {
        // Acquire: pairs with the Release in `leave`.
        while cache.busy.load(Ordering::Acquire) != 0 {
            yield_now();
        }
        work(cache, books);
    }
}

/// Moves what all threads keep to themselves to the depots.
pub(super) fn empty_all(store: &Store) {
    claim_all(store, |cache, books| cache.empty(store, books));
}

/// Moves what has not been used since the last call to the depots.
pub(super) fn sweep_all(store: &Store) {
    claim_all(store, |cache, books| {
        cache.clear_last(store, books);
        for class in 0..CACHED_CLASSES {
            let shelf = &cache.shelves[class];
            let len = shelf.len();
            let seen = (cache.until_tick[class].load(Ordering::Relaxed), shelf.top.load(Ordering::Relaxed));
            if len > 0 && books.0[class].swept == seen {
                cache.send_lowest(store, class, len, books);
            }
            let top = shelf.top.load(Ordering::Relaxed);
            books.0[class].swept = (seen.0, top);
        }
    });
}

/// What the caches of a store have seen of a class, and hold.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) idle: usize,
    pub(super) rents: u64,
    /// Blocks that threads hold or gave to depots beyond those that they got there: net, so what a thread rented and another
    /// returned makes up for what it returned for another.
    pub(super) foreign: u64,
}

/// Without claiming: what threads do meanwhile is seen or not.
pub(super) fn survey(store: &Store) -> [Seen; CACHED_CLASSES] {
    let mut seen = *lock(&store.departed);
    for cache in lock(&store.caches).iter() {
        let books = lock(&cache.books);
        // Its thread may be renting it, or it may be gone.
        let last = store.class_if_known(cache.last.load(Ordering::Relaxed));
        cache.add_to(&mut seen, &books, last);
    }
    seen
}

impl Cache {
    /// `last` is the class of the last block, if there is one.
    fn add_to(&self, seen: &mut [Seen; CACHED_CLASSES], books: &Books, last: Option<usize>) {
        for (class, (seen, page)) in seen.iter_mut().zip(&books.0).enumerate() {
            let shelf = &self.shelves[class];
            let len = shelf.len() + usize::from(last == Some(class));
            seen.idle += len;
            seen.rents += page.rents + (page.period - self.until_tick[class].load(Ordering::Relaxed)) as u64;
            seen.foreign += (len as i64 - page.imported).max(0) as u64;
        }
    }

    fn blocks(&self) -> impl Iterator<Item = *const Block> {
        let blocks = |shelf: &Shelf| {
            shelf.slots[..shelf.len()]
                .iter()
                .map(|slot| slot.load(Ordering::Relaxed).cast_const())
                .collect::<Vec<_>>()
        };
        self.shelves.iter().flat_map(blocks).chain(self.last().map(ptr::from_ref))
    }
}

/// What all threads keep to themselves. Rents from here on are stamped with `now` or later.
pub(super) fn blocks(store: &Store, now: u64) -> HashSet<*const Block> {
    let mut found = HashSet::new();
    claim_all(store, |cache, _| {
        cache.now.store(now, Ordering::Relaxed);
        found.extend(cache.blocks());
    });
    found
}

#[cfg(not(leasehold_loom))]
thread_local! {
    /// The cache this thread used last; null when there is none. Without a destructor, so that it can be read when
    /// other thread-locals are destroyed.
    static LAST: Cell<*const Cache> = const { Cell::new(ptr::null()) };
    static RECENT: Recent = const { Recent::new() };
    static CACHES: Caches = const { Caches(Cell::new(Vec::new())) };
}

#[cfg(leasehold_loom)]
thread_local! {
    static LAST: Cell<*const Cache> = Cell::new(ptr::null());
    static RECENT: Recent = Recent::new();
    static CACHES: Caches = Caches(Cell::new(Vec::new()));
}

/// The caches that a thread uses in turns, beside their stores. Emptied before a cache is let go.
struct Recent {
    places: [Cell<(*const Store, *const Cache)>; RECENT_STORES],
    next: Cell<usize>,
}

/// Stores that a thread changes between without a search.
const RECENT_STORES: usize = 4;

impl Recent {
    const NOWHERE: (*const Store, *const Cache) = (ptr::null(), ptr::null());

    const fn new() -> Recent {
        Recent { places: [const { Cell::new(Recent::NOWHERE) }; RECENT_STORES], next: Cell::new(0) }
    }

    #[inline]
    fn find(&self, store: *const Store) -> Option<*const Cache> {
        let place = self.places.iter().find(|place| ptr::eq(place.get().0, store))?;
        Some(place.get().1)
    }

    /// Puts a cache that is not there in the place of the one that came first.
    fn enter(&self, store: *const Store, cache: *const Cache) {
        let next = self.next.get();
        self.places[next].set((store, cache));
        self.next.set((next + 1) % RECENT_STORES);
    }

    fn clear(&self) {
        self.places.iter().for_each(|place| place.set(Recent::NOWHERE));
    }
}

/// The caches of a thread. Only here are caches let go: when their store is gone, and when the thread ends.
struct Caches(Cell<Vec<Arc<Cache>>>);

/// The cache this thread used last.
#[inline(always)]
fn last<'a>() -> Option<&'a Cache> {
    // SAFETY: `LAST` is null or points to a cache in `CACHES`, which lets it go only after `LAST` was changed; nothing that
    // is called while the reference lives gets there.
    unsafe { LAST.with(Cell::get).as_ref() }
}

/// Leads the fast paths to this thread's cache of `store`, for threads that use several stores in turns. Tells whether they
/// were led there just now.
#[inline]
pub(super) fn reselect(store: *const Store) -> bool {
    let found = RECENT.with(|recent| recent.find(store));
    let Some(cache) = found else { return false };
    LAST.with(|last| last.replace(cache)) != cache
}

/// This thread's cache of `store`, which the fast paths find from here on. `None` while the thread is ending.
pub(super) fn select(store: &Arc<Store>) -> Option<&Cache> {
    let selected = last().filter(|cache| cache.is_of(store));
    selected.or_else(|| find(store))
}

#[cold]
fn find(store: &Arc<Store>) -> Option<&Cache> {
    fence::decide();
    let found = CACHES.try_with(|Caches(caches)| {
        let mut all = caches.take();
        // A store without an owner has no blocks, hence its cache is empty.
        let is_gone = |cache: &Arc<Cache>| cache.store.strong_count() == 0;
        if all.iter().any(is_gone) {
            forget_all();
            all.retain(|cache| !is_gone(cache));
        }
        let known = all.iter().find(|cache| cache.is_of(store)).map(Arc::as_ptr);
        let cache = known.unwrap_or_else(|| {
            let made = Arc::new(Cache::new(store));
            let cache = Arc::as_ptr(&made);
            lock(&store.caches).push(Arc::clone(&made));
            all.push(made);
            cache
        });
        caches.set(all);
        RECENT.with(|recent| recent.enter(Arc::as_ptr(store), cache));
        LAST.with(|last| last.set(cache));
        cache
    });
    // SAFETY: it is in `CACHES` for as long as its store has an owner, which the caller has, and the thread goes on.
    found.ok().map(|cache| unsafe { &*cache })
}

/// Leads the fast paths nowhere, since caches are about to be let go.
fn forget_all() {
    LAST.with(|last| last.set(ptr::null()));
    RECENT.with(Recent::clear);
}

#[cfg(not(leasehold_loom))]
impl Drop for Caches {
    fn drop(&mut self) {
        self.part();
    }
}

impl Caches {
    /// Gives up what this thread keeps. It ends.
    fn part(&self) {
        forget_all();
        self.0.take().into_iter().for_each(|cache| cache.part());
    }
}

/// Models end their threads by hand: loom destroys thread-locals in an order of its own.
#[cfg(leasehold_loom)]
pub(super) fn detach() {
    CACHES.with(Caches::part);
}

impl Cache {
    fn is_of(&self, store: &Arc<Store>) -> bool {
        ptr::eq(self.store.as_ptr(), Arc::as_ptr(store))
    }

    /// Gives everything up. The thread ends.
    fn part(&self) {
        let Some(store) = self.store.upgrade() else { return };
        {
            let mut books = lock(&self.books);
            self.empty(&store, &mut books);
            self.add_to(&mut lock(&store.departed), &books, None);
        }
        lock(&store.caches).retain(|cache| !ptr::eq(Arc::as_ptr(cache), self));
        store.settle_returns();
    }
}
