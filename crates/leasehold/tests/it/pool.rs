//! The pool.

use std::sync::mpsc;
use std::thread;

use leasehold::{MemoryOwner, MemoryPool, RentError};

use crate::support::{Tally, catch};

#[test]
fn an_owner_has_exactly_the_length_that_was_asked_for() {
    let pool = MemoryPool::new();
    for len in [0, 1, 2, 15, 16, 17, 63, 64, 65, 1000, 4095, 4096, 4097, 100_000] {
        let owner = pool.rent::<u32>(len);
        assert_eq!(owner.len(), len);
        assert!(owner.capacity() >= len);
        let slack = 4 * (owner.capacity() - len);
        assert!(slack <= 64.max(len + 4), "at most a quarter or a cache line is slack: {len}");
        assert_eq!(owner.as_ptr().addr() % 64, 0);
    }
}

#[test]
fn fresh_memory_is_zeroed() {
    let pool = MemoryPool::new();
    for len in [1, 100, if cfg!(miri) { 200 } else { 5000 }, if cfg!(miri) { 700 } else { 300_000 }] {
        assert!(pool.rent::<u64>(len).iter().all(|&word| word == 0));
    }
}

#[test]
fn what_was_returned_is_rented_again_with_its_contents() {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<u8>(1000);
    owner.fill(7);
    let address = owner.as_ptr();
    drop(owner);
    let owner = pool.rent::<u8>(1000);
    assert_eq!(owner.as_ptr(), address);
    assert!(owner.iter().all(|&byte| byte == 7));
}

#[test]
fn a_buffer_is_reused_for_another_type_of_the_same_size() {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<u32>(16);
    owner.fill(0x0101_0101);
    let address = owner.as_ptr().addr();
    drop(owner);
    let owner = pool.rent::<u8>(64);
    assert_eq!(owner.as_ptr().addr(), address);
    assert_eq!(owner[63], 1);
}

#[test]
fn a_truncated_rent_comes_back_whole() {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<u8>(1000);
    owner.truncate(1);
    drop(owner);
    assert_eq!(pool.rent::<u8>(1000).len(), 1000);
}

#[test]
fn two_rents_never_overlap() {
    let pool = MemoryPool::new();
    let mut owners: Vec<MemoryOwner<u64>> =
        (0..if cfg!(miri) { 10 } else { 200 }).map(|i| pool.rent(1 + i * 7 % 50)).collect();
    for (i, owner) in owners.iter_mut().enumerate() {
        owner.fill(i as u64);
    }
    for round in 0..3 {
        owners.remove(round * 3);
        let mut owner = pool.rent(20);
        owner.fill(1000 + round as u64);
        owners.push(owner);
    }
    let mut ranges: Vec<_> = owners.iter().map(|owner| owner.as_ptr_range()).collect();
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
    assert!(owners.iter().all(|owner| owner.iter().all(|&word| word == owner[0])));
}

#[test]
fn a_rent_is_returned_from_any_thread() {
    let pool = MemoryPool::new();
    let (send, receive) = mpsc::channel::<MemoryOwner<u8>>();
    let consumer =
        thread::spawn(move || receive.into_iter().map(|owner| usize::from(owner[0])).sum::<usize>());
    let rents = if cfg!(miri) { 20 } else { 2000 };
    for _ in 0..rents {
        let mut owner = pool.rent(100);
        owner.fill(1);
        send.send(owner).unwrap();
    }
    drop(send);
    assert_eq!(consumer.join().unwrap(), rents);
    // The consumer has ended, so all it kept to itself is in the stock.
    assert!(pool.idle_bytes() > 0);
    assert!(pool.trim() > 0);
}

#[test]
fn what_a_thread_kept_is_in_the_stock_when_it_has_ended() {
    let pool = MemoryPool::new();
    let clone = pool.clone();
    let address = thread::spawn(move || clone.rent::<u8>(4096).as_ptr().addr()).join().unwrap();
    assert_eq!(pool.idle_bytes(), 4096);
    assert_eq!(pool.rent::<u8>(4096).as_ptr().addr(), address);
}

#[test]
fn a_pool_may_be_dropped_while_rents_are_out() {
    let pool = MemoryPool::new();
    let (mut small, mut large) = (pool.rent::<u8>(10), pool.rent::<u8>(3 << 20));
    let (lessor, memory) = pool.rent::<u16>(100).lease_read_only();
    let pin = memory.pin().unwrap();
    drop(pool);
    small.fill(1);
    large[3 << 19] = 1;
    drop(lessor);
    assert_eq!(pin.len(), 100);
    drop(pin);
    drop(large);
    thread::spawn(move || assert_eq!(small[9], 1)).join().unwrap();
}

#[test]
fn clones_are_handles_of_one_pool() {
    let pool = MemoryPool::new();
    let clone = pool.clone();
    let address = pool.rent::<u8>(50).as_ptr();
    assert_eq!(clone.rent::<u8>(50).as_ptr(), address);
    drop(pool);
    assert_eq!(clone.rent::<u8>(50).as_ptr(), address);
}

#[test]
fn two_pools_share_nothing() {
    let (one, two) = (MemoryPool::new(), MemoryPool::new());
    let address = one.rent::<u8>(50).as_ptr();
    for _ in 0..10 {
        assert_ne!(two.rent::<u8>(50).as_ptr(), address);
        assert_eq!(one.rent::<u8>(50).as_ptr(), address);
    }
    two.trim();
    assert_eq!(one.rent::<u8>(50).as_ptr(), address);
}

#[test]
fn trim_gives_back_what_is_idle_and_no_more() {
    let pool = MemoryPool::new();
    let owners: Vec<MemoryOwner<u8>> = (0..4).map(|_| pool.rent(4096)).collect();
    assert_eq!(pool.trim(), 0);
    let mut owners = owners.into_iter();
    let mut kept = owners.next().unwrap();
    owners.for_each(drop);
    assert_eq!(pool.trim(), 3 * 4096);
    assert_eq!(pool.trim(), 0);
    kept.fill(1);
    drop(kept);
    assert_eq!(pool.trim(), 4096);
}

#[test]
#[cfg_attr(miri, ignore = "fills megabytes")]
fn a_stock_full_of_large_buffers_does_not_turn_small_ones_away() {
    let pool = MemoryPool::builder().idle_limit(4 << 20).build();
    pool.reserve::<u8>(2 << 20, 2).unwrap();
    for _ in 0..2 {
        drop((0..200).map(|_| pool.rent::<u8>(4096)).collect::<Vec<_>>());
    }
    let stats = pool.stats();
    let small = stats.classes.iter().find(|class| class.bytes == 4096).unwrap();
    assert_eq!((small.idle, small.misses), (200, 200));
    let large = stats.classes.iter().find(|class| class.bytes == 2 << 20).unwrap();
    assert_eq!(large.idle, 1, "one of them made room");
}

#[test]
fn rents_of_nothing_are_fine() {
    let pool = MemoryPool::new();
    let owner = pool.rent::<u64>(0);
    assert!(owner.is_empty());
    let (lessor, memory) = owner.lease();
    assert!(memory.span().unwrap().is_empty());
    let (left, right) = memory.split_at(0).unwrap();
    assert!(left.join(right).is_ok());
    assert!(lessor.is_returned());
    let units = pool.rent::<()>(usize::MAX);
    assert_eq!(units.len(), usize::MAX);
}

#[test]
fn absurd_lengths_are_errors() {
    let pool = MemoryPool::new();
    for len in [usize::MAX, usize::MAX / 2, usize::MAX / 8, usize::MAX / 8 + 1, (1 << 59) + 1] {
        let error = pool.try_rent::<u64>(len).unwrap_err();
        assert!(matches!(error, RentError::TooLarge { len: l, element_size: 8 } if l == len));
    }
    let panic = catch(|| drop(MemoryPool::new().rent::<u64>(usize::MAX))).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("no memory for"));
    assert_eq!(pool.rent::<u64>(10).len(), 10);
}

#[test]
fn the_call_site_of_a_rent_is_known() {
    let pool = MemoryPool::new();
    let (line, owner) = (line!(), pool.rent::<u8>(10));
    assert_eq!(owner.created_at().unwrap().line(), line);
    drop(owner);
    let (line, owner) = (line!(), pool.try_rent::<u8>(10).unwrap());
    assert_eq!(owner.created_at().unwrap().line(), line, "a recycled block forgets its last tenant");
    assert!(owner.created_at().unwrap().file().ends_with("pool.rs"));
}

#[test]
fn a_handle_of_one_tenant_never_sees_the_next() {
    let pool = MemoryPool::new();
    let mut stale = Vec::new();
    for tenant in 0..if cfg!(miri) { 20 } else { 1000 } {
        let mut owner = pool.rent::<u32>(16);
        owner.fill(tenant);
        let (lessor, memory) = owner.lease_read_only();
        assert_eq!(memory.span().unwrap()[..], [tenant; 16]);
        assert!(stale.iter().all(|memory: &leasehold::ReadOnlyMemory<u32>| memory.span().is_err()));
        drop(lessor);
        stale.push(memory);
        if stale.len() > 10 {
            stale.remove(0);
        }
    }
}

#[test]
fn a_revoked_rent_is_not_rented_again_while_it_is_spanned() {
    let pool = MemoryPool::new();
    let (lessor, memory) = pool.rent::<u8>(64).lease_read_only();
    let span = memory.span().unwrap();
    drop(lessor);
    let others: Vec<MemoryOwner<u8>> = (0..40).map(|_| pool.rent(64)).collect();
    assert!(others.iter().all(|owner| owner.as_ptr() != span.as_ptr()));
    let address = span.as_ptr();
    drop(span);
    assert_eq!(pool.rent::<u8>(64).as_ptr(), address, "the last one out returned it");
}

#[test]
fn a_revoked_rent_comes_back_after_the_last_span_on_another_thread() {
    let pool = MemoryPool::new();
    let (lessor, memory) = pool.rent::<u8>(4096).lease_read_only();
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    drop(memory.span().unwrap());
    let thread = thread::spawn(move || {
        let span = memory.span().unwrap();
        inside.send(()).unwrap();
        left.recv().unwrap();
        assert_eq!(span.len(), 4096);
    });
    entered.recv().unwrap();
    drop(lessor);
    leasehold::reclaim_now();
    assert_eq!(pool.trim(), 0, "it is spanned");
    leave.send(()).unwrap();
    thread.join().unwrap();
    leasehold::reclaim_now();
    assert_eq!(pool.trim(), 4096);
}

#[test]
fn the_shared_pool_is_one_for_all_threads() {
    let mut owner = MemoryPool::shared().rent::<u8>(100);
    owner.fill(1);
    thread::spawn(move || drop(owner)).join().unwrap();
    assert_eq!(MemoryPool::shared().rent::<u8>(100).len(), 100);
}

#[test]
fn many_threads_rent_and_return_each_others_buffers() {
    let pool = MemoryPool::new();
    let rounds = if cfg!(miri) { 10 } else { 2000 };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel::<MemoryOwner<u64>>()).unzip();
    let threads: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(me, receiver)| {
            let (pool, next) = (pool.clone(), senders[(me + 1) % 3].clone());
            thread::spawn(move || {
                for round in 0..rounds {
                    let mut owner = pool.rent::<u64>(1 + (round * 37 + me) % 300);
                    owner.fill((me * rounds + round) as u64);
                    next.send(owner).unwrap();
                    for owner in receiver.try_iter() {
                        assert!(owner.iter().all(|&word| word == owner[0]));
                    }
                }
                drop(next);
                for owner in receiver {
                    assert!(owner.iter().all(|&word| word == owner[0]));
                }
            })
        })
        .collect();
    drop(senders);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn dropping_a_pool_in_a_thread_local_destructor_is_fine() {
    thread_local! {
        static KEPT: std::cell::RefCell<Vec<(MemoryPool, MemoryOwner<u8>)>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let tally = Tally::new(1);
    let element = tally.element(0);
    thread::spawn(move || {
        let pool = MemoryPool::new();
        let owner = pool.rent(100);
        KEPT.with_borrow_mut(|kept| kept.push((pool, owner)));
        drop(element);
    })
    .join()
    .unwrap();
    assert!(tally.all(1));
}

#[test]
fn what_is_free_of_a_budget_can_be_rented() {
    let pool = MemoryPool::builder().build_bounded(1 << 20);
    let share = pool.share(300_000).unwrap();
    let rented = pool.try_rent::<u8>(1000).unwrap();
    drop(pool.try_rent::<u8>(400_000).unwrap());
    assert_eq!(pool.free(), (1 << 20) - 300_000 - 1024, "what is idle is free");
    assert!(pool.share(pool.free() + 1).is_err());
    let rest = pool.share(pool.free()).unwrap();
    assert_eq!(pool.free(), 0);
    drop((share, rented, rest));
    assert_eq!(pool.free(), 1 << 20);
}

#[test]
fn what_a_rent_costs_is_what_it_takes_from_the_budget() {
    let pool = MemoryPool::builder().build_bounded(1 << 30);
    for len in [0, 1, 64, 65, 1000, 5000, 300_000] {
        let cost = pool.cost::<u32>(len).unwrap();
        let owner = pool.try_rent::<u32>(len).unwrap();
        assert_eq!(pool.stats().rented_bytes, cost, "{len}");
        drop(owner);
    }
    assert!(matches!(pool.cost::<u64>(usize::MAX), Err(RentError::TooLarge { .. })));
}
