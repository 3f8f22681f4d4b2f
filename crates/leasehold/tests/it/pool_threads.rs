//! Threads that end, unwind, fork or are gone, and what becomes of what they had rented.

use std::cell::RefCell;
use std::sync::{Arc, mpsc};
use std::thread;

use leasehold::{Lessor, Memory, MemoryHandle, MemoryOwner, MemoryPool, ReadOnly, ReadOnlyMemory};

use crate::support::{Bell, bounded, catch, poll_once};
use crate::watched::Watched;

/// More than a shelf holds, of a small class.
const MANY: usize = if cfg!(miri) { 70 } else { 300 };

#[test]
fn what_a_thread_kept_is_common_stock_when_it_has_ended() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    let theirs = pool.clone();
    thread::spawn(move || {
        drop((0..MANY).map(|_| theirs.rent::<u8>(100)).collect::<Vec<_>>());
        drop((0..3).map(|_| theirs.rent::<u8>(4096)).collect::<Vec<_>>());
        drop(theirs.rent::<u8>(1 << 20));
        assert_eq!(theirs.stats().rented_bytes, 0);
    })
    .join()
    .unwrap();
    let (given, stats) = (watched.given(), pool.stats());
    assert_eq!((given, stats.rented_bytes), (MANY + 4, 0));
    assert_eq!(stats.idle_bytes, MANY * 128 + 3 * 4096 + (1 << 20));
    assert_eq!(stats.rents(), given as u64);
    let owners: Vec<MemoryOwner<u8>> = (0..MANY).map(|_| pool.rent(100)).collect();
    let pages: Vec<MemoryOwner<u8>> = (0..3).map(|_| pool.rent(4096)).collect();
    assert_eq!(watched.given(), given, "nothing had to be made");
    assert_eq!(pool.outstanding().len(), MANY + 3);
    drop((owners, pages));
    assert_eq!(pool.trim(), stats.idle_bytes);
    assert_eq!(watched.held(), 0);
}

#[test]
fn threads_that_come_and_go_rent_the_same_buffers() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    let threads = if cfg!(miri) { 10 } else { 1000 };
    for _ in 0..threads {
        let theirs = pool.clone();
        thread::spawn(move || {
            for len in [10, 1000, 5000, 100_000] {
                theirs.rent::<u8>(len).fill(1);
            }
        })
        .join()
        .unwrap();
    }
    let stats = pool.stats();
    assert_eq!((watched.given(), stats.misses()), (4, 4));
    assert_eq!((stats.rents(), stats.hits()), (threads * 4, threads * 4 - 4));
    assert_eq!(
        (stats.rented_bytes, stats.idle_bytes, pool.outstanding().len()),
        (0, 64 + 1024 + 5120 + 114_688, 0)
    );
    let weak = Arc::downgrade(&watched);
    drop((pool, watched));
    assert!(weak.upgrade().is_none(), "nothing of them is left, the thread here has kept nothing");
}

#[test]
fn a_thread_that_uses_many_pools_in_turns_rents_from_each_what_it_returned_there() {
    for count in [2, 3, 4, 5, 9] {
        let pools: Vec<MemoryPool> = (0..count).map(|_| MemoryPool::builder().build()).collect();
        let addresses: Vec<_> = pools.iter().map(|pool| pool.rent::<u8>(100).as_ptr()).collect();
        for round in 0..5 {
            for (pool, address) in pools.iter().zip(&addresses) {
                let mut owner = pool.rent::<u8>(100);
                assert_eq!(owner.as_ptr(), *address);
                owner.fill(round);
            }
            // Returned to another pool than the one that was rented from last.
            let owners: Vec<_> = pools.iter().map(|pool| pool.rent::<u8>(100)).collect();
            assert!(owners.iter().zip(&addresses).all(|(owner, address)| owner.as_ptr() == *address));
        }
        for pool in &pools {
            let stats = pool.stats();
            assert_eq!((stats.rents(), stats.misses(), stats.rented_bytes), (11, 1, 0));
        }
    }
}

#[test]
fn a_pool_that_is_gone_is_never_taken_for_one_that_came_after_it() {
    let kept = MemoryPool::builder().build();
    for round in 0..20 {
        let watched = Watched::new();
        let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
        drop(pool.rent::<u8>(64 + round));
        drop(kept.rent::<u8>(64));
        drop(pool.rent::<u8>(64 + round));
        drop(pool);
        assert_eq!(watched.held(), 0, "what the thread kept went with the pool");
    }
    assert_eq!((kept.stats().rents(), kept.stats().misses()), (20, 1));
}

#[test]
fn a_pool_whose_threads_have_ended_is_gone_with_its_last_rent() {
    let watched = Watched::new();
    let weak = Arc::downgrade(&watched);
    let pool = MemoryPool::builder().backing(watched).build();
    let (kept, mine) = (pool.clone(), pool.clone());
    let (owner, lessor, memory) = thread::spawn(move || {
        drop(mine.rent::<u64>(100));
        let (lessor, memory) = mine.rent::<u64>(100).lease_read_only();
        (mine.rent::<u64>(100_000), lessor, memory)
    })
    .join()
    .unwrap();
    drop((pool, kept));
    let held = || weak.upgrade().map_or(0, |watched| watched.held());
    assert!(held() > 800_000, "what is rented stays");
    let pin = memory.pin().unwrap();
    thread::spawn(move || drop((owner, lessor))).join().unwrap();
    assert_eq!(held(), 896, "the pinned one stays");
    thread::spawn(move || drop(pin)).join().unwrap();
    assert_eq!(held(), 0);
    assert!(weak.upgrade().is_none());
}

#[test]
fn pools_that_come_and_go_leave_nothing_to_the_threads_that_used_them() {
    bounded(|| {
        let mut gone = Vec::new();
        for round in 0..if cfg!(miri) { 5 } else { 200 } {
            let watched = Watched::new();
            gone.push(Arc::downgrade(&watched));
            let pool = MemoryPool::builder().backing(watched).build();
            drop(pool.rent::<u8>(1 + round));
            // The cache of the pool before this one went when this one's was made.
            assert!(gone.iter().filter(|weak| weak.strong_count() > 0).count() <= 2);
        }
    });
}

#[test]
fn rents_that_are_dropped_by_a_panic_come_back() {
    let pool = MemoryPool::builder().build_bounded(4 * 4096);
    let mut waiting = pool.rent::<u8>(4 * 4096);
    let bell = Arc::new(Bell::default());
    let outcome = catch(|| {
        let _owner = pool.try_rent::<u8>(4096).unwrap();
        let (_lessor, memory) = pool.try_rent::<u8>(4096).unwrap().lease();
        let (_lent, view) = pool.try_rent::<u8>(4096).unwrap().lease_read_only();
        let _shared = pool.try_rent::<u8>(4096).unwrap().into_shared();
        let _pin = memory.pin().unwrap();
        let _span = view.span().unwrap();
        assert!(bell.poll(&mut waiting).is_pending());
        panic!("on purpose");
    });
    assert!(outcome.is_err());
    assert_eq!(pool.outstanding().len(), 0);
    assert_eq!(bell.rings(), 1);
    assert!(bell.poll(&mut waiting).is_ready());
}

#[test]
fn rents_of_a_thread_that_panics_come_back() {
    let pool = MemoryPool::new();
    let theirs = pool.clone();
    let thread = thread::spawn(move || {
        let _kept: Vec<MemoryOwner<u8>> = (0..5).map(|_| theirs.rent(4096)).collect();
        let (_lessor, memory) = theirs.rent::<u8>(4096).lease_read_only();
        let _pin = memory.pin().unwrap();
        panic!("on purpose");
    });
    assert!(thread.join().is_err());
    assert_eq!((pool.outstanding().len(), pool.stats().rented_bytes), (0, 0));
    assert_eq!(pool.trim(), 6 * 4096);
}

/// What a thread still has when its thread-locals are destroyed, and what it does then.
struct Last {
    pool: MemoryPool,
    _owner: MemoryOwner<u8>,
    _leased: (Lessor<u8, ReadOnly>, ReadOnlyMemory<u8>),
    _lent: (Lessor<u8>, Memory<u8>),
    _abandoned: MemoryHandle<u8>,
}

impl Last {
    fn new(pool: &MemoryPool) -> Last {
        let (lessor, memory) = pool.rent::<u8>(4096).lease_read_only();
        let pin = memory.pin().unwrap();
        drop(lessor);
        Last {
            pool: pool.clone(),
            _owner: pool.rent(4096),
            _leased: pool.rent(4096).lease_read_only(),
            _lent: pool.rent(4096).lease(),
            _abandoned: pin,
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let mut late = self.pool.rent::<u8>(4096);
        late.fill(1);
        let (lessor, memory) = late.lease_read_only();
        assert_eq!(memory.span().unwrap()[4095], 1);
        drop(lessor);
        assert!(memory.span().is_err());
        assert!(self.pool.outstanding().len() >= 4);
        drop(self.pool.rent::<u8>(3 << 20));
    }
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

#[test]
fn thread_locals_that_are_destroyed_before_the_cache_may_rent_and_return() {
    ends_well(|pool| {
        drop(pool.rent::<u8>(4096));
        LAST.set(Some(Last::new(pool)));
    });
}

#[test]
fn thread_locals_that_are_destroyed_after_the_cache_may_rent_and_return() {
    ends_well(|pool| {
        LAST.set(None);
        LAST.set(Some(Last::new(pool)));
    });
}

/// Runs `work` on a thread of its own, which leaves something to its thread-locals.
fn ends_well(work: impl FnOnce(&MemoryPool) + Send + 'static) {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    let theirs = pool.clone();
    thread::spawn(move || work(&theirs)).join().unwrap();
    assert_eq!(pool.outstanding().len(), 0);
    assert_eq!(pool.stats().rented_bytes, 0);
    assert_eq!(pool.trim(), pool.stats().misses() as usize * 4096 - 4096 + (3 << 20));
    assert_eq!(watched.held(), 0);
}

#[test]
fn a_thread_local_may_be_the_last_to_know_of_a_pool_and_of_a_waiter() {
    bounded(|| {
        thread_local! {
            static OWNER: RefCell<Option<MemoryOwner<u8>>> = const { RefCell::new(None) };
        }
        let pool = MemoryPool::builder().build_bounded(4096);
        for touch_first in [false, true] {
            let theirs = pool.clone();
            let (holds, held) = mpsc::channel();
            let (leave, left) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                if touch_first {
                    OWNER.set(None);
                }
                let owner = theirs.rent_blocking(4096).unwrap();
                OWNER.set(Some(owner));
                holds.send(()).unwrap();
                let _ = left.recv();
            });
            held.recv().unwrap();
            let mut rent = pool.rent::<u8>(4096);
            let bell = Arc::new(Bell::default());
            assert!(bell.poll(&mut rent).is_pending());
            drop(leave);
            thread.join().unwrap();
            assert_eq!(bell.rings(), 1);
            assert!(bell.poll(&mut rent).is_ready());
        }
    });
}

#[test]
fn trim_reaches_what_other_threads_keep() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    let (ready, is_ready) = mpsc::channel();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (pool, ready) = (pool.clone(), ready.clone());
            let (go, gone) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                for round in 0..3 {
                    drop((0..10).map(|_| pool.rent::<u8>(4096)).collect::<Vec<_>>());
                    drop(pool.rent::<u8>(100 << round));
                    ready.send(()).unwrap();
                    gone.recv().unwrap();
                }
            });
            (go, thread)
        })
        .collect();
    for _ in 0..3 {
        (0..3).for_each(|_| is_ready.recv().unwrap());
        let held = watched.held();
        assert!(held >= 30 * 4096);
        assert_eq!((pool.idle_bytes(), pool.trim(), pool.idle_bytes()), (held, held, 0));
        assert_eq!(watched.held(), 0);
        threads.iter().for_each(|(go, _)| go.send(()).unwrap());
    }
    threads.into_iter().for_each(|(_, thread)| thread.join().unwrap());
}

#[test]
fn a_budget_is_not_used_up_by_what_other_threads_keep() {
    let pool = MemoryPool::builder().build_bounded(16 * 4096);
    let (kept, keeps) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let theirs = pool.clone();
    let thread = thread::spawn(move || {
        drop((0..16).map(|_| theirs.try_rent::<u8>(4096).unwrap()).collect::<Vec<_>>());
        kept.send(()).unwrap();
        let _ = left.recv();
        // Its cache was taken away, and works.
        drop((0..8).map(|_| theirs.try_rent::<u8>(4096).unwrap()).collect::<Vec<_>>());
    });
    keeps.recv().unwrap();
    let all = pool.try_rent::<u8>(16 * 4096).unwrap();
    assert!(pool.try_rent::<u8>(1).is_err());
    drop(all);
    assert!(poll_once(&mut pool.rent::<u8>(16 * 4096)).is_ready());
    drop(leave);
    thread.join().unwrap();
}

#[cfg(all(target_os = "linux", not(miri)))]
mod forked {
    #![expect(unsafe_code, reason = "fork")]

    use std::sync::mpsc;
    use std::thread;

    use leasehold::{MemoryOwner, MemoryPool};

    use crate::support::alone;

    /// Runs `body` in a forked child; true when it returned.
    fn in_a_child(body: impl FnOnce()) -> bool {
        // SAFETY: this process has no threads that hold locks; see `alone`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: it ends the child without its parent's destructors.
            unsafe { libc::_exit(i32::from(!fine)) }
        }
        let mut status = 0;
        // SAFETY: the child is ours and the status a local.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(waited, child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }

    #[test]
    fn a_forked_child_may_exit_or_rent_or_trim() {
        if !alone("pool_threads::forked::a_forked_child_may_exit_or_rent_or_trim") {
            return;
        }
        let pool = MemoryPool::new();
        let budgeted = MemoryPool::builder().build_bounded(8 * 4096);
        drop((0..70).map(|_| pool.rent::<u8>(4096)).collect::<Vec<_>>());
        let mut rented = pool.rent::<u8>(4096);
        rented.fill(1);
        let waits_for = budgeted.try_rent::<u8>(4 * 4096).unwrap();
        // Another thread, which has a cache of its own and will not be there in the child.
        let (theirs, (kept, keeps)) = (pool.clone(), mpsc::channel());
        let (leave, left) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            drop((0..10).map(|_| theirs.rent::<u8>(4096)).collect::<Vec<_>>());
            kept.send(()).unwrap();
            let _ = left.recv();
        });
        keeps.recv().unwrap();
        let idle = pool.idle_bytes();
        assert!(in_a_child(|| {}), "it may exit");
        let fine = in_a_child(|| {
            let mut owners: Vec<MemoryOwner<u8>> = (0..100).map(|_| pool.rent(4096)).collect();
            owners.iter_mut().for_each(|owner| owner.fill(2));
            assert_eq!(rented[..], [1; 4096]);
            let (lessor, memory) = owners.pop().unwrap().lease_read_only();
            assert_eq!(memory.span().unwrap()[0], 2);
            drop((lessor, owners));
            assert_eq!(pool.outstanding().len(), 1);
            assert!(budgeted.try_rent::<u8>(5 * 4096).is_err());
            drop(budgeted.try_rent::<u8>(4 * 4096).unwrap());
            assert_eq!(pool.trim(), pool.stats().misses() as usize * 4096 - 4096);
            let theirs = pool.clone();
            thread::spawn(move || drop(theirs.rent::<u8>(4096))).join().unwrap();
            assert_eq!(pool.idle_bytes(), 4096);
        });
        assert!(fine, "it may rent, return and trim, also what threads kept that are not there any more");
        assert_eq!(rented[..], [1; 4096]);
        assert_eq!((pool.idle_bytes(), pool.outstanding().len()), (idle, 1), "the parent has not noticed");
        drop((waits_for, leave));
        other.join().unwrap();
    }
}
