//! What a pool says of itself: figures, errors, leaks.

use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use leasehold::{Backing, BackingError, BoundedPool, ClassStats, MemoryOwner, MemoryPool, RentError};

use crate::support::{Bell, bounded, catch, poll_once};
use crate::watched::Watched;

fn class(pool: &MemoryPool, bytes: usize) -> ClassStats {
    *pool.stats().classes.iter().find(|class| class.bytes == bytes).unwrap()
}

#[test]
fn each_class_counts_its_rents_misses_and_buffers() {
    let pool = MemoryPool::new();
    let mut owners = Vec::new();
    for (len, bytes, count) in [(100, 128, 3), (1000, 1024, 5), (5000, 5120, 7), (3 << 20, 3 << 20, 2)] {
        let mine: Vec<MemoryOwner<u8>> = (0..count).map(|_| pool.rent(len)).collect();
        let ClassStats { rented, idle, rents, misses, .. } = class(&pool, bytes);
        assert_eq!((rented, idle, rents, misses), (count, 0, count as u64, count as u64), "{bytes}");
        owners.push((len, bytes, mine));
    }
    for (len, bytes, mut mine) in owners {
        let all = mine.len();
        mine.pop();
        let ClassStats { rented, idle, .. } = class(&pool, bytes);
        assert_eq!((rented, idle), (all - 1, 1), "{bytes}");
        drop(pool.rent::<u8>(len));
        drop(mine);
        let ClassStats { rented, idle, rents, misses, returned_elsewhere, .. } = class(&pool, bytes);
        assert_eq!((rented, idle), (0, all), "{bytes}");
        assert_eq!((rents, misses, returned_elsewhere), (all as u64 + 1, all as u64, 0), "{bytes}");
    }
    let stats = pool.stats();
    assert_eq!((stats.rents(), stats.misses(), stats.hits()), (21, 17, 4));
    assert_eq!(stats.peak_bytes, stats.idle_bytes);
    pool.trim();
    let after = pool.stats();
    assert_eq!((after.rents(), after.misses(), after.idle_bytes), (21, 17, 0), "a trim forgets nothing");
    assert_eq!(after.peak_bytes, stats.peak_bytes);
}

#[test]
fn what_threads_return_beyond_what_they_rented_counts_as_returned_elsewhere() {
    let pool = MemoryPool::new();
    for round in 1..=3 {
        let owners: Vec<MemoryOwner<u8>> = (0..10).map(|_| pool.rent(1000)).collect();
        let theirs = pool.clone();
        thread::spawn(move || {
            drop(theirs.rent::<u8>(1000));
            drop(owners);
        })
        .join()
        .unwrap();
        let ClassStats { rented, returned_elsewhere, .. } = class(&pool, 1024);
        assert_eq!((rented, returned_elsewhere), (0, 10 * round));
        assert_eq!(pool.stats().returned_elsewhere(), 10 * round);
        assert_eq!(class(&pool, 1024).hits(), pool.stats().hits());
    }
    let ClassStats { rents, misses, idle, .. } = class(&pool, 1024);
    // How many had to be made depends on how many this thread kept when another one asked.
    assert_eq!((rents, misses), (33, idle as u64));
}

#[test]
fn figures_add_up_over_many_rents() {
    let pool = MemoryPool::new();
    let rents = if cfg!(miri) { 12 } else { 100_000 };
    for round in 0..rents {
        drop(pool.rent::<u8>(1 + round % 3 * 1000));
    }
    assert_eq!((pool.stats().rents(), pool.stats().misses()), (rents as u64, 3));
    assert_eq!(pool.stats().idle_bytes, 64 + 1024 + 2048);
}

#[test]
fn an_exhausted_budget_says_who_has_what() {
    let pool = MemoryPool::builder().build_bounded(10 << 12);
    let _used = pool.try_rent::<u8>(4 << 12).unwrap();
    let (lessor, memory) = pool.try_rent::<u8>(2 << 12).unwrap().lease_read_only();
    let pin = memory.pin().unwrap();
    drop(lessor);
    drop(pool.try_rent::<u8>(2 << 12).unwrap());
    let _share = pool.share(1 << 12).unwrap();
    let Err(RentError::Exhausted(state)) = pool.try_rent::<u32>(1 << 12) else { panic!() };
    assert_eq!((state.asked, state.budget), (4 << 12, 10 << 12));
    assert_eq!((state.used, state.idle, state.waiting), (7 << 12, 2 << 12, 0), "revoked and pinned is used");
    assert_eq!(
        RentError::Exhausted(state).to_string(),
        "no room for 16384 bytes: of a budget of 40960 bytes 28672 are used and 8192 idle, and 0 rents wait"
    );
    let mut waits = pool.rent::<u8>(5 << 12);
    assert!(poll_once(&mut waits).is_pending());
    let Err(RentError::Exhausted(state)) = pool.try_rent::<u8>(1) else { panic!() };
    assert_eq!((state.asked, state.waiting), (1, 1), "who waits comes first, though there is room");
    assert!(state.used + state.idle <= state.budget);
    assert!(matches!(pool.share(1), Err(RentError::Exhausted(state)) if state.asked == 1));
    assert_eq!((pool.stats().waiting, pool.stats().waited), (1, 1));
    drop(pin);
    assert!(poll_once(&mut waits).is_ready());
    assert_eq!((pool.stats().waiting, pool.stats().waited), (0, 1));
}

#[test]
fn a_rent_beyond_the_whole_budget_is_an_error_at_once() {
    let pool = MemoryPool::builder().build_bounded(1000);
    let over = |outcome: Result<MemoryOwner<u16>, RentError>| {
        let error = outcome.unwrap_err();
        let RentError::OverBudget { asked, budget } = error else { panic!("{error:?}") };
        assert_eq!((asked, budget), (1024, 1000));
        assert_eq!(error.to_string(), "a buffer of 1024 bytes is larger than the whole budget of 1000 bytes");
    };
    over(pool.try_rent(500));
    over(pool.rent_blocking(500));
    let Poll::Ready(outcome) = poll_once(&mut pool.rent(500)) else { panic!("it would wait for ever") };
    over(outcome);
    // Also while others wait.
    let owner = pool.try_rent::<u8>(800).unwrap();
    let mut waits = pool.rent::<u8>(800);
    assert!(poll_once(&mut waits).is_pending());
    over(pool.try_rent(500));
    let Poll::Ready(outcome) = poll_once(&mut pool.rent(500)) else { panic!("it would wait for ever") };
    over(outcome);
    assert_eq!(pool.stats().waited, 1);
    drop(owner);
    assert!(poll_once(&mut waits).is_ready());
}

#[test]
fn a_budget_of_nothing_serves_nobody_and_hangs_nobody() {
    let pool = MemoryPool::builder().build_bounded(0);
    assert!(matches!(pool.try_rent::<u8>(1), Err(RentError::OverBudget { asked: 64, budget: 0 })));
    assert!(matches!(pool.rent_blocking::<u8>(0), Err(RentError::OverBudget { .. })));
    assert!(matches!(pool.reserve::<u8>(1, 1), Err(RentError::Exhausted(_))));
    assert!(pool.reserve::<u8>(1, 0).is_ok());
    let share = pool.share(0).unwrap();
    assert!(matches!(share.try_rent::<u8>(1), Err(RentError::OverBudget { .. })));
    assert!(pool.share(1).is_err() && share.share(1).is_err());
    assert!(pool.share(usize::MAX).is_err());
}

#[test]
fn errors_say_what_went_wrong() {
    let pool = MemoryPool::builder().build_bounded(4096);
    for outcome in [pool.try_rent::<u64>(usize::MAX), pool.rent_blocking(usize::MAX)] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, RentError::TooLarge { len: usize::MAX, element_size: 8 }));
        assert_eq!(error.to_string(), format!("no memory for {} elements of 8 bytes", usize::MAX));
    }
    let Poll::Ready(outcome) = poll_once(&mut pool.rent::<u64>(usize::MAX)) else { panic!() };
    assert!(matches!(outcome, Err(RentError::TooLarge { .. })));
    assert!(matches!(pool.reserve::<u64>(usize::MAX, 1), Err(RentError::TooLarge { .. })));
}

#[test]
fn a_backing_without_memory_is_an_error_with_its_reason_and_costs_no_budget() {
    /// Refuses every layout, as a backing may.
    struct Empty;
    // SAFETY: it gives nothing, so there is nothing to promise.
    #[expect(unsafe_code, reason = "it is a backing")]
    unsafe impl Backing for Empty {
        fn allocate(&self, layout: std::alloc::Layout) -> Result<std::ptr::NonNull<u8>, BackingError> {
            Err(BackingError::Layout { size: layout.size(), alignment: layout.align(), granularity: 1 })
        }
        unsafe fn release(&self, _: std::ptr::NonNull<u8>, _: std::alloc::Layout) {
            unreachable!("it gives nothing")
        }
    }
    let pool = MemoryPool::builder().backing(Empty).build_bounded(4096);
    for _ in 0..3 {
        let error = pool.try_rent::<u8>(4096).unwrap_err();
        assert!(matches!(error, RentError::Backing(_)), "the budget is there: {error}");
        assert_eq!(error.to_string(), "the backing of the pool has no memory");
        assert!(std::error::Error::source(&error).unwrap().is::<BackingError>());
        let Poll::Ready(Err(RentError::Backing(_))) = poll_once(&mut pool.rent::<u8>(4096)) else { panic!() };
        assert!(matches!(pool.reserve::<u8>(4096, 2), Err(RentError::Backing(_))));
    }
    assert_eq!((pool.stats().rented_bytes, pool.outstanding().len()), (0, 0));
    let unlimited = MemoryPool::builder().backing(Empty).build();
    let panic = catch(|| drop(unlimited.rent::<u8>(10))).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("has no memory"));
}

#[test]
fn every_rent_is_listed_with_its_line_and_who_holds_it() {
    let pool = MemoryPool::new();
    let (line, mut owners) = (line!(), vec![pool.rent::<u8>(1000)]);
    owners.extend((0..3).map(|_| pool.try_rent(5000).unwrap()));
    let (lessor, memory) = pool.rent::<u64>(10).lease_read_only();
    let (_pin, _span) = (memory.pin().unwrap(), memory.span().unwrap());
    drop(lessor);
    let rents = pool.outstanding();
    let mut bytes: Vec<_> = rents.iter().map(|rent| rent.bytes).collect();
    bytes.sort_unstable();
    assert_eq!(bytes, [128, 1024, 5120, 5120, 5120]);
    let first = rents.iter().find(|rent| rent.bytes == 1024).unwrap();
    assert_eq!(first.rented_at.map(|site| (site.file(), site.line())), Some((file!(), line)));
    assert!(first.to_string().starts_with(&format!("1024 bytes, rented at {}:{line}:", file!())));
    let leased = rents.iter().find(|rent| rent.bytes == 128).unwrap();
    assert_eq!((leased.leased, leased.pins, leased.spans), (true, 1, 1));
    assert!(leased.to_string().ends_with("leased with 1 spans and 1 pins"));
    assert!(rents.iter().all(|rent| rent.age < Duration::from_secs(3600)));
    assert!(rents.is_sorted_by_key(|rent| std::cmp::Reverse(rent.age)));
    drop(owners);
    assert_eq!(pool.outstanding().len(), 1);
}

/// The lines of the rents in a leak guard's message.
fn leaked_lines(message: &str) -> Vec<u32> {
    let at = |line: &str| line.split(file!()).nth(1)?.split(':').nth(1)?.parse().ok();
    message.lines().filter_map(at).collect()
}

#[test]
fn a_leak_guard_names_the_lines() {
    let pool = MemoryPool::new();
    let before = pool.rent::<u8>(100);
    let mut leaked = Vec::new();
    let mut lines = Vec::new();
    let panic = catch(|| {
        let _guard = pool.leak_guard();
        drop(pool.rent::<u8>(1000));
        leaked.push(pool.rent::<u8>(2000));
        lines.push(line!() - 1);
        leaked.push(pool.try_rent::<u8>(3000).unwrap());
        lines.push(line!() - 1);
    })
    .unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("2 rents did not come back:"), "{message}");
    let mut named = leaked_lines(message);
    named.sort_unstable();
    assert_eq!(named, lines, "{message}");
    assert!(message.contains("2048 bytes") && message.contains("3072 bytes"), "{message}");
    drop((before, leaked));
}

#[test]
fn a_leak_guard_of_a_budget_names_the_line_of_the_future() {
    let pool = MemoryPool::builder().build_bounded(8192);
    let guard = pool.leak_guard();
    let first = pool.try_rent::<u8>(8192).unwrap();
    let (line, mut rent) = (line!(), pool.rent::<u8>(4096));
    assert!(poll_once(&mut rent).is_pending());
    drop(first);
    let Poll::Ready(Ok(second)) = poll_once(&mut rent) else { panic!() };
    let leaks = guard.leaks();
    assert_eq!(leaks.iter().map(|leak| leak.rented_at.unwrap().line()).collect::<Vec<_>>(), [line]);
    drop(second);
    assert_eq!(guard.leaks().len(), 0);
}

#[test]
fn a_leak_guard_keeps_quiet_during_a_panic() {
    let pool = MemoryPool::new();
    let panic = catch(|| {
        let leaked = pool.rent::<u8>(10);
        let _guard = pool.leak_guard();
        std::mem::forget(leaked.into_shared());
        let _rent = std::mem::ManuallyDrop::new(pool.rent::<u8>(10));
        panic!("the first one");
    })
    .unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "the first one");
    assert_eq!(pool.outstanding().len(), 2);
    // They are lost. The memory goes with the process.
    crate::support::leak(pool);
}

#[test]
fn what_was_reserved_is_there_without_asking_the_backing() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    pool.reserve::<u32>(1000, 10).unwrap();
    pool.reserve::<u8>(3 << 20, 2).unwrap();
    pool.reserve::<u8>(10, 0).unwrap();
    assert_eq!((watched.given(), pool.idle_bytes()), (12, 10 * 4096 + (6 << 20)));
    let owners: Vec<MemoryOwner<u32>> = (0..10).map(|_| pool.rent(1000)).collect();
    assert!(owners.iter().all(|owner| owner.iter().all(|&word| word == 0)));
    let large: Vec<MemoryOwner<u8>> = (0..2).map(|_| pool.rent(3 << 20)).collect();
    assert_eq!((watched.given(), pool.idle_bytes()), (12, 0));
    drop((owners, large));
    assert_eq!(pool.trim(), 10 * 4096 + (6 << 20));
    assert_eq!(watched.held(), 0);
}

#[test]
fn a_reserve_beyond_the_budget_keeps_what_there_was_room_for() {
    let pool = MemoryPool::builder().build_bounded(4 * 4096);
    let _owner = pool.try_rent::<u8>(4096).unwrap();
    let Err(RentError::Exhausted(state)) = pool.reserve::<u8>(4096, 10) else { panic!() };
    assert_eq!((state.asked, state.used, state.idle), (4096, 4096, 3 * 4096));
    assert!(pool.reserve::<u8>(8192, 1).is_err(), "idle memory makes no room for a reserve");
    assert!(pool.try_rent::<u8>(3 * 4096).is_ok(), "but for a rent");
}

#[test]
fn a_share_is_a_budget_of_its_own() {
    let pool = MemoryPool::builder().build_bounded(10 << 12);
    let (one, two) = (pool.share(3 << 12).unwrap(), pool.share(3 << 12).unwrap());
    assert!(pool.share(5 << 12).is_err());
    let mine = pool.try_rent::<u8>(4 << 12).unwrap();
    let theirs = one.try_rent::<u8>(3 << 12).unwrap();
    assert_eq!(one.stats().budget, Some(3 << 12));
    assert!(pool.try_rent::<u8>(1).is_err() && one.try_rent::<u8>(1).is_err());
    assert!(two.try_rent::<u8>(3 << 12).is_ok(), "nobody else can use it up");
    let part = two.share(1 << 12).unwrap();
    assert!(matches!(two.try_rent::<u8>(3 << 12), Err(RentError::Exhausted(_))));
    let mut waits = pool.rent::<u8>(3 << 12);
    let bell = Arc::new(Bell::default());
    assert!(bell.poll(&mut waits).is_pending());
    drop(part);
    drop(two);
    drop(mine);
    assert_eq!(bell.rings(), 1);
    assert!(bell.poll(&mut waits).is_ready());
    drop(theirs);
}

#[test]
fn sweeps_let_go_of_what_is_not_used_and_of_nothing_else() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).decay(Duration::ZERO).build();
    drop((0..8).map(|_| pool.rent::<u8>(4096)).collect::<Vec<_>>());
    drop(pool.rent::<u8>(3 << 20));
    for _ in 0..6 {
        drop(pool.rent::<u8>(100));
        drop(pool.rent::<u8>(3 << 20));
        pool.sweep();
    }
    assert_eq!(class(&pool, 4096).idle, 0);
    assert_eq!((class(&pool, 128).idle, class(&pool, 3 << 20).idle), (1, 1), "these were used in between");
    let swept = pool.sweep() + pool.sweep() + pool.sweep();
    assert_eq!((swept, watched.held(), pool.idle_bytes()), (128 + (3 << 20), 0, 0));
}

#[test]
fn a_sweep_reaches_what_other_threads_keep() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    let theirs = pool.clone();
    let (kept, keeps) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        drop((0..8).map(|_| theirs.rent::<u8>(4096)).collect::<Vec<_>>());
        kept.send(()).unwrap();
        let _ = left.recv();
        assert_eq!(theirs.rent::<u8>(4096).len(), 4096);
    });
    keeps.recv().unwrap();
    assert_eq!(pool.sweep() + pool.sweep() + pool.sweep(), 8 * 4096);
    assert_eq!(watched.held(), 0);
    drop(leave);
    thread.join().unwrap();
}

#[test]
fn idle_memory_decays_on_occasion_of_rents() {
    bounded(|| {
        let watched = Watched::new();
        let pool = MemoryPool::builder()
            .backing(Arc::clone(&watched))
            .decay(Duration::from_millis(1))
            .build_bounded(64 << 20);
        drop((0..4).map(|_| pool.try_rent::<u8>(1 << 20).unwrap()).collect::<Vec<_>>());
        drop(pool.try_rent::<u8>(8 << 20).unwrap());
        while watched.held() > 128 {
            drop(pool.try_rent::<u8>(100).unwrap());
        }
        assert_eq!(pool.stats().idle_bytes, 128);
    });
}

#[test]
fn no_decay_means_none() {
    let pool: BoundedPool = MemoryPool::builder().decay(Duration::ZERO).build_bounded(1 << 20);
    drop(pool.try_rent::<u8>(4096).unwrap());
    for _ in 0..if cfg!(miri) { 100 } else { 10_000 } {
        drop(pool.try_rent::<u8>(100).unwrap());
    }
    assert_eq!(pool.stats().idle_bytes, 4096 + 128);
}
