//! Pooled memory: size classes, a cache per thread in front of common depots, and a ledger of what was taken from the
//! backing.
//!
//! ```text
//!   thread A            thread B
//!   [cache: shelves]    [cache: shelves]     a stack of blocks per class, no atomic instructions
//!          \               /
//!           half of a shelf at a time        pointers, never chained through the blocks
//!            \           /
//!        [depots: one per class]             a mutex each
//!                  |
//!              [ledger]                      budget, waiters, every block there is
//!                  |
//!              [backing]                     the heap, pages, shared memory ..
//! ```

mod cache;
mod census;
mod class;
mod depot;
mod events;
mod ledger;
mod watch;

use std::alloc::Layout;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::Pod;

use super::block::{Block, Kind, Site, Source, allocate, free};
use super::clock;
use super::owned::Owned;
use super::window::Window;
use crate::backing::Backing;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, lock};
pub(super) use cache::keep;
use cache::{CACHED_CLASSES, Cache, Kinds, Seen};
pub(crate) use census::{ClassCount, Outstanding};
pub(crate) use class::ALIGNMENT;
use class::{CLASSES, LARGEST, bytes_of, class_of};
use depot::Depot;
pub(super) use ledger::somebody_waits;
use ledger::{Ledger, Parent};
pub(crate) use ledger::{Queued, Shortage};
use watch::Watch;

/// What a store is made from.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) backing: Arc<dyn Backing>,
    /// A power of two, at least [`ALIGNMENT`].
    pub(crate) alignment: usize,
    /// Bytes that may be held altogether, rented and idle.
    pub(crate) budget: usize,
    /// Bytes that the depots keep; beyond that, what comes back goes to the backing.
    pub(crate) idle_limit: usize,
    /// Milliseconds after which idle memory goes to the backing; zero for never.
    pub(crate) decay: u64,
    pub(crate) zero_on_return: bool,
    /// Whether writes where no tenant is are looked for.
    pub(crate) poison: bool,
    /// Bytes that stay out of circulation when they have come back.
    pub(crate) quarantine: usize,
    /// Whether every rent has memory of its own, of exactly its size.
    pub(crate) exact: bool,
}

/// The common part of a pool. Each block of memory keeps it alive, so rents may outlive the pool.
#[repr(C)]
pub(crate) struct Store {
    /// Of the blocks that threads keep, by class. First: see `Cache::keep_another`.
    kept: Kinds,
    settings: Settings,
    /// Of the backing, which is asked once: layouts that depend on it must be the same at the end as at the beginning.
    granularity: usize,
    /// [`OPEN`], or why threads keep nothing to themselves.
    mode: AtomicUsize,
    /// When idle memory is looked through next.
    next_sweep: AtomicU64,
    idle_bytes: Contended,
    /// Where in its first page the next coloured block begins.
    colour: AtomicUsize,
    depots: Box<[Depot]>,
    caches: Mutex<Vec<Arc<Cache>>>,
    /// What the caches of threads that have ended had counted.
    departed: Mutex<[Seen; CACHED_CLASSES]>,
    ledger: Mutex<Ledger>,
    watch: Watch,
    /// Dropped with the store, hence after its last block.
    _parent: Option<Parent>,
}

/// What threads write in turns, on lines of its own: what lies beside it is read by all of them on every slow path.
#[repr(align(128))]
struct Contended(AtomicUsize);

impl Deref for Contended {
    type Target = AtomicUsize;

    fn deref(&self) -> &AtomicUsize {
        &self.0
    }
}

// A backing that panics leaves nothing half done here: it is called before or after the books are changed.
impl UnwindSafe for Store {}
impl RefUnwindSafe for Store {}

/// In [`Store::mode`]: somebody waits for memory.
const PRESSED: usize = 1;
/// In [`Store::mode`]: every return needs to be looked at.
const ATTENTIVE: usize = 2;
/// In [`Store::mode`]: the pool is gone; what comes back is freed.
const CLOSED: usize = 4;

/// Blocks from this size on, on the heap, do not all begin at the same place of a page: their first lines would compete
/// for the same few sets of the cache.
const COLOURED: usize = 128 << 10;
const PAGE: usize = 4096;

impl Store {
    pub(crate) fn new(settings: Settings) -> Arc<Store> {
        Store::with_parent(settings, None)
    }

    fn with_parent(settings: Settings, parent: Option<Parent>) -> Arc<Store> {
        let watch = Watch::new(&settings);
        let mode = if watch.is_attentive() || settings.exact { ATTENTIVE } else { 0 };
        Arc::new(Store {
            kept: [POOLED; CACHED_CLASSES],
            watch,
            mode: AtomicUsize::new(mode),
            next_sweep: AtomicU64::new(0),
            idle_bytes: Contended(AtomicUsize::new(0)),
            colour: AtomicUsize::new(0),
            depots: (0..CLASSES).map(|_| Depot::new()).collect(),
            caches: Mutex::new(Vec::new()),
            departed: Mutex::new([Seen::default(); CACHED_CLASSES]),
            ledger: Mutex::new(Ledger::new(settings.budget)),
            granularity: settings.backing.granularity(),
            settings,
            _parent: parent,
        })
    }

    /// Memory for `len` elements; fresh memory is zeroed, used memory keeps what was in it.
    #[inline]
    pub(crate) fn rent<T: Pod + Send>(
        self: &Arc<Self>,
        len: usize,
        site: Site,
    ) -> Result<Owned<T>, Shortage> {
        const {
            assert!(align_of::<T>() <= ALIGNMENT, "the element type wants more alignment than the pool gives")
        };
        // What is beyond all classes finds nothing here and is looked at more closely below.
        let class = len.checked_mul(size_of::<T>()).map_or(CLASSES, class_of);
        let block = match cache::take(self, class) {
            Some(block) => block,
            None => self.rent_slow(len.checked_mul(size_of::<T>()))?,
        };
        // SAFETY: the block is out of every list, hence ours alone (R2), and its class holds `len` elements.
        Ok(unsafe { tenant(block, len, site) })
    }

    /// The class for `len` elements.
    fn class_for<T>(&self, len: usize) -> Result<usize, Shortage> {
        self.class_for_bytes(len.checked_mul(size_of::<T>()))
    }

    /// With a backing that gives whole pages, a class of whole pages.
    #[cold]
    #[inline(never)]
    fn class_for_bytes(&self, bytes: Option<usize>) -> Result<usize, Shortage> {
        let bytes = bytes.filter(|&bytes| bytes <= LARGEST);
        let bytes = bytes.and_then(|bytes| bytes.max(1).checked_next_multiple_of(self.granularity));
        bytes.filter(|&bytes| bytes <= LARGEST).map(class_of).ok_or(Shortage::TooLarge)
    }

    #[cold]
    #[inline(never)]
    fn rent_slow(self: &Arc<Self>, bytes: Option<usize>) -> Result<&'static Block, Shortage> {
        let class = self.class_for_bytes(bytes)?;
        let bytes = bytes.ok_or(Shortage::TooLarge)?;
        // Again, since a rent from a pool of pages, or one of nothing, comes here with another class.
        cache::reselect(Arc::as_ptr(self));
        if let Some(block) = cache::take(self, class) {
            return Ok(block);
        }
        if self.has(PRESSED) {
            // Those who wait come first.
            return Err(Shortage::Exhausted);
        }
        let cache = if class < CACHED_CLASSES { cache::select(self) } else { None };
        if let Some(block) = cache.and_then(|cache| cache.take_slow(self, class)) {
            // A sweep calls the backing and subscribers, which may panic.
            let unclaimed = Unclaimed { store: self, class, block };
            self.sweep_if_due(block.rented_at());
            return Ok(unclaimed.claim());
        }
        let now = clock::now();
        self.sweep_if_due(now);
        let block = match self.pop_idle(class) {
            Some(block) => block,
            None => self.make(class, bytes)?,
        };
        self.watch.rent(block, bytes);
        block.stamp_rented(now);
        self.depot(class).count_rent();
        if let Some(cache) = cache {
            cache.note_import(class);
        }
        Ok(block)
    }

    /// Frees what is idle: in the depots and in the caches of all threads. Returns the bytes freed.
    pub(crate) fn trim(&self) -> usize {
        self.take_everything_back();
        self.discard_from_depots(Depot::empty)
    }

    /// Frees what has not been used since the last call, if that is long enough ago.
    fn sweep_if_due(&self, now: u64) {
        let decay = self.settings.decay;
        // Relaxed: who wins the exchange sweeps; nothing else is concluded.
        let due = self.next_sweep.load(Ordering::Relaxed);
        if decay == 0 || now < due {
            return;
        }
        let next = now + decay;
        let won = self.next_sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // The first look only starts the clock.
        if won && due != 0 {
            self.sweep();
        }
    }

    /// Frees what has not been used since the last call. Returns the bytes freed.
    pub(crate) fn sweep(&self) -> usize {
        cache::sweep_all(self);
        let bytes = self.discard_from_depots(Depot::sweep);
        events::swept(bytes);
        bytes
    }

    /// Takes `count` fresh blocks for `len` elements from the backing, ahead of time.
    pub(crate) fn reserve<T: Pod>(self: &Arc<Self>, len: usize, count: usize) -> Result<(), Shortage> {
        let class = self.class_for::<T>(len)?;
        for _ in 0..count {
            let block = self.make(class, bytes_of(class))?;
            self.put_idle(class, 1, [block]);
        }
        self.settle_returns();
        Ok(())
    }

    /// Called when the last handle of the pool is gone.
    pub(crate) fn close(&self) {
        // Relaxed: read under the locks of caches and depots, or as a hint.
        self.mode.fetch_or(CLOSED, Ordering::Relaxed);
        self.trim();
        lock(&self.caches).clear();
    }

    fn has(&self, mode: usize) -> bool {
        self.mode.load(Ordering::Relaxed) & mode != 0
    }

    fn is_closed(&self) -> bool {
        self.has(CLOSED)
    }

    /// Whether threads may keep blocks to themselves.
    fn lets_threads_keep(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == 0
    }

    fn depot(&self, class: usize) -> &Depot {
        &self.depots[class]
    }

    fn take_idle(&self, class: usize, count: usize, receive: impl FnOnce(&[&'static Block])) -> usize {
        let taken = self.depot(class).take(count, receive);
        self.idle_bytes.fetch_sub(taken * bytes_of(class), Ordering::Relaxed);
        taken
    }

    /// Puts blocks into a depot. The caller looks afterwards whether somebody waits.
    fn put_idle(&self, class: usize, count: usize, blocks: impl IntoIterator<Item = &'static Block>) {
        // Acquire: pairs with the Release in `look_for_room`, which whoever waits comes by after it has said so: we see
        // that, or that one, whose look is a write too, sees these bytes.
        self.idle_bytes.fetch_add(count * bytes_of(class), Ordering::Acquire);
        self.depot(class).put(blocks);
    }

    fn pop_idle(&self, class: usize) -> Option<&'static Block> {
        let mut popped = None;
        self.take_idle(class, 1, |blocks| popped = blocks.first().copied());
        popped
    }

    fn take_oldest(&self, class: usize, count: usize) -> Vec<&'static Block> {
        let taken = self.depot(class).take_oldest(count);
        self.idle_bytes.fetch_sub(taken.len() * bytes_of(class), Ordering::Relaxed);
        taken
    }

    /// To be called when something was put into a depot: frees what is more than depots may keep, and serves who waits.
    fn settle_returns(&self) {
        let limit = if self.is_closed() { 0 } else { self.settings.idle_limit };
        if self.idle_bytes.load(Ordering::Relaxed) > limit {
            self.shed(limit);
        }
        if self.has(PRESSED) {
            self.serve();
        }
    }

    /// Frees idle blocks, the largest first, until no more than `limit` bytes are left: a stock that is full of large blocks
    /// must not turn small ones away, which come and go more often and cost as much to make.
    #[cold]
    fn shed(&self, limit: usize) {
        for class in (0..CLASSES).rev() {
            let surplus = self.idle_bytes.load(Ordering::Relaxed).saturating_sub(limit);
            if surplus == 0 {
                return;
            }
            let oldest = self.take_oldest(class, surplus.div_ceil(bytes_of(class)));
            self.discard_all(class, oldest);
        }
    }

    /// Takes idle blocks out of each depot with `take` and frees them. Returns the bytes freed.
    fn discard_from_depots(&self, take: impl Fn(&Depot) -> Vec<&'static Block>) -> usize {
        let discard = |(class, depot)| {
            let blocks: Vec<_> = take(depot);
            self.idle_bytes.fetch_sub(blocks.len() * bytes_of(class), Ordering::Relaxed);
            self.discard_all(class, blocks)
        };
        self.depots.iter().enumerate().map(discard).sum()
    }

    /// A block of fresh, zeroed memory for a tenant of `bytes`.
    fn make(self: &Arc<Self>, class: usize, bytes: usize) -> Result<&'static Block, Shortage> {
        if !lock(&self.ledger).charge(class) {
            return Err(Shortage::Exhausted);
        }
        self.make_charged(class, bytes)
    }

    /// As [`make`](Self::make), when the budget is taken care of.
    fn make_charged(self: &Arc<Self>, class: usize, bytes: usize) -> Result<&'static Block, Shortage> {
        let room = if self.settings.exact {
            bytes.max(1).next_multiple_of(ALIGNMENT.max(self.granularity))
        } else {
            bytes_of(class)
        };
        // Also when the backing panics.
        let charge = Charge { store: self, class, serves: true };
        let memory = self.settings.backing.allocate(self.layout_of(room)).map_err(Shortage::Backing)?;
        let offset = if self.is_coloured(room) { self.next_colour() } else { 0 };
        let source = Source {
            kind: self.kept.get(class).unwrap_or(&LARGE),
            // SAFETY: the layout has a page to spare in front of a coloured block.
            base: unsafe { memory.add(offset) }.as_ptr().cast(),
            len: class,
            room,
            extra: Arc::into_raw(Arc::clone(self)).cast_mut().cast(),
        };
        let block = allocate();
        // SAFETY: a fresh block is exclusively ours, and the memory stays until `release_memory`.
        unsafe { block.settle(source) };
        std::mem::forget(charge);
        lock(&self.ledger).enter(block, class);
        // A subscriber may panic.
        let unclaimed = Unclaimed { store: self, class, block };
        events::made(class);
        Ok(unclaimed.claim())
    }

    /// What to ask of the backing for a block of `room` bytes.
    fn layout_of(&self, room: usize) -> Layout {
        let alignment = self.settings.alignment;
        let (size, alignment) = if self.is_coloured(room) { (room + PAGE, PAGE) } else { (room, alignment) };
        Layout::from_size_align(size, alignment).expect("the largest class is a valid layout")
    }

    fn is_coloured(&self, room: usize) -> bool {
        // Not under a budget, which the page to spare would count against.
        self.settings.alignment == ALIGNMENT
            && self.settings.budget == usize::MAX
            && self.granularity == 1
            && room >= COLOURED
            && !self.settings.exact
    }

    fn next_colour(&self) -> usize {
        // Relaxed: any spread will do.
        self.colour.fetch_add(ALIGNMENT, Ordering::Relaxed) % PAGE
    }

    /// Frees blocks of `class` that the caller took out of a depot, and serves who waits. Returns the bytes freed.
    fn discard_all(&self, class: usize, blocks: Vec<&'static Block>) -> usize {
        let bytes = blocks.len() * bytes_of(class);
        self.discard_quietly(class, blocks);
        if bytes > 0 && self.has(PRESSED) {
            self.serve();
        }
        bytes
    }

    /// As [`discard_all`](Self::discard_all), for who serves.
    fn discard_quietly(&self, class: usize, blocks: Vec<&'static Block>) {
        let mut discarding = Discarding { store: self, class, blocks };
        while let Some(block) = discarding.blocks.pop() {
            self.watch.discard(block);
            lock(&self.ledger).leave(block, class);
            let _charge = Charge { store: self, class, serves: false };
            // SAFETY: the block is out of its depot, hence ours alone (R2).
            unsafe { self.release_memory(block) };
        }
    }

    /// Frees the memory of an idle block, then its control block.
    ///
    /// # Safety
    /// The caller holds the block exclusively (R2) and gives it up; it is one of this store's.
    unsafe fn release_memory(&self, block: &'static Block) {
        // SAFETY: the hold is exclusive.
        let &Source { base, room, extra, .. } = unsafe { block.source() };
        // Also when the backing panics.
        // SAFETY: `make_charged` put the count there. It is not the last: the caller's reference has one of its own.
        let _count = unsafe { Arc::from_raw(extra.cast::<Store>()) };
        let offset = if self.is_coloured(room) { base.addr() % PAGE } else { 0 };
        // SAFETY: `make_charged` added the offset, to memory that begins at a page.
        let memory = unsafe { base.cast::<u8>().sub(offset) };
        // SAFETY: it came from a `NonNull`.
        let memory = unsafe { NonNull::new_unchecked(memory) };
        // SAFETY: allocated there with this layout; nobody else holds the block.
        unsafe { self.settings.backing.release(memory, self.layout_of(room)) };
        // SAFETY: the hold is exclusive and ends here.
        unsafe { free(block) };
    }
}

/// Bytes of the budget that are given back when it is dropped.
struct Charge<'a> {
    store: &'a Store,
    class: usize,
    /// Whether who waits is served with them at once.
    serves: bool,
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        lock(&self.store.ledger).uncharge(bytes_of(self.class));
        if self.serves && self.store.has(PRESSED) {
            self.store.serve();
        }
    }
}

/// A block on its way to who rents it. When something panics first, it stays idle.
struct Unclaimed<'a> {
    store: &'a Store,
    class: usize,
    block: &'static Block,
}

impl Unclaimed<'_> {
    fn claim(self) -> &'static Block {
        let block = self.block;
        std::mem::forget(self);
        block
    }
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        self.store.put_all_idle(vec![(self.block, self.class)]);
        self.store.settle_returns();
    }
}

/// Blocks on their way to the backing. When that panics, the rest stays idle.
struct Discarding<'a> {
    store: &'a Store,
    class: usize,
    blocks: Vec<&'static Block>,
}

impl Drop for Discarding<'_> {
    fn drop(&mut self) {
        let rest = std::mem::take(&mut self.blocks);
        if !rest.is_empty() {
            self.store.put_idle(self.class, rest.len(), rest);
        }
    }
}

/// The tenancy of `len` elements that begins on a block.
///
/// # Safety
/// The caller holds `block`, which is pooled, exclusively (R2); its class holds `len` elements of `T`.
#[inline(always)]
unsafe fn tenant<T: Pod + Send>(block: &'static Block, len: usize, site: Site) -> Owned<T> {
    // SAFETY: the hold is exclusive.
    let base = unsafe { block.source() }.base;
    // SAFETY: `make_charged` made it from a `NonNull`.
    let ptr = unsafe { NonNull::new_unchecked(base.cast::<T>()) };
    // SAFETY: the class holds `len` elements, which are initialised (R4), and any bit pattern is a `T`.
    let window = unsafe { Window::new(ptr, len) };
    // SAFETY: the hold is ours to hand over.
    unsafe { Owned::resume(window, block, Some(site)) }
}

const POOLED: Kind =
    Kind { release: give_back, pin_hooks: None, writable: true, patient: true, pooled: true };

/// Of the blocks that no thread keeps.
static LARGE: Kind = POOLED;

/// For a block that [`keep`] did not take.
///
/// # Safety
/// As [`Kind::release`].
#[cold]
#[inline(never)]
unsafe fn give_back(block: &'static Block) {
    // SAFETY: the hold is exclusive.
    let &Source { len: class, extra, .. } = unsafe { block.source() };
    let store = extra.cast_const().cast::<Store>();
    // SAFETY: as above.
    if cache::reselect(store) && unsafe { cache::keep(block) } {
        return;
    }
    // A count of our own: the block's may be the last, and go with it.
    // SAFETY: `make_charged` put the pointer of an `Arc` there, and the block's count keeps it.
    unsafe { Arc::increment_strong_count(store) };
    // SAFETY: as above; the count that is dropped is the one just added.
    let store = unsafe { Arc::from_raw(store) };
    if store.watch.is_attentive() {
        store.put_all_idle(store.watch.give_back(block, class));
        if store.is_closed() {
            // Nobody comes to end the quarantine, and what is in it keeps the store.
            store.put_all_idle(store.watch.empty());
        }
    } else if store.settings.exact || store.is_closed() {
        store.discard_all(class, vec![block]);
    } else {
        let kept = class < CACHED_CLASSES
            && store.lets_threads_keep()
            && cache::select(&store).is_some_and(|cache| cache.keep_slow(&store, block, class));
        if !kept {
            store.put_idle(class, 1, [block]);
        }
    }
    store.settle_returns();
}

#[cfg(all(test, leasehold_loom))]
mod models;
