//! What a thread keeps to itself: a stack of idle blocks per class.
//!
//! The thread puts blocks in and takes them out without atomic instructions, each with one store to one cell, and no other
//! thread ever stores to these cells. Whoever else wants what is kept (a trim, a pool that is out of budget, the sweep of idle
//! memory) closes the cache in a Dekker handshake, as a revoker ends a lease, and writes down in its books what it found:
//! ```text
//! owning thread                        claimant
//!   one store: a block goes in or out    open_for = nobody
//!   light fence                          heavy fence
//!   still open for my store? -> done     all that is in goes into the books
//!   else: did the books see it?
//! ```
//! From then on the books say what is in, until the owning thread comes by a slow path. So nobody waits for a thread that was
//! interrupted on a fast path: it learns from the books whether its store came in time.

use std::cell::Cell;
use std::collections::HashSet;
use std::mem::offset_of;
use std::ptr;
use std::sync::{Arc, Weak};

use super::Store;
use super::class::class_of;
use crate::raw::block::{Block, Kind, Source};
use crate::raw::{clock, fence};
use crate::sync::{AtomicPtr, AtomicU64, Mutex, Ordering, lock, thread_local};

/// The largest class a thread keeps to itself; larger blocks go straight to the depot. Fewer where every step is dear.
const CACHED_MAX: usize = if cfg!(leasehold_loom) {
    64
} else if cfg!(miri) {
    4 << 10
} else {
    1 << 20
};
pub(super) const CACHED_CLASSES: usize = class_of(CACHED_MAX) + 1;
/// Blocks of a class that a thread keeps, at the most: the one in front and a full shelf.
const KEPT: usize = if cfg!(leasehold_loom) {
    2
} else if cfg!(miri) {
    16
} else {
    128
};
const SHELF: usize = KEPT - 1;
/// How many blocks of a class go to the depot, or come from there, at a time. A thread that rents up to this many and gives
/// them all back, again and again, comes to do without the depot: it has room for them on top of what it got there.
const EXCHANGED: usize = KEPT / 2;

/// A kind for each class that threads keep. What is kept is known by it, class and store at once.
pub(super) type Kinds = [Kind; CACHED_CLASSES];

const _: () = assert!(offset_of!(Store, kept) == 0, "a store begins with its kinds");

/// What one thread keeps of one store.
#[repr(C, align(128))]
pub(super) struct Cache {
    /// The store that the fast paths serve. Null once the cache is claimed, until its thread comes by a slow path, and where it
    /// is to stay closed.
    open_for: AtomicPtr<Store>,
    /// The time, in milliseconds, when the thread last looked at the clock.
    now: AtomicU64,
    /// A block in front of the shelves; null when it is out. Most rents follow the return of a block of the same class. A guess
    /// at that, which the processor makes, takes everything but this pointer off the way from one rent to the next.
    front: AtomicPtr<Block>,
    /// The kind of the block that is in front, or was there last. Only the owning thread asks.
    front_kind: AtomicPtr<Kind>,
    /// The [`Level`] of each class.
    levels: [AtomicU64; CACHED_CLASSES],
    shelves: [Shelf; CACHED_CLASSES],
    /// Held by whoever does anything outside of the fast paths.
    books: Mutex<Books>,
    /// Whose cache it is. Not counted: blocks keep their store, and a cache without blocks has no need of it.
    store: Weak<Store>,
}

/// The blocks behind the one in front, as many as the level says.
type Shelf = [AtomicPtr<Block>; SHELF];

/// In the low half how many rents it is until the thread looks at the clock, in the high half how many blocks are on a shelf.
#[derive(Clone, Copy)]
struct Level(u64);

/// What is known with the lock.
struct Books {
    /// The block in front while the cache is closed.
    front: Option<&'static Block>,
    /// Whether there was one when it was closed.
    found_front: bool,
    pages: [Page; CACHED_CLASSES],
}

/// What is known of a class.
#[derive(Clone, Copy)]
struct Page {
    /// Blocks on the shelf while the cache is closed.
    shelved: usize,
    /// Blocks on the shelf when it was closed.
    found: usize,
    /// How many rents it was until the next look at the clock after the last one.
    period: u64,
    /// Rents before that.
    rents: u64,
    /// Blocks that came from the depot or were fresh, less those that went there.
    imported: i64,
    /// Time of the last tick.
    ticked: u64,
    /// Rents until the tick, and blocks, in the last sweep.
    swept: (u64, usize),
}

/// Rents between two looks at the clock, at the most. A thread that rents rarely looks each time.
const LONGEST_PERIOD: u64 = 1024;
const SHORTEST_PERIOD: u64 = if cfg!(leasehold_loom) { 16 } else { 1 };
/// Milliseconds between two looks at the clock, roughly.
const TICK: std::ops::RangeInclusive<u64> = 1..=8;

impl Level {
    const BLOCK: u64 = 1 << 32;

    fn new(shelved: usize, until_tick: u64) -> Level {
        Level(shelved as u64 * Level::BLOCK + until_tick)
    }

    #[inline(always)]
    fn shelved(self) -> usize {
        (self.0 / Level::BLOCK) as usize
    }

    #[inline(always)]
    fn until_tick(self) -> u64 {
        self.0 % Level::BLOCK
    }

    /// After a rent, when it is not time to look at the clock.
    #[inline(always)]
    fn rented(self) -> Level {
        Level(self.0 - 1)
    }

    #[inline(always)]
    fn popped(self) -> Level {
        Level(self.0 - Level::BLOCK)
    }

    #[inline(always)]
    fn pushed(self) -> Level {
        Level(self.0 + Level::BLOCK)
    }
}

impl Cache {
    fn new(store: &Arc<Store>) -> Cache {
        let page = Page { shelved: 0, found: 0, period: 0, rents: 0, imported: 0, ticked: 0, swept: (0, 0) };
        let nothing = || AtomicPtr::new(ptr::null_mut());
        Cache {
            open_for: AtomicPtr::new(ptr::null_mut()),
            now: AtomicU64::new(0),
            front: nothing(),
            front_kind: AtomicPtr::new(ptr::null_mut()),
            levels: std::array::from_fn(|_| AtomicU64::new(0)),
            shelves: std::array::from_fn(|_| std::array::from_fn(|_| nothing())),
            books: Mutex::new(Books { front: None, found_front: false, pages: [page; CACHED_CLASSES] }),
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

/// A block that this thread keeps, if its cache is that of `store` and open.
#[inline(always)]
pub(super) fn take(store: &Store, class: usize) -> Option<&'static Block> {
    last()?.take(store, class)
}

/// Keeps a block. False when it is not one that the cache takes, there is no room, or the cache is closed.
///
/// # Safety
/// The caller holds the block exclusively (R2), and gives it up if it is kept.
#[inline(always)]
pub(in crate::raw) unsafe fn keep(block: &'static Block) -> bool {
    let Some(cache) = last() else { return false };
    // SAFETY: the caller's promise.
    unsafe { cache.keep(block) }
}

impl Cache {
    // Relaxed, below: cells are the owning thread's. Release where a block goes in: pairs with the Acquire where a claimant
    // finds it, for what the last tenant wrote.

    #[inline(always)]
    fn take(&self, store: &Store, class: usize) -> Option<&'static Block> {
        let (kind, level) = (store.kept.get(class)?, self.levels.get(class)?);
        // Before the store: a rent that is in time for whoever draws a line has a time before it.
        let now = self.now.load(Ordering::Relaxed);
        let before = Level(level.load(Ordering::Relaxed));
        if before.until_tick() == 0 {
            return None;
        }
        let front = self.front.load(Ordering::Relaxed);
        let (taken, after) = if !front.is_null() && ptr::eq(self.front_kind.load(Ordering::Relaxed), kind) {
            self.front.store(ptr::null_mut(), Ordering::Relaxed);
            (front, before.rented())
        } else {
            // Relaxed: our own, or null, which is looked for again.
            if !ptr::eq(self.open_for.load(Ordering::Relaxed), store) {
                return None;
            }
            let below = before.shelved().wrapping_sub(1);
            (self.shelves.get(class)?.get(below)?.load(Ordering::Relaxed), before.rented().popped())
        };
        level.store(after.0, Ordering::Relaxed);
        if !self.is_still_open() && !self.took_in_time(taken, class, before, after) {
            return None;
        }
        // SAFETY: put there by `put` or with the books (R1).
        let block = unsafe { &*taken };
        block.stamp_rented(now);
        Some(block)
    }

    /// # Safety
    /// As [`keep`](fn@keep).
    #[inline(always)]
    unsafe fn keep(&self, block: &'static Block) -> bool {
        // SAFETY: the caller's promise.
        let source = unsafe { block.source() };
        if !ptr::eq(self.front_kind.load(Ordering::Relaxed), source.kind) {
            // SAFETY: as above.
            return unsafe { self.keep_another(block) };
        }
        self.put(block, source.len)
    }

    /// Keeps a block when the last one in front was of another class, or of another store. A call, so that `keep` is small enough
    /// to be inlined where an owner is dropped.
    ///
    /// # Safety
    /// As [`keep`](fn@keep).
    #[inline(never)]
    unsafe fn keep_another(&self, block: &'static Block) -> bool {
        // SAFETY: the caller's promise.
        let &Source { kind, len: class, .. } = unsafe { block.source() };
        // Relaxed: as in `take`.
        let store = self.open_for.load(Ordering::Relaxed);
        // What lies in the place of a store's kinds is one of them.
        if store.is_null() || kind.addr().wrapping_sub(store.addr()) >= size_of::<Kinds>() {
            return false;
        }
        if self.front.load(Ordering::Relaxed).is_null() {
            self.front_kind.store(kind.cast_mut(), Ordering::Relaxed);
        }
        self.put(block, class)
    }

    #[inline(always)]
    fn put(&self, block: &'static Block, class: usize) -> bool {
        let kept = ptr::from_ref(block).cast_mut();
        if self.front.load(Ordering::Relaxed).is_null() {
            self.front.store(kept, Ordering::Release);
        } else {
            let (Some(level), Some(shelf)) = (self.levels.get(class), self.shelves.get(class)) else {
                return false;
            };
            let before = Level(level.load(Ordering::Relaxed));
            let Some(slot) = shelf.get(before.shelved()) else { return false };
            slot.store(kept, Ordering::Relaxed);
            level.store(before.pushed().0, Ordering::Release);
        }
        self.is_still_open() || self.put_in_time(kept, class)
    }

    /// Whether what was stored before this is in time: whoever claims the cache finds it.
    #[inline(always)]
    fn is_still_open(&self) -> bool {
        // Of the Dekker handshake with the heavy fence in `claim_all`.
        fence::light();
        // Relaxed: ordered by the fence.
        !self.open_for.load(Ordering::Relaxed).is_null()
    }

    // What a claimant found that closed the cache. A store that came too late for it is taken back, so that while the cache is
    // closed the cells say what was found, and every store is too late.

    /// Whether a block was not found that had been taken.
    #[cold]
    #[inline(never)]
    fn took_in_time(&self, taken: *mut Block, class: usize, before: Level, after: Level) -> bool {
        let books = lock(&self.books);
        let was_front = after.shelved() == before.shelved();
        let in_time =
            if was_front { !books.found_front } else { books.pages[class].found == after.shelved() };
        if !in_time {
            self.set_level(class, before);
            if was_front {
                self.front.store(taken, Ordering::Relaxed);
            }
        }
        in_time
    }

    /// Whether a block was found that had been put in.
    #[cold]
    #[inline(never)]
    fn put_in_time(&self, kept: *mut Block, class: usize) -> bool {
        let books = lock(&self.books);
        let level = self.level(class);
        if level.shelved() > books.pages[class].found {
            self.set_level(class, level.popped());
            return false;
        }
        // Where one was found in front this one is not there, although it may be the very block that was found, come again.
        if !books.found_front && ptr::eq(self.front.load(Ordering::Relaxed), kept) {
            self.front.store(ptr::null_mut(), Ordering::Relaxed);
            return false;
        }
        true
    }

    // With the books. What follows is for who claimed the cache, and for the owning thread.

    fn is_open(&self) -> bool {
        // Relaxed: changed with the books only.
        !self.open_for.load(Ordering::Relaxed).is_null()
    }

    fn level(&self, class: usize) -> Level {
        // Relaxed: the owning thread's own, or a figure for statistics.
        Level(self.levels[class].load(Ordering::Relaxed))
    }

    /// What the cell of an open cache says.
    fn shelved(&self, class: usize) -> usize {
        // Acquire: pairs with the Release in `put`.
        Level(self.levels[class].load(Ordering::Acquire)).shelved()
    }

    /// What the cell of an open cache says.
    fn front(&self) -> Option<&'static Block> {
        // SAFETY: put there by `put` (R1). Acquire: pairs with the Release there.
        unsafe { self.front.load(Ordering::Acquire).as_ref() }
    }

    /// Writes down what is in an open cache that has just been closed.
    fn write_down(&self, books: &mut Books) {
        for (class, page) in books.pages.iter_mut().enumerate() {
            page.found = self.shelved(class);
            page.shelved = page.found;
        }
        books.front = self.front();
        books.found_front = books.front.is_some();
    }

    /// Does `work` with the page of a class, which says meanwhile what is on the shelf, and lets the fast paths in. The block in
    /// front goes where the others are, to make way for those of a class that is rented now. `None` when threads are to keep
    /// nothing. For the owning thread.
    fn attend<R>(&self, store: &Store, class: usize, work: impl FnOnce(&mut Page) -> R) -> Option<R> {
        let books = &mut *lock(&self.books);
        // With the books: whoever takes everything back says so first.
        if !store.lets_threads_keep() {
            return None;
        }
        let was_open = self.is_open();
        if was_open {
            books.front = self.front();
            self.front.store(ptr::null_mut(), Ordering::Relaxed);
            books.pages[class].shelved = self.shelved(class);
        }
        if let Some(front) = books.front.take() {
            let class = class_of_block(front);
            let page = &mut books.pages[class];
            if was_open {
                page.shelved = self.shelved(class);
            }
            self.push(store, class, page, front);
            self.publish(class, page);
        }
        let result = work(&mut books.pages[class]);
        self.publish(class, &books.pages[class]);
        if !was_open && fence::is_asymmetric() {
            for (class, page) in books.pages.iter().enumerate() {
                self.publish(class, page);
            }
            self.front.store(ptr::null_mut(), Ordering::Relaxed);
            // Relaxed: read by this thread, and with the books.
            self.open_for.store(ptr::from_ref(store).cast_mut(), Ordering::Relaxed);
        }
        Some(result)
    }

    /// For the owning thread.
    fn publish(&self, class: usize, page: &Page) {
        self.set_level(class, Level::new(page.shelved, self.level(class).until_tick()));
    }

    /// For the owning thread.
    fn set_level(&self, class: usize, level: Level) {
        // Relaxed: see `take`.
        self.levels[class].store(level.0, Ordering::Relaxed);
    }

    /// A block for a rent, from here or from the depot behind. For the owning thread.
    pub(super) fn take_slow(&self, store: &Store, class: usize) -> Option<&'static Block> {
        let taken = self.attend(store, class, |page| {
            let mut until_tick = self.level(class).until_tick();
            if until_tick == 0 {
                let now = clock::now();
                // Never back: see `Store::draw_line`.
                self.now.store(now.max(self.now.load(Ordering::Relaxed)), Ordering::Relaxed);
                until_tick = page.wind_up(now);
            }
            if page.shelved == 0 {
                page.shelved = store.take_idle(class, EXCHANGED, |blocks| self.fill(class, blocks));
                page.imported += page.shelved as i64;
            }
            let rented = page.shelved.checked_sub(1);
            if let Some(below) = rented {
                page.shelved = below;
                until_tick -= 1;
            }
            self.set_level(class, Level::new(page.shelved, until_tick));
            let block = self.block(class, rented?);
            block.stamp_rented(self.now.load(Ordering::Relaxed));
            Some(block)
        });
        taken.flatten()
    }

    /// Keeps a block that comes back. False when nothing is to be kept. For the owning thread.
    pub(super) fn keep_slow(&self, store: &Store, block: &'static Block, class: usize) -> bool {
        self.attend(store, class, |page| self.push(store, class, page, block)).is_some()
    }

    /// Notes that this thread has rented a block that did not come from here, so that its return is no surprise.
    pub(super) fn note_import(&self, class: usize) {
        lock(&self.books).pages[class].imported += 1;
    }

    /// The block at a place below the level.
    fn block(&self, class: usize, place: usize) -> &'static Block {
        // SAFETY: put there by `put`, `push` or `fill`, as all below the level (R1).
        unsafe { &*self.shelves[class][place].load(Ordering::Relaxed) }
    }

    /// Puts a block on its shelf. Sends the lower half of a full shelf to the depot.
    fn push(&self, store: &Store, class: usize, page: &mut Page, block: &'static Block) {
        if page.shelved == SHELF {
            self.send_lowest(store, class, page, EXCHANGED);
        }
        self.shelves[class][page.shelved].store(ptr::from_ref(block).cast_mut(), Ordering::Relaxed);
        page.shelved += 1;
    }

    /// Puts blocks on an empty shelf.
    fn fill(&self, class: usize, blocks: &[&'static Block]) {
        for (slot, block) in self.shelves[class].iter().zip(blocks) {
            slot.store(ptr::from_ref(*block).cast_mut(), Ordering::Relaxed);
        }
    }

    /// Sends the lowest `count` blocks of a shelf, which have lain there longest, to the depot; what lies above comes down.
    fn send_lowest(&self, store: &Store, class: usize, page: &mut Page, count: usize) {
        page.imported -= count as i64;
        store.put_idle(class, count, (0..count).map(|place| self.block(class, place)));
        let shelf = &self.shelves[class];
        for (to, from) in shelf.iter().zip(&shelf[count..page.shelved]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        page.shelved -= count;
    }

    /// Sends what is on a shelf to the depot.
    fn send_shelf(&self, store: &Store, class: usize, page: &mut Page) {
        if page.shelved > 0 {
            self.send_lowest(store, class, page, page.shelved);
        }
    }

    /// Sends the block in front to the depot. For who claimed the cache, as all that follow.
    fn send_front(&self, store: &Store, books: &mut Books) {
        if let Some(front) = books.front.take() {
            let class = class_of_block(front);
            books.pages[class].imported -= 1;
            store.put_idle(class, 1, [front]);
        }
    }

    /// Moves everything to the depots.
    fn empty(&self, store: &Store, books: &mut Books) {
        self.send_front(store, books);
        books.pages.iter_mut().enumerate().for_each(|(class, page)| self.send_shelf(store, class, page));
    }

    /// Moves what has not been used since the last call to the depots.
    fn sweep(&self, store: &Store, books: &mut Books) {
        self.send_front(store, books);
        for (class, page) in books.pages.iter_mut().enumerate() {
            let until_tick = self.level(class).until_tick();
            if page.swept == (until_tick, page.shelved) {
                self.send_shelf(store, class, page);
            }
            page.swept = (until_tick, page.shelved);
        }
    }

    fn blocks(&self, books: &Books) -> Vec<*const Block> {
        let of_class =
            |(class, page): (usize, &Page)| (0..page.shelved).map(move |place| self.block(class, place));
        let shelved = books.pages.iter().enumerate().flat_map(of_class);
        shelved.chain(books.front).map(ptr::from_ref).collect()
    }
}

impl Page {
    /// Says how many rents follow until it is time to look at the clock again.
    fn wind_up(&mut self, now: u64) -> u64 {
        self.rents += self.period;
        let passed = now.saturating_sub(self.ticked);
        self.period = match passed {
            _ if passed < *TICK.start() => self.period.saturating_mul(4).min(LONGEST_PERIOD),
            _ if passed > *TICK.end() => self.period / 4,
            _ => self.period,
        }
        .max(SHORTEST_PERIOD);
        self.ticked = now;
        self.period
    }
}

/// Claims every cache of `store` and does `work` with the books, which say what there is. The fast paths of a claimed cache
/// fail until its thread comes by a slow one.
fn claim_all(store: &Store, mut work: impl FnMut(&Cache, &mut Books)) {
    let caches = lock(&store.caches);
    let mut books: Vec<_> = caches.iter().map(|cache| lock(&cache.books)).collect();
    let own = LAST.with(Cell::get);
    let open: Vec<_> = caches.iter().map(|cache| cache.is_open()).collect();
    let mut barrier = false;
    for (cache, _) in caches.iter().zip(&open).filter(|(_, open)| **open) {
        // Relaxed: ordered by the heavy fence that follows.
        cache.open_for.store(ptr::null_mut(), Ordering::Relaxed);
        barrier |= !ptr::eq(Arc::as_ptr(cache), own);
    }
    if barrier {
        // Of the Dekker handshake with the light fence in `is_still_open`. Caches are open only where fences are asymmetric.
        fence::heavy();
    }
    for ((cache, books), open) in caches.iter().zip(&mut books).zip(open) {
        if open {
            cache.write_down(books);
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
    claim_all(store, |cache, books| cache.sweep(store, books));
}

/// What all threads keep to themselves. Rents from here on are stamped with `now` or later.
pub(super) fn blocks(store: &Store, now: u64) -> HashSet<*const Block> {
    let mut found = HashSet::new();
    claim_all(store, |cache, books| {
        cache.now.store(now, Ordering::Relaxed);
        found.extend(cache.blocks(books));
    });
    found
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
        cache.add_to(store, &mut seen, &lock(&cache.books));
    }
    seen
}

impl Cache {
    fn add_to(&self, store: &Store, seen: &mut [Seen; CACHED_CLASSES], books: &Books) {
        let is_open = self.is_open();
        // Its thread may be renting it, or it may be gone.
        let front = if is_open { self.front() } else { books.front };
        let front = front.and_then(|front| store.class_if_known(front));
        for (class, (seen, page)) in seen.iter_mut().zip(&books.pages).enumerate() {
            let shelved = if is_open { self.shelved(class) } else { page.shelved };
            let idle = shelved + usize::from(front == Some(class));
            seen.idle += idle;
            seen.rents += page.rents + page.period - self.level(class).until_tick();
            seen.foreign += (idle as i64 - page.imported).max(0) as u64;
        }
    }
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
            if self.is_open() {
                self.open_for.store(ptr::null_mut(), Ordering::Relaxed);
                self.write_down(&mut books);
            }
            self.empty(&store, &mut books);
            self.add_to(&store, &mut lock(&store.departed), &books);
        }
        lock(&store.caches).retain(|cache| !ptr::eq(Arc::as_ptr(cache), self));
        store.settle_returns();
    }
}
