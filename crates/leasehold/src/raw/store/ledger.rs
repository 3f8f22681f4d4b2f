//! What a store has taken from its backing, what it may take, and who waits for it.
//!
//! A budget is charged for what is held, rented or idle. So a rent from a shelf costs no more than one without a budget,
//! and memory that has been revoked but not drained counts until it comes back. Who finds the budget used up takes the idle
//! memory of all threads back first, and queues up then. While there is a queue no thread keeps anything to itself, and
//! whatever comes back goes to the head of the queue.

use std::collections::{HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytemuck::Pod;

use super::class::{CLASSES, bytes_of};
use super::{PRESSED, Settings, Store, cache, events, tenant};
use crate::backing::BackingError;
use crate::raw::block::{Block, Site};
use crate::raw::owned::Owned;
use crate::raw::{clock, limbo};
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

#[cfg(not(leasehold_loom))]
static STORES_WITH_WAITERS: AtomicUsize = AtomicUsize::new(0);

#[cfg(leasehold_loom)]
loom::lazy_static! {
    static ref STORES_WITH_WAITERS: AtomicUsize = AtomicUsize::new(0);
}

/// Whether anybody waits for the budget of any pool.
pub(in crate::raw) fn somebody_waits() -> bool {
    // Relaxed: see `limbo::flush_for_waiters`; for others a hint.
    STORES_WITH_WAITERS.load(Ordering::Relaxed) != 0
}

/// Why there is no block.
#[derive(Debug)]
pub(crate) enum Shortage {
    /// More than the largest class.
    TooLarge,
    /// The budget is used up, or others wait for it.
    Exhausted,
    Backing(BackingError),
}

pub(super) struct Ledger {
    /// Bytes that may be held.
    budget: usize,
    /// Bytes that are held: rented, idle, or promised to somebody who waited.
    held: usize,
    peak: usize,
    queue: VecDeque<Arc<Waiter>>,
    /// Rents that had to wait, so far.
    waited: u64,
    /// Blocks that were given to waiters who have not come for them yet, by their address.
    promised: HashSet<usize>,
    /// Every block there is, by its address.
    pub(super) blocks: HashMap<usize, &'static Block>,
    /// Blocks there are, and were ever made, by class.
    pub(super) count: Box<[(usize, u64)]>,
}

/// A rent that waits.
struct Waiter {
    class: usize,
    turn: Mutex<Turn>,
}

enum Turn {
    Waiting(Option<Waker>),
    Come(Grant),
    Over,
}

/// What a waiter is given.
enum Grant {
    Block(&'static Block),
    /// The budget for a fresh block.
    Charge,
}

/// How a look for a block ends.
enum Look {
    Found(Grant),
    /// These idle blocks of another class have to be freed first.
    Free(usize, Vec<&'static Block>),
    Nothing,
}

/// A rent of `len` elements that waits in the queue. Giving it up passes on what it was given.
pub(crate) struct Queued<T> {
    store: Arc<Store>,
    waiter: Arc<Waiter>,
    len: usize,
    site: Site,
    _elements: PhantomData<fn() -> T>,
}

impl Ledger {
    pub(super) fn new(budget: usize) -> Ledger {
        Ledger {
            budget,
            held: 0,
            peak: 0,
            queue: VecDeque::new(),
            waited: 0,
            promised: HashSet::new(),
            blocks: HashMap::new(),
            count: vec![(0, 0); CLASSES].into_boxed_slice(),
        }
    }

    /// Takes the bytes of a block of `class` from the budget, if they are there and nobody waits for them.
    pub(super) fn charge(&mut self, class: usize) -> bool {
        self.queue.is_empty() && self.charge_bytes(bytes_of(class))
    }

    fn charge_bytes(&mut self, bytes: usize) -> bool {
        let held = self.held.checked_add(bytes).filter(|&held| held <= self.budget);
        let Some(held) = held else { return false };
        self.held = held;
        self.peak = self.peak.max(held);
        true
    }

    pub(super) fn uncharge(&mut self, bytes: usize) {
        self.held -= bytes;
    }

    pub(super) fn enter(&mut self, block: &'static Block, class: usize) {
        self.blocks.insert(address(block), block);
        let (now, ever) = &mut self.count[class];
        *now += 1;
        *ever += 1;
    }

    pub(super) fn leave(&mut self, block: &'static Block, class: usize) {
        self.blocks.remove(&address(block));
        self.count[class].0 -= 1;
    }

    /// Blocks that were given to waiters who have not come for them yet.
    pub(super) fn promised(&self) -> impl Iterator<Item = &'static Block> {
        self.promised.iter().filter_map(|address| self.blocks.get(address)).copied()
    }

    pub(super) fn is_promised(&self, block: &'static Block) -> bool {
        self.promised.contains(&address(block))
    }
}

fn address(block: &'static Block) -> usize {
    std::ptr::from_ref(block).addr()
}

/// The state of a budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Balance {
    pub(crate) budget: usize,
    pub(crate) held: usize,
    pub(crate) peak: usize,
    pub(crate) waiting: usize,
    pub(crate) waited: u64,
}

impl Store {
    pub(crate) fn balance(&self) -> Balance {
        let ledger = lock(&self.ledger);
        Balance {
            budget: ledger.budget,
            held: ledger.held,
            peak: ledger.peak,
            waiting: ledger.queue.len(),
            waited: ledger.waited,
        }
    }

    /// The bytes of a block for `len` elements.
    pub(crate) fn cost<T: Pod>(&self, len: usize) -> Result<usize, Shortage> {
        self.class_for::<T>(len).map(bytes_of)
    }

    /// The bytes of a block for `len` elements, if they are more than the whole budget.
    pub(crate) fn over_budget<T: Pod>(&self, len: usize) -> Option<usize> {
        let bytes = self.cost::<T>(len).ok()?;
        (bytes > lock(&self.ledger).budget).then_some(bytes)
    }

    /// A rent that found the budget used up, tried again after everything idle was taken back.
    pub(crate) fn rent_by_force<T: Pod + Send>(
        self: &Arc<Self>,
        len: usize,
        site: Site,
    ) -> Result<Owned<T>, Shortage> {
        let class = self.class_for::<T>(len)?;
        self.take_everything_back();
        let granted = self.look_until_settled(|ledger| {
            if ledger.queue.is_empty() { self.look(ledger, class) } else { Look::Nothing }
        });
        let rented = match granted {
            Some(grant) => self.redeem(grant, class, len, site),
            None => Err(Shortage::Exhausted),
        };
        self.serve_latecomers();
        rented
    }

    /// Looks, and frees what has to be freed, until the look succeeds or is in vain. The caller calls `serve_latecomers` when
    /// somebody answers for what was found.
    fn look_until_settled(&self, look: impl Fn(&mut Ledger) -> Look) -> Option<Grant> {
        loop {
            let looked = look(&mut lock(&self.ledger));
            match looked {
                Look::Found(grant) => return Some(grant),
                // With no lock held: a backing may ask its pool.
                Look::Free(class, blocks) => self.discard_quietly(class, blocks),
                Look::Nothing => return None,
            }
        }
    }

    /// Serves who queued up while we made room, and did not see that room. Calls wakers, which may panic.
    fn serve_latecomers(&self) {
        if self.has(PRESSED) {
            self.serve();
        }
    }

    /// Queues up for `len` elements.
    pub(crate) fn enqueue<T: Pod>(self: &Arc<Self>, len: usize, site: Site) -> Result<Queued<T>, Shortage> {
        let class = self.class_for::<T>(len)?;
        let waiter = Arc::new(Waiter { class, turn: Mutex::new(Turn::Waiting(None)) });
        let waiting = {
            let mut ledger = lock(&self.ledger);
            ledger.queue.push_back(Arc::clone(&waiter));
            // Before we look for memory: who puts a block into a depot after our look sees it, and serves us.
            // Relaxed: ordered by the depots' locks, and by `idle_bytes`.
            if self.mode.fetch_or(PRESSED, Ordering::Relaxed) & PRESSED == 0 {
                STORES_WITH_WAITERS.fetch_add(1, Ordering::Relaxed);
            }
            ledger.queue.len()
        };
        // First, so that it leaves the queue when a subscriber or the backing panics.
        let queued = Queued { store: Arc::clone(self), waiter, len, site, _elements: PhantomData };
        events::queued(class, waiting);
        self.take_everything_back();
        self.serve();
        Ok(queued)
    }

    /// Brings whatever nobody uses to the depots.
    pub(super) fn take_everything_back(&self) {
        limbo::flush_all();
        cache::empty_all(self);
        self.put_all_idle(self.watch.empty());
    }

    /// Gives those who wait, in the order of their arrival, what has come back.
    pub(super) fn serve(&self) {
        let mut woken = Woken(Vec::new());
        loop {
            let looked = self.serve_from(&mut lock(&self.ledger), &mut woken);
            match looked {
                Look::Free(class, blocks) => self.discard_quietly(class, blocks),
                Look::Found(_) | Look::Nothing => break,
            }
        }
    }

    fn serve_from(&self, ledger: &mut Ledger, woken: &mut Woken) -> Look {
        while let Some(waiter) = ledger.queue.front().map(Arc::clone) {
            let grant = match self.look(ledger, waiter.class) {
                Look::Found(grant) => grant,
                look => return look,
            };
            if let Grant::Block(block) = grant {
                ledger.promised.insert(address(block));
            }
            ledger.queue.pop_front();
            let turn = std::mem::replace(&mut *lock(&waiter.turn), Turn::Come(grant));
            if let Turn::Waiting(Some(waker)) = turn {
                woken.0.push(waker);
            }
        }
        if self.mode.fetch_and(!PRESSED, Ordering::Relaxed) & PRESSED != 0 {
            STORES_WITH_WAITERS.fetch_sub(1, Ordering::Relaxed);
        }
        Look::Nothing
    }

    /// What a rent of `class` needs, if it is there or can be made room for.
    fn look(&self, ledger: &mut Ledger, class: usize) -> Look {
        if let Some(block) = self.pop_idle(class) {
            return Look::Found(Grant::Block(block));
        }
        let bytes = bytes_of(class);
        if ledger.charge_bytes(bytes) {
            return Look::Found(Grant::Charge);
        }
        self.look_for_room(ledger, bytes)
    }

    /// Idle blocks to free, so that `bytes` fit into the budget. Nothing when that would not be enough.
    fn look_for_room(&self, ledger: &Ledger, bytes: usize) -> Look {
        let missing = ledger.held.saturating_add(bytes).saturating_sub(ledger.budget);
        // Release: pairs with the Acquire in `put_idle`. A write, so that the two come one after the other.
        if self.idle_bytes.fetch_add(0, Ordering::Release) < missing {
            return Look::Nothing;
        }
        let free = |class| {
            let oldest = self.take_oldest(class, missing.div_ceil(bytes_of(class)));
            (!oldest.is_empty()).then_some(Look::Free(class, oldest))
        };
        (0..CLASSES).rev().find_map(free).unwrap_or(Look::Nothing)
    }

    fn redeem<T: Pod + Send>(
        self: &Arc<Self>,
        grant: Grant,
        class: usize,
        len: usize,
        site: Site,
    ) -> Result<Owned<T>, Shortage> {
        let block = match grant {
            Grant::Block(block) => {
                lock(&self.ledger).promised.remove(&address(block));
                block
            }
            Grant::Charge => self.make_charged(class, len * size_of::<T>())?,
        };
        self.watch.rent(block, len * size_of::<T>());
        self.depot(class).count_rent();
        block.stamp_rented(clock::now());
        // SAFETY: the block is out of every list, hence ours alone (R2), and its class is that of `len` elements.
        Ok(unsafe { tenant(block, len, site) })
    }

    /// A store with a budget of its own, which is taken out of this one's while it lives. `None` when so much is not free.
    pub(crate) fn share(self: &Arc<Self>, bytes: usize) -> Option<Arc<Store>> {
        self.take_everything_back();
        let found = self.look_until_settled(|ledger| match ledger {
            _ if !ledger.queue.is_empty() => Look::Nothing,
            _ if ledger.charge_bytes(bytes) => Look::Found(Grant::Charge),
            _ => self.look_for_room(ledger, bytes),
        });
        let parent = found.map(|_| Parent { store: Arc::clone(self), bytes });
        self.serve_latecomers();
        let settings = Settings { budget: bytes, ..self.settings.clone() };
        parent.map(|parent| Store::with_parent(settings, Some(parent)))
    }
}

/// Wakers, to be called with no lock held: also the others when one of them panics.
struct Woken(Vec<Waker>);

impl Drop for Woken {
    fn drop(&mut self) {
        struct Rest<'a>(&'a mut Woken);
        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while let Some(waker) = self.0.0.pop() {
                    waker.wake();
                }
            }
        }
        let rest = Rest(self);
        while !rest.0.0.is_empty() {
            rest.0.0.remove(0).wake();
        }
    }
}

/// What a share was taken out of.
pub(super) struct Parent {
    store: Arc<Store>,
    bytes: usize,
}

impl Drop for Parent {
    fn drop(&mut self) {
        lock(&self.store.ledger).uncharge(self.bytes);
        if self.store.has(PRESSED) {
            self.store.serve();
        }
    }
}

impl<T> Queued<T> {
    /// How many elements, and where.
    pub(crate) fn asked(&self) -> (usize, Site) {
        (self.len, self.site)
    }
}

impl<T: Pod + Send> Queued<T> {
    /// The tenancy, when its turn has come; else `waker` is woken when it does.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<Owned<T>, Shortage>> {
        // Cloning and dropping a waker can run any code: never under the lock.
        let waker = waker.clone();
        let mut turn = lock(&self.waiter.turn);
        match std::mem::replace(&mut *turn, Turn::Over) {
            Turn::Waiting(old) => {
                *turn = Turn::Waiting(Some(waker));
                drop(turn);
                if old.is_none() {
                    lock(&self.store.ledger).waited += 1;
                }
                drop(old);
                Poll::Pending
            }
            Turn::Come(grant) => {
                drop(turn);
                Poll::Ready(self.store.redeem(grant, self.waiter.class, self.len, self.site))
            }
            // Only after it was ready, which its future does not ask again.
            Turn::Over => Poll::Pending,
        }
    }
}

impl<T> Drop for Queued<T> {
    fn drop(&mut self) {
        let Queued { store, waiter, .. } = self;
        // The queue first: whoever gives us something has it.
        let mut ledger = lock(&store.ledger);
        let turn = std::mem::replace(&mut *lock(&waiter.turn), Turn::Over);
        match turn {
            Turn::Over => return,
            Turn::Waiting(_) => ledger.queue.retain(|other| !Arc::ptr_eq(other, waiter)),
            Turn::Come(Grant::Block(block)) => {
                ledger.promised.remove(&address(block));
                store.put_idle(waiter.class, 1, [block]);
            }
            Turn::Come(Grant::Charge) => ledger.uncharge(bytes_of(waiter.class)),
        }
        drop(ledger);
        // Those behind may have waited for us only.
        store.serve();
        store.settle_returns();
    }
}
