//! Pooled memory: size classes, a magazine per thread and class, and a common stock behind them.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;

use super::block::{Block, Kind, Site, Source, allocate, free};
use super::limbo;
use super::owned::Owned;
use super::window::Window;

/// Alignment of every pooled block: a cache line, and what the widest vector loads ask for.
pub(crate) const ALIGNMENT: usize = 64;
/// The largest class a thread keeps to itself; larger blocks go straight to the stock.
const CACHED_MAX: usize = 1 << 20;
const CACHED_CLASSES: usize = class_of(CACHED_MAX) + 1;
/// Blocks in a full magazine.
const MAGAZINE: usize = 16;
/// Bytes in a full magazine, for classes where that is fewer blocks.
const MAGAZINE_BYTES: usize = 2 << 20;
/// Bytes the stock keeps idle; beyond that, what comes back goes to the operating system.
const STOCK_BYTES: usize = 256 << 20;
const CLASSES: usize = class_of(LARGEST) + 1;
/// The largest class; rents beyond it fail.
const LARGEST: usize = 1 << (usize::BITS - 2);

/// The class whose blocks are the smallest that hold `bytes`: four classes per doubling, from 64 bytes up.
const fn class_of(bytes: usize) -> usize {
    let last = if bytes <= ALIGNMENT { ALIGNMENT - 1 } else { bytes - 1 };
    let doubling = last.ilog2();
    (4 * doubling as usize + (last >> (doubling - 2)) % 4) - CLASS_OF_SMALLEST
}

/// What the formula in `class_of` gives for 64 bytes before it is moved to zero.
const CLASS_OF_SMALLEST: usize = 4 * 5 + 3;

/// Bytes in a block of `class`.
const fn bytes_of(class: usize) -> usize {
    let raw = class + CLASS_OF_SMALLEST;
    (5 + raw % 4) << (raw / 4 - 2)
}

/// The memory for a rent is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// The common part of a pool. Each block of memory keeps it alive, so rents may outlive the pool.
#[repr(C)]
pub(crate) struct Store {
    /// The pool is gone: what comes back is freed. Read by every return, so kept away from the lock.
    closed: AtomicBool,
    stock: Aligned<Mutex<Stock>>,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Aligned<T>(T);

struct Stock {
    idle: [Vec<&'static Block>; CLASSES],
    bytes: usize,
}

impl Store {
    pub(crate) fn new() -> Arc<Store> {
        Arc::new(Store {
            closed: AtomicBool::new(false),
            stock: Aligned(Mutex::new(Stock { idle: [const { Vec::new() }; CLASSES], bytes: 0 })),
        })
    }

    /// Memory for `len` elements; fresh memory is zeroed, used memory keeps what was in it.
    #[inline]
    pub(crate) fn rent<T: Pod + Send>(
        self: &Arc<Self>,
        len: usize,
        site: Site,
    ) -> Result<Owned<T>, NoMemory> {
        const {
            assert!(align_of::<T>() <= ALIGNMENT, "the element type wants more alignment than the pool gives")
        };
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= LARGEST).ok_or(NoMemory)?;
        let class = class_of(bytes);
        let block = match self.cache().and_then(|cache| cache.take(class)) {
            Some(block) => block,
            None => self.rent_slow(class)?,
        };
        // SAFETY: the block is out of every list, hence ours alone (R2).
        let base = unsafe { block.source() }.base;
        // SAFETY: `make` allocated it and checked for null.
        let ptr = unsafe { NonNull::new_unchecked(base.cast::<T>()) };
        // SAFETY: the class holds `bytes`, which are initialised (R4), and any bit pattern is a `T`.
        let window = unsafe { Window::new(ptr, len) };
        // SAFETY: the hold is ours to hand over.
        Ok(unsafe { Owned::resume(window, block, Some(site)) })
    }

    /// Frees what is idle in the stock and in this thread's cache. Returns the bytes freed.
    pub(crate) fn trim(&self) -> usize {
        limbo::flush();
        if let Some(cache) = self.cache() {
            cache.flush();
        }
        let mut stock = self.stock();
        let bytes = std::mem::take(&mut stock.bytes);
        let idle: Vec<_> = stock.idle.iter_mut().flat_map(std::mem::take).collect();
        drop(stock);
        idle.into_iter().for_each(discard);
        bytes
    }

    pub(crate) fn idle_bytes(&self) -> usize {
        self.stock().bytes
    }

    /// Called when the last handle of the pool is gone.
    pub(crate) fn close(&self) {
        // Relaxed: read under the lock of the stock, or as a hint.
        self.closed.store(true, Ordering::Relaxed);
        self.trim();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This thread's cache, if it is the one used last.
    #[inline(always)]
    fn cache(&self) -> Option<&Cache> {
        // SAFETY: `LAST` is null or points to a cache of this thread, which only `Caches` frees; nothing that is called
        // while the reference lives gets there.
        let cache = unsafe { LAST.get().as_ref() }?;
        ptr::eq(Arc::as_ptr(&cache.store), self).then_some(cache)
    }

    #[cold]
    #[inline(never)]
    fn rent_slow(self: &Arc<Self>, class: usize) -> Result<&'static Block, NoMemory> {
        select_cache(self);
        // The cache that is now selected may have what the one selected before had not.
        if let Some(block) = self.cache().and_then(|cache| cache.take(class)) {
            return Ok(block);
        }
        let magazine = self.cache().and_then(|cache| cache.magazines.get(class));
        let mut stock = self.stock();
        if let Some(magazine) = magazine {
            while magazine.len() < capacity_of(class) / 2 {
                let Some(block) = stock.pop(class) else { break };
                magazine.push(Some(block));
            }
        }
        let idle = stock.pop(class).or_else(|| magazine?.pop());
        drop(stock);
        idle.map_or_else(|| self.make(class), Ok)
    }

    /// A block of fresh, zeroed memory.
    fn make(self: &Arc<Self>, class: usize) -> Result<&'static Block, NoMemory> {
        let layout = layout_of(class);
        // SAFETY: no class is of size zero.
        let base = unsafe { alloc_zeroed(layout) };
        if base.is_null() {
            return Err(NoMemory);
        }
        let source = Source {
            kind: &POOLED,
            base: base.cast(),
            len: class,
            room: layout.size(),
            extra: Arc::into_raw(Arc::clone(self)).cast_mut().cast(),
        };
        let block = allocate();
        // SAFETY: a fresh block is exclusively ours, and the memory stays until `discard`.
        unsafe { block.settle(source) };
        Ok(block)
    }

    /// Takes back blocks of one class; what is too much goes to the operating system.
    fn restock(&self, class: usize, blocks: impl Iterator<Item = &'static Block>) {
        let mut stock = self.stock();
        let mut surplus = Vec::new();
        for block in blocks {
            if self.is_closed() || stock.push(block, class).is_err() {
                surplus.push(block);
            }
        }
        drop(stock);
        surplus.into_iter().for_each(discard);
    }
}

impl Stock {
    fn pop(&mut self, class: usize) -> Option<&'static Block> {
        let block = self.idle[class].pop()?;
        self.bytes -= bytes_of(class);
        Some(block)
    }

    fn push(&mut self, block: &'static Block, class: usize) -> Result<(), Full> {
        let bytes = self.bytes.saturating_add(bytes_of(class));
        if bytes > STOCK_BYTES {
            return Err(Full);
        }
        self.bytes = bytes;
        self.idle[class].push(block);
        Ok(())
    }
}

/// There is no room for one more block.
struct Full;

fn layout_of(class: usize) -> Layout {
    // Blocks of a page or more start on a page, so that huge pages and direct I/O can use them.
    let alignment = if bytes_of(class) >= PAGE { PAGE } else { ALIGNMENT };
    Layout::from_size_align(bytes_of(class), alignment).expect("the largest class is a valid layout")
}

const PAGE: usize = 4096;

pub(super) static POOLED: Kind = Kind { release: give_back, pin_hooks: None, writable: true, patient: true };

/// # Safety
/// As [`Kind::release`].
#[inline]
pub(super) unsafe fn give_back(block: &'static Block) {
    // SAFETY: the hold is exclusive.
    let &Source { len: class, extra, .. } = unsafe { block.source() };
    // SAFETY: `make` put a counted reference there, which lives until `discard`.
    let store = unsafe { &*extra.cast::<Store>() };
    // A closed store has nothing to keep memory for.
    let kept = store.cache().is_some_and(|cache| !store.is_closed() && cache.keep(block, class));
    if !kept {
        // SAFETY: the caller's promise; class and store are the block's own.
        unsafe { give_back_slow(block, extra.cast(), class) };
    }
}

/// # Safety
/// As [`Kind::release`], for a block of `class` whose source says `store`.
#[cold]
#[inline(never)]
unsafe fn give_back_slow(block: &'static Block, store: *const Store, class: usize) {
    // A count of our own: the block's may be the last, and go with it.
    // SAFETY: `make` put the pointer of an `Arc` there, and the block's count keeps it.
    unsafe { Arc::increment_strong_count(store) };
    // SAFETY: as above; the count that is dropped is the one just added.
    let store = unsafe { Arc::from_raw(store) };
    if class >= CACHED_CLASSES || store.is_closed() {
        return store.restock(class, std::iter::once(block));
    }
    select_cache(&store);
    match store.cache() {
        Some(cache) => {
            cache.make_room();
            let kept = cache.keep(block, class);
            debug_assert!(kept, "there is room now, and the class is kept");
        }
        None => store.restock(class, std::iter::once(block)),
    }
}

/// Frees the memory of an idle block, then its control block.
fn discard(block: &'static Block) {
    // SAFETY: the caller took the block out of the stock or a magazine and holds it alone (R2).
    let &Source { base, len: class, extra, .. } = unsafe { block.source() };
    // SAFETY: `make` allocated it with this layout.
    unsafe { dealloc(base.cast(), layout_of(class)) };
    // SAFETY: `make` put the count there.
    drop(unsafe { Arc::from_raw(extra.cast::<Store>()) });
    // SAFETY: the hold is exclusive and ends here.
    unsafe { free(block) };
}

const NO_CLASS: usize = usize::MAX;

/// What one thread keeps of one store.
struct Cache {
    store: Arc<Store>,
    /// The block that came back last, and its class; [`NO_CLASS`] when it has been rented again. Most rents follow the
    /// return of a block of the same class, and are spared the magazine.
    last: Cell<Option<&'static Block>>,
    last_class: Cell<usize>,
    magazines: [Magazine; CACHED_CLASSES],
}

/// The most blocks of a class that a thread keeps.
#[inline]
fn capacity_of(class: usize) -> usize {
    const CAPACITY: [u8; CACHED_CLASSES] = {
        let mut capacity = [0; CACHED_CLASSES];
        let mut class = 0;
        while class < CACHED_CLASSES {
            let blocks = MAGAZINE_BYTES / bytes_of(class);
            capacity[class] = if blocks < MAGAZINE { blocks as u8 } else { MAGAZINE as u8 };
            class += 1;
        }
        capacity
    };
    usize::from(CAPACITY[class])
}

/// A stack of idle blocks of one class, used by one thread.
struct Magazine {
    len: Cell<usize>,
    blocks: [Cell<Option<&'static Block>>; MAGAZINE],
}

impl Magazine {
    fn new() -> Magazine {
        Magazine { len: Cell::new(0), blocks: [const { Cell::new(None) }; MAGAZINE] }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.len.get()
    }

    /// The caller has seen that there is room.
    #[inline(always)]
    fn push(&self, block: Option<&'static Block>) {
        let len = self.len.get();
        self.blocks[len].set(block);
        self.len.set(len + 1);
    }

    #[inline(always)]
    fn pop(&self) -> Option<&'static Block> {
        let len = self.len.get().checked_sub(1)?;
        self.len.set(len);
        self.blocks[len].get()
    }
}

impl Cache {
    fn new(store: Arc<Store>) -> Cache {
        Cache {
            store,
            last: Cell::new(None),
            last_class: Cell::new(NO_CLASS),
            magazines: std::array::from_fn(|_| Magazine::new()),
        }
    }

    #[inline(always)]
    fn take(&self, class: usize) -> Option<&'static Block> {
        if self.last_class.get() == class {
            self.last_class.set(NO_CLASS);
            return self.last.get();
        }
        self.magazines.get(class)?.pop()
    }

    /// Keeps the block as the last one, and the one that was it in its magazine. False, with everything as before, when
    /// that is full or the class is not kept.
    #[inline(always)]
    fn keep(&self, block: &'static Block, class: usize) -> bool {
        if class >= CACHED_CLASSES {
            return false;
        }
        let last_class = self.last_class.get();
        if let Some(magazine) = self.magazines.get(last_class) {
            if magazine.len() == capacity_of(last_class) {
                return false;
            }
            magazine.push(self.last.get());
        }
        self.last_class.set(class);
        self.last.set(Some(block));
        true
    }

    /// Moves half of the magazine that the last block would go to, if it is full, to the stock.
    fn make_room(&self) {
        let class = self.last_class.get();
        let Some(magazine) = self.magazines.get(class) else { return };
        if magazine.len() == capacity_of(class) {
            let half = magazine.len().div_ceil(2);
            self.store.restock(class, std::iter::from_fn(|| magazine.pop()).take(half));
        }
    }

    /// Moves everything to the stock.
    fn flush(&self) {
        let class = self.last_class.replace(NO_CLASS);
        if class != NO_CLASS {
            self.store.restock(class, self.last.take().into_iter());
        }
        for (class, magazine) in self.magazines.iter().enumerate() {
            if magazine.len() > 0 {
                self.store.restock(class, std::iter::from_fn(|| magazine.pop()));
            }
        }
    }
}

thread_local! {
    /// The cache this thread used last; null when there is none. Without a destructor, so that it can be read when
    /// other thread-locals are destroyed.
    static LAST: Cell<*const Cache> = const { Cell::new(ptr::null()) };
    static CACHES: Caches = const { Caches(Cell::new(Vec::new())) };
}

/// The caches of a thread. Only here are caches freed: when their pool is closed, and when the thread ends.
struct Caches(Cell<Vec<*const Cache>>);

/// Makes this thread's cache of `store` the one that [`Store::cache`] finds, unless the thread is ending.
#[cold]
fn select_cache(store: &Arc<Store>) {
    if store.cache().is_some() {
        return;
    }
    let _ = CACHES.try_with(|Caches(caches)| {
        LAST.set(ptr::null());
        let mut open = caches.take();
        // SAFETY: the list holds live caches.
        let closed: Vec<_> = open.extract_if(.., |cache| unsafe { &**cache }.store.is_closed()).collect();
        // SAFETY: as above.
        let found = open.iter().copied().find(|&cache| Arc::ptr_eq(&unsafe { &*cache }.store, store));
        let cache = found.unwrap_or_else(|| {
            let made = Box::into_raw(Box::new(Cache::new(Arc::clone(store)))).cast_const();
            open.push(made);
            made
        });
        caches.set(open);
        LAST.set(cache);
        closed.into_iter().for_each(free_cache);
    });
}

fn free_cache(cache: *const Cache) {
    // SAFETY: the caller took it out of the thread's list, where `select_cache` put a leaked box, and out of `LAST`.
    let cache = unsafe { Box::from_raw(cache.cast_mut()) };
    cache.flush();
}

impl Drop for Caches {
    fn drop(&mut self) {
        LAST.set(ptr::null());
        self.0.take().into_iter().for_each(free_cache);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_the_smallest_that_fits() {
        let mut bytes = 0;
        while bytes < 1 << 40 {
            let class = class_of(bytes);
            assert!(bytes_of(class) >= bytes, "{bytes} bytes in class {class}");
            assert!(class == 0 || bytes_of(class - 1) < bytes, "{bytes} bytes in class {class}");
            bytes += 1 + bytes / 37;
        }
    }

    #[test]
    fn a_class_wastes_at_most_a_quarter() {
        for class in 1..CLASSES {
            assert!(bytes_of(class) / 5 <= bytes_of(class - 1) / 4);
        }
    }
}
