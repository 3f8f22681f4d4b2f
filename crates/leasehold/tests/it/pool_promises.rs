//! Promises of the pool that are easily broken: by a thread that sleeps, a backing that misbehaves, a figure that is taken
//! from the wrong place.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use leasehold::{BoundedPool, MemoryOwner, MemoryPool, RentError};

use crate::support::{Bell, alone, bounded, catch, poll_once};
use crate::watched::Watched;

#[test]
fn a_share_comes_back_when_it_is_dropped_though_a_thread_has_used_it() {
    let pool = MemoryPool::builder().build_bounded(2 << 20);
    let share = pool.share(1 << 20).unwrap();
    drop(share.try_rent::<u8>(1000).unwrap());
    drop(share);
    assert!(pool.try_rent::<u8>(2 << 20).is_ok());
}

#[test]
fn the_backing_of_a_pool_goes_with_its_last_handle_and_rent() {
    let watched = Watched::new();
    let weak = Arc::downgrade(&watched);
    let pool = MemoryPool::builder().backing(watched).build();
    drop(pool.rent::<u8>(1000));
    drop(pool);
    assert!(weak.upgrade().is_none());
}

#[test]
fn what_another_thread_has_in_its_limbo_serves_who_waits() {
    // The thread of another test may have it in hand, and serves us then, but later.
    if cfg!(not(miri)) && !alone("pool_promises::what_another_thread_has_in_its_limbo_serves_who_waits") {
        return;
    }
    bounded(|| {
        let pool = MemoryPool::builder().build_bounded(4096);
        let (lessor, memory) = pool.try_rent::<u8>(4096).unwrap().lease_read_only();
        thread::spawn(move || drop(memory.span().unwrap())).join().unwrap();
        let (idle, dropped) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let sleeper = thread::spawn(move || {
            drop(lessor);
            idle.send(()).unwrap();
            let _ = left.recv();
        });
        dropped.recv().unwrap();
        // Nobody uses the buffer. The thread that revoked it does nothing more.
        let served = poll_once(&mut pool.rent::<u8>(4096)).is_ready();
        drop(leave);
        sleeper.join().unwrap();
        assert!(served);
    });
}

#[test]
fn a_backing_that_panics_loses_nothing_of_the_budget() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(4096);
    watched.on_next_allocate(|| panic!("no"));
    assert!(catch(|| drop(pool.try_rent::<u8>(4096))).is_err());
    assert_eq!(pool.try_rent::<u8>(4096).unwrap().len(), 4096);
}

#[test]
fn a_backing_that_panics_when_it_takes_back_loses_nothing_else() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(3 * 4096);
    drop((0..3).map(|_| pool.try_rent::<u8>(4096).unwrap()).collect::<Vec<_>>());
    watched.on_next_release(|| panic!("no"));
    assert!(catch(|| pool.trim()).is_err());
    pool.trim();
    assert_eq!((watched.held(), pool.outstanding().len()), (0, 0));
    assert!(pool.try_rent::<u8>(3 * 4096).is_ok());
}

#[test]
fn a_backing_may_ask_its_pool_while_it_takes_back() {
    bounded(|| {
        let watched = Watched::new();
        let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(8192);
        drop(pool.try_rent::<u8>(4096).unwrap());
        let asked = pool.clone();
        watched.on_next_release(move || assert!(asked.stats().budget.is_some()));
        drop(pool.try_rent::<u8>(8192).unwrap());
    });
}

#[test]
fn a_reserve_serves_who_began_to_wait_meanwhile() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(4096);
    let (send, receive) = mpsc::channel();
    let bell = Arc::new(Bell::default());
    let leaked: &'static BoundedPool = crate::support::leak(pool.clone());
    let ring = Arc::clone(&bell);
    watched.on_next_allocate(move || {
        let mut rent = leaked.rent::<u8>(4096);
        assert!(ring.poll(&mut rent).is_pending());
        send.send(rent).unwrap();
    });
    pool.reserve::<u8>(4096, 1).unwrap();
    let mut rent = receive.recv().unwrap();
    assert_eq!(bell.rings(), 1);
    assert!(bell.poll(&mut rent).is_ready());
}

#[test]
fn the_budget_holds_for_whole_pages() {
    let watched = Watched::of_pages();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(4 * 5120);
    let owners: Vec<_> = std::iter::from_fn(|| pool.try_rent::<u8>(5000).ok()).collect();
    assert!(!owners.is_empty());
    assert!(watched.peak() <= 4 * 5120, "{} bytes", watched.peak());
}

#[test]
fn the_budget_holds_for_large_blocks_on_the_heap() {
    for len in [1 << 15, 1 << 17, 1 << 20, 3 << 20] {
        let watched = Watched::new();
        let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(10 * len);
        let owners: Vec<_> = std::iter::from_fn(|| pool.try_rent::<u8>(len).ok()).collect();
        assert!(!owners.is_empty());
        assert!(watched.peak() <= 10 * len, "{} bytes", watched.peak());
    }
}

#[test]
fn a_refused_rent_is_no_rent() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let owner = pool.try_rent::<u8>(4096).unwrap();
    for _ in 0..10 {
        assert!(pool.try_rent::<u8>(4096).is_err());
    }
    assert_eq!((pool.stats().rents(), pool.stats().hits()), (1, 0));
    drop(owner);
}

#[test]
fn rents_that_waited_count() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let owner = pool.try_rent::<u8>(4096).unwrap();
    let (mut first, mut second) = (pool.rent::<u8>(4096), pool.rent::<u8>(4096));
    assert!(poll_once(&mut first).is_pending() && poll_once(&mut second).is_pending());
    drop(owner);
    let Poll::Ready(Ok(owner)) = poll_once(&mut first) else { panic!() };
    drop(owner);
    assert!(poll_once(&mut second).is_ready());
    assert_eq!((pool.stats().rents(), pool.stats().hits()), (3, 2));
}

#[test]
fn a_large_rent_that_waits_counts_once() {
    let pool = MemoryPool::builder().build_bounded(4 << 20);
    let mut owners: Vec<_> = (0..4).map(|_| pool.try_rent::<u8>(1 << 20).unwrap()).collect();
    let mut large = pool.rent::<u8>(4 << 20);
    while owners.pop().is_some() {
        assert!(!owners.is_empty() || poll_once(&mut large).is_ready());
        assert!(owners.is_empty() || poll_once(&mut large).is_pending());
    }
    drop(large);
    assert_eq!(pool.stats().rents(), 5);
}

#[test]
fn rents_of_a_pool_that_zeroes_count() {
    let pool = MemoryPool::builder().zero_on_return(true).build();
    (0..3).for_each(|_| drop(pool.rent::<u8>(100)));
    assert_eq!((pool.stats().rents(), pool.stats().hits()), (3, 2));
}

#[test]
fn the_stock_stays_within_its_limit_when_a_thread_ends() {
    let pool = MemoryPool::builder().idle_limit(0).build();
    let clone = pool.clone();
    thread::spawn(move || drop(clone.rent::<u8>(4096))).join().unwrap();
    assert_eq!(pool.idle_bytes(), 0);
}

#[test]
fn the_stock_stays_within_its_limit_when_a_shelf_is_full() {
    let pool = MemoryPool::builder().idle_limit(0).build();
    let mut owners: Vec<MemoryOwner<u8>> = (0..129).map(|_| pool.rent(4096)).collect();
    owners.push(pool.rent(100));
    owners.into_iter().for_each(drop);
    // A full shelf and the last one; half of the shelf had to make room.
    assert!(pool.idle_bytes() <= 65 * 4096 + 128, "{}", pool.idle_bytes());
}

#[test]
fn a_leak_is_found_though_its_buffer_was_rented_before() {
    let pool = MemoryPool::new();
    let before = pool.rent::<u8>(100);
    let address = before.as_ptr();
    let guard = pool.leak_guard();
    drop(before);
    let leaked = pool.rent::<u8>(100);
    assert_eq!(leaked.as_ptr(), address);
    assert_eq!(guard.leaks().len(), 1);
    drop(leaked);
    assert_eq!(guard.leaks().len(), 0);
}

#[test]
fn what_is_promised_to_a_waiter_is_nobodys_rent() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let owner = pool.try_rent::<u8>(4096).unwrap();
    let mut rent = pool.rent::<u8>(4096);
    assert!(poll_once(&mut rent).is_pending());
    drop(owner);
    assert_eq!(pool.outstanding().len(), 0);
    assert_eq!(pool.stats().rented_bytes, 0);
    drop(rent);
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("no");
        }
    }
    let pool = MemoryPool::builder().build_bounded(4096);
    let owner = pool.try_rent::<u8>(4096).unwrap();
    let (mut first, mut second) = (pool.rent::<u8>(1024), pool.rent::<u8>(1024));
    let waker = Waker::from(Arc::new(Panics));
    assert!(pin!(&mut first).as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let bell = Arc::new(Bell::default());
    assert!(bell.poll(&mut second).is_pending());
    assert!(catch(|| drop(owner)).is_err());
    assert_eq!(bell.rings(), 1);
}

#[test]
fn an_error_says_what_was_asked() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let Err(RentError::OverBudget { asked, budget }) = pool.try_rent::<u8>(4000 * 4) else { panic!() };
    assert_eq!((asked, budget), (16384, 4096));
}

#[test]
fn a_pool_that_ends_while_a_buffer_comes_back_leaves_nothing() {
    let (owners, inbox) = mpsc::channel::<(MemoryOwner<u8>, Arc<std::sync::Barrier>)>();
    let returner = thread::spawn(move || {
        for (owner, together) in inbox {
            together.wait();
            drop(owner);
        }
    });
    let mut gone = Vec::new();
    for _ in 0..if cfg!(miri) { 10 } else { 5000 } {
        let watched = Watched::new();
        gone.push(Arc::downgrade(&watched));
        let pool = MemoryPool::builder().backing(watched).build();
        let together = Arc::new(std::sync::Barrier::new(2));
        owners.send((pool.rent(100), Arc::clone(&together))).unwrap();
        together.wait();
        drop(pool);
    }
    drop(owners);
    returner.join().unwrap();
    // This thread lets go of its caches of pools that are gone when it rents from one that is new to it.
    drop(MemoryPool::new().rent::<u8>(1));
    assert_eq!(gone.iter().filter(|weak| weak.strong_count() > 0).count(), 0);
}

#[test]
fn what_goes_into_a_limbo_while_somebody_waits_serves_him() {
    bounded(|| {
        let pool = MemoryPool::builder().build_bounded(4096);
        let (lessor, memory) = pool.try_rent::<u8>(4096).unwrap().lease_read_only();
        thread::spawn(move || drop(memory.span().unwrap())).join().unwrap();
        let bell = Arc::new(Bell::default());
        let mut rent = pool.rent::<u8>(4096);
        assert!(bell.poll(&mut rent).is_pending());
        let (dropped, is_dropped) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let sleeper = thread::spawn(move || {
            drop(lessor);
            dropped.send(()).unwrap();
            let _ = left.recv();
        });
        is_dropped.recv().unwrap();
        let rings = bell.rings();
        drop(leave);
        sleeper.join().unwrap();
        assert_eq!(rings, 1);
        assert!(bell.poll(&mut rent).is_ready());
    });
}

/// Somebody queues up for all there is while the backing takes back what another one wants to use.
fn queue_up_during(call: impl FnOnce(&BoundedPool)) {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build_bounded(8192);
    drop(pool.try_rent::<u8>(4096).unwrap());
    let (send, receive) = mpsc::channel();
    let bell = Arc::new(Bell::default());
    let leaked: &'static BoundedPool = crate::support::leak(pool.clone());
    let ring = Arc::clone(&bell);
    watched.on_next_release(move || {
        let mut rent = leaked.rent::<u8>(8192);
        let served = ring.poll(&mut rent).is_ready();
        send.send((!served).then_some(rent)).unwrap();
    });
    call(&pool);
    if let Some(mut rent) = receive.recv().unwrap() {
        assert_eq!(bell.rings(), 1, "nobody has anything");
        assert!(bell.poll(&mut rent).is_ready());
    }
}

#[test]
fn who_queues_up_while_a_rent_makes_room_is_served() {
    queue_up_during(|pool| drop(pool.try_rent::<u8>(8192)));
}

#[test]
fn who_queues_up_while_a_share_makes_room_is_served() {
    queue_up_during(|pool| drop(pool.share(8192)));
}

#[test]
fn who_queues_up_during_a_trim_is_served() {
    queue_up_during(|pool| assert_eq!(pool.trim(), 4096));
}
