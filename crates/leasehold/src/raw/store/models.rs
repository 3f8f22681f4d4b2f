//! Loom models of the pool: shelves that others claim, blocks that pass between threads, the queue for a budget, and the
//! end of a pool.
//!
//! Each block's memory stands for a loom cell that its tenants, and the backing that gets it back, write: a block that two
//! have at once, or that one has before the other is done with it, fails the model.

use std::alloc::Layout;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Poll, Waker};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use super::cache;
use super::{Settings, Shortage, Store};
use crate::backing::{Backing, BackingError};
use crate::raw::owned::Owned;
use crate::raw::{gates, limbo};

/// Bytes of the smallest class.
const BLOCK: usize = 64;
/// Bytes of a class that no thread keeps to itself.
const LARGE: usize = 2 * BLOCK;
/// Elements in a block.
const LEN: usize = BLOCK / size_of::<u64>();

/// Blocks made of numbered cells; none is used twice.
struct Cells {
    cells: [UnsafeCell<u32>; 3],
    made: AtomicUsize,
    released: AtomicUsize,
}

// SAFETY: loom checks that accesses are ordered, which is all that sharing needs.
unsafe impl Sync for Cells {}
// SAFETY: as above.
unsafe impl Send for Cells {}

impl Cells {
    fn new() -> Arc<Cells> {
        Arc::new(Cells {
            cells: std::array::from_fn(|_| UnsafeCell::new(0)),
            made: AtomicUsize::new(0),
            released: AtomicUsize::new(0),
        })
    }

    /// Uses the memory of block `number` as only its holder may.
    fn touch(&self, number: u64) {
        // SAFETY: loom fails the model if any access is concurrent.
        self.cells[number as usize].with_mut(|cell| unsafe { *cell += 1 });
    }

    fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }
}

// SAFETY: each block is a leaked array, zero but for its number, which is its own.
unsafe impl Backing for Cells {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        #[repr(align(64))]
        struct Lines([u64; LARGE / size_of::<u64>()]);
        assert!([BLOCK, LARGE].contains(&layout.size()));
        let number = self.made.fetch_add(1, Ordering::Relaxed) as u64;
        let mut lines = Lines([0; LARGE / size_of::<u64>()]);
        lines.0[0] = number;
        Ok(NonNull::from(Box::leak(Box::new(lines))).cast())
    }

    unsafe fn release(&self, memory: NonNull<u8>, _: Layout) {
        // SAFETY: it was made above.
        self.touch(unsafe { memory.cast::<u64>().read() });
        self.released.fetch_add(1, Ordering::Relaxed);
    }
}

fn store(cells: &Arc<Cells>, budget: usize) -> Arc<Store> {
    Store::new(Settings {
        backing: Arc::clone(cells) as Arc<dyn Backing>,
        alignment: BLOCK,
        budget,
        idle_limit: usize::MAX,
        decay: 0,
        zero_on_return: false,
        poison: false,
        quarantine: 0,
        exact: false,
    })
}

fn rent(store: &Arc<Store>) -> Result<Owned<u64>, Shortage> {
    store.rent(LEN, Location::caller())
}

/// Rents, uses and returns.
fn visit(store: &Arc<Store>, cells: &Cells) {
    let owned = rent(store).expect("there is no budget");
    cells.touch(owned.as_slice()[0]);
}

/// Ends the pool, whose every block must then have come back.
fn close(store: &Store, cells: &Cells) {
    store.close();
    assert_eq!(cells.released(), cells.made.load(Ordering::Relaxed));
}

fn leave() {
    limbo::flush();
    cache::detach();
}

fn model(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        gates::set_up();
        check();
    });
}

#[test]
fn a_claimed_shelf_is_nobody_elses() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, usize::MAX);
        let tenant = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                visit(&store, &cells);
                visit(&store, &cells);
                leave();
            })
        };
        store.trim();
        tenant.join().unwrap();
        close(&store, &cells);
    });
}

/// Rents two at once, uses them and returns them: one goes in front, one on the shelf.
fn visit_both(store: &Arc<Store>, cells: &Cells) {
    let both = [(); 2].map(|()| rent(store).expect("there is no budget"));
    both.iter().for_each(|owned| cells.touch(owned.as_slice()[0]));
}

#[test]
fn what_goes_in_or_out_while_a_cache_is_claimed_is_either_the_threads_or_the_claimants() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, usize::MAX);
        let tenant = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                visit_both(&store, &cells);
                let again = rent(&store).expect("there is no budget");
                cells.touch(again.as_slice()[0]);
                drop(again);
                leave();
            })
        };
        store.trim();
        tenant.join().unwrap();
        close(&store, &cells);
    });
}

#[test]
fn what_was_claimed_is_not_claimed_again() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, usize::MAX);
        let owned = rent(&store).expect("there is no budget");
        let tenant = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                cells.touch(owned.as_slice()[0]);
                drop(owned);
                visit(&store, &cells);
                leave();
            })
        };
        store.trim();
        store.trim();
        tenant.join().unwrap();
        close(&store, &cells);
    });
}

#[test]
fn what_is_looked_at_stays_with_its_thread() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, usize::MAX);
        let tenant = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                visit_both(&store, &cells);
                visit_both(&store, &cells);
                leave();
            })
        };
        assert!(cache::blocks(&store, 1).len() <= 2);
        cache::sweep_all(&store);
        tenant.join().unwrap();
        assert_eq!(cells.made.load(Ordering::Relaxed), 2, "nothing was lost");
        store.close();
        assert_eq!(cells.released(), 2);
    });
}

#[test]
fn a_block_passes_from_thread_to_thread() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, usize::MAX);
        let owned = rent(&store).expect("there is no budget");
        cells.touch(owned.as_slice()[0]);
        let other = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                cells.touch(owned.as_slice()[0]);
                drop(owned);
                visit(&store, &cells);
                leave();
            })
        };
        visit(&store, &cells);
        other.join().unwrap();
        visit(&store, &cells);
        leave();
        close(&store, &cells);
    });
}

struct Flag(AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits in the queue for as long as nobody else does anything; the waker is called if it has to wait on.
struct Waiting {
    queued: super::Queued<u64>,
    woken: Arc<Flag>,
}

impl Waiting {
    fn new(store: &Arc<Store>) -> Waiting {
        Waiting::for_len(store, LEN)
    }

    fn for_len(store: &Arc<Store>, len: usize) -> Waiting {
        let queued = store.enqueue(len, Location::caller()).expect("it is small");
        Waiting { queued, woken: Arc::new(Flag(AtomicBool::new(false))) }
    }

    fn poll(&mut self) -> Option<Owned<u64>> {
        match self.queued.poll(&Waker::from(Arc::clone(&self.woken))) {
            Poll::Ready(rented) => Some(rented.expect("the backing has memory")),
            Poll::Pending => None,
        }
    }

    /// After everybody else is done: it must be its turn, and it must have been told.
    fn finish(mut self, polled: bool) -> Owned<u64> {
        assert!(!polled || self.woken.0.load(Ordering::Relaxed), "nobody woke who waits");
        self.poll().expect("the budget is free")
    }
}

#[test]
fn what_comes_back_goes_to_who_waits() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, BLOCK);
        let owned = rent(&store).expect("the budget is free");
        let other = {
            let cells = Arc::clone(&cells);
            thread::spawn(move || {
                cells.touch(owned.as_slice()[0]);
                drop(owned);
                leave();
            })
        };
        let mut waiting = Waiting::new(&store);
        let owned = waiting.poll();
        other.join().unwrap();
        let owned = owned.unwrap_or_else(|| waiting.finish(true));
        cells.touch(owned.as_slice()[0]);
        drop(owned);
        leave();
        close(&store, &cells);
    });
}

#[test]
fn what_came_back_too_late_for_a_claim_is_not_rented_where_it_was_put() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, BLOCK);
        let other = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Ok(owned) = rent(&store) {
                        cells.touch(owned.as_slice()[0]);
                    }
                }
                leave();
            })
        };
        let mut waiting = Waiting::new(&store);
        let owned = waiting.poll();
        if let Some(owned) = &owned {
            cells.touch(owned.as_slice()[0]);
        }
        other.join().unwrap();
        drop(owned.unwrap_or_else(|| waiting.finish(true)));
        leave();
        close(&store, &cells);
    });
}

#[test]
fn what_was_taken_too_late_makes_no_room_for_what_comes_back() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, LARGE);
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let both = [rent(&store), rent(&store)];
                let [first, second] = both;
                drop(first);
                drop(rent(&store));
                drop(second);
                leave();
            })
        };
        let mut waiting = Waiting::for_len(&store, 2 * LEN);
        let owned = waiting.poll();
        let waits = owned.is_none();
        drop(owned);
        other.join().unwrap();
        if waits {
            drop(waiting.finish(true));
        }
        leave();
        close(&store, &cells);
    });
}

#[test]
fn a_claimed_block_that_comes_back_to_where_it_was_is_not_taken_for_there() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, BLOCK);
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                drop(rent(&store));
                // By way of the queue, which leaves the cache closed.
                drop(Waiting::new(&store).poll());
                leave();
            })
        };
        drop(Waiting::new(&store).poll());
        other.join().unwrap();
        leave();
        close(&store, &cells);
    });
}

#[test]
fn a_block_of_another_size_makes_room_for_who_waits() {
    // The one who returns looks for waiters after it has put its block away, the one who waits looks for blocks after it
    // has said so; they meet at no lock.
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, LARGE);
        let owned: Owned<u64> = store.rent(2 * LEN, Location::caller()).expect("the budget is free");
        let other = thread::spawn(move || {
            drop(owned);
            leave();
        });
        let mut waiting = Waiting::new(&store);
        let owned = waiting.poll();
        other.join().unwrap();
        drop(owned.unwrap_or_else(|| waiting.finish(true)));
        leave();
        close(&store, &cells);
    });
}

#[test]
fn who_gives_up_passes_on_what_came() {
    model(2, || {
        let cells = Cells::new();
        let store = store(&cells, BLOCK);
        let owned = rent(&store).expect("the budget is free");
        let first = Waiting::new(&store);
        let mut second = Waiting::new(&store);
        assert!(second.poll().is_none());
        let other = thread::spawn(move || {
            drop(owned);
            leave();
        });
        drop(first);
        other.join().unwrap();
        let owned = second.finish(true);
        cells.touch(owned.as_slice()[0]);
        drop(owned);
        leave();
        close(&store, &cells);
    });
}

#[test]
fn an_ending_thread_leaves_nothing_behind_for_which_somebody_waits() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, BLOCK);
        let other = {
            let (store, cells) = (Arc::clone(&store), Arc::clone(&cells));
            thread::spawn(move || {
                if let Ok(owned) = rent(&store) {
                    cells.touch(owned.as_slice()[0]);
                }
                leave();
            })
        };
        let mut waiting = Waiting::new(&store);
        let owned = waiting.poll();
        let waits = owned.is_none();
        drop(owned);
        other.join().unwrap();
        if waits {
            drop(waiting.finish(true));
        }
        leave();
        close(&store, &cells);
    });
}

#[test]
fn the_last_return_to_a_pool_that_is_gone_frees_everything() {
    model(3, || {
        let cells = Cells::new();
        let store = store(&cells, usize::MAX);
        let owned = rent(&store).expect("there is no budget");
        let other = {
            let cells = Arc::clone(&cells);
            thread::spawn(move || {
                cells.touch(owned.as_slice()[0]);
                drop(owned);
                leave();
            })
        };
        visit(&store, &cells);
        store.close();
        let dead = Arc::downgrade(&store);
        drop(store);
        leave();
        other.join().unwrap();
        assert_eq!(cells.released(), cells.made.load(Ordering::Relaxed));
        assert_eq!(dead.strong_count(), 0);
    });
}
