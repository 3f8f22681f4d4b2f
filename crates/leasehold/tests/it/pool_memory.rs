//! What a pool's memory is like: its contents, its place, where it comes from.

use std::sync::Arc;
use std::thread;

use leasehold::{MemoryOwner, MemoryPool, PoolBuilder};

use crate::support::{alone, catch};
use crate::watched::Watched;

#[test]
fn a_zeroed_rent_is_zero_whoever_had_it_before() {
    let pool = MemoryPool::new();
    for len in [1, 63, 64, 1000, 5000, 40_000] {
        pool.rent::<u16>(len).fill(0xABCD);
        assert!(pool.rent_zeroed::<u16>(len).iter().all(|&word| word == 0));
        pool.rent::<u16>(len).fill(0xABCD);
        let mut short = pool.rent_zeroed::<u16>(len / 2 + 1);
        assert!(short.iter().all(|&word| word == 0));
        short.fill(1);
    }
    assert!(pool.rent_zeroed::<u8>(0).is_empty());
}

#[test]
fn a_pool_that_zeroes_gives_the_next_tenant_and_the_backing_zeros_only() {
    // The thread of another test may have what was revoked here in hand when its own pool looks into all limbos.
    const NAME: &str = "pool_memory::a_pool_that_zeroes_gives_the_next_tenant_and_the_backing_zeros_only";
    if cfg!(not(miri)) && !alone(NAME) {
        return;
    }
    let watched = Watched::new();
    watched.look();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).zero_on_return(true).build();
    let large: &[usize] = if cfg!(miri) { &[] } else { &[40_000, 3 << 20] };
    for &len in [1, 64, 65, 1000, 5000].iter().chain(large) {
        let mut owner = pool.rent::<u8>(len);
        let room = owner.capacity();
        owner.fill(0xFF);
        owner.truncate(1);
        drop(owner);
        let again = pool.rent::<u8>(room);
        assert!(again.iter().all(|&byte| byte == 0), "{len}: nothing of the slack either");
        drop(again);

        let mut owner = pool.rent::<u8>(room);
        owner.fill(0xFF);
        let (lessor, memory) = owner.lease_read_only();
        let pin = memory.pin().unwrap();
        drop(lessor);
        thread::spawn(move || drop(pin)).join().unwrap();
        assert!(pool.rent::<u8>(room).iter().all(|&byte| byte == 0), "{len}: returned by a pin elsewhere");

        let unwound = catch(|| {
            pool.rent::<u8>(room).fill(0xFF);
            let mut owner = pool.rent::<u8>(room);
            owner.fill(0xFF);
            let _shared = owner.into_shared();
            panic!("on purpose");
        });
        assert!(unwound.is_err());
    }
    assert!(pool.trim() > 0);
    assert_eq!((watched.held(), watched.dirty()), (0, 0));
    let mut last = pool.rent::<u8>(100);
    drop(pool);
    last.fill(0xFF);
    drop(last);
    assert_eq!((watched.held(), watched.dirty()), (0, 0), "also when the pool is gone");
}

#[test]
fn a_pool_that_does_not_zero_leaves_what_was_there() {
    let watched = Watched::new();
    watched.look();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    pool.rent::<u8>(100).fill(1);
    pool.trim();
    assert_eq!(watched.dirty(), 1, "the check can fail");
}

#[test]
fn every_alignment_up_to_a_huge_page_is_kept() {
    let mut alignment = 1;
    while alignment <= 2 << 20 {
        let pool = MemoryPool::builder().alignment(alignment).build();
        for len in [0, 1, 64, 100, 5000, 40_000, 100_000] {
            for _ in 0..2 {
                let owners: Vec<MemoryOwner<u8>> = (0..3).map(|_| pool.rent(len)).collect();
                for owner in &owners {
                    assert_eq!(owner.as_ptr().addr() % alignment.max(64), 0, "{len} at {alignment}");
                }
            }
        }
        alignment *= if cfg!(miri) { 32 } else { 2 };
    }
}

#[test]
fn alignments_that_no_pool_gives_are_refused() {
    for alignment in [0, 3, 96, 4 << 20, usize::MAX] {
        let panic = catch(|| drop(MemoryPool::builder().alignment(alignment))).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains(&format!("at most 2 MiB, not {alignment}")), "{message}");
    }
}

#[test]
fn a_backing_may_use_the_pool_that_calls_it() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).build();
    let asked = pool.clone();
    watched.on_next_allocate(move || asked.rent::<u8>(4096).fill(1));
    pool.rent::<u8>(4096).fill(2);
    assert_eq!((watched.given(), pool.idle_bytes()), (2, 2 * 4096));
    let asked = pool.clone();
    watched.on_next_release(move || {
        drop(asked.rent::<u8>(100));
        assert!(asked.outstanding().len() <= 2 && asked.stats().idle_bytes > 0);
    });
    assert_eq!(pool.trim(), 2 * 4096);
    assert_eq!((pool.outstanding().len(), pool.trim()), (0, 128));
}

#[test]
fn the_backing_never_gives_more_than_the_budget() {
    let watched = Watched::new();
    // Blocks of this alignment take their size and no more.
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).alignment(128).build_bounded(1 << 20);
    for len in [100, 5000, 40_000, 1 << 19, 1 << 20, 40_000, 100] {
        let owners: Vec<MemoryOwner<u8>> = std::iter::from_fn(|| pool.try_rent(len).ok()).collect();
        assert!(!owners.is_empty(), "idle buffers of other sizes make room");
        assert_eq!(watched.held(), pool.stats().rented_bytes + pool.stats().idle_bytes);
    }
    assert!(watched.peak() > 1_000_000 && watched.peak() <= 1 << 20, "{}", watched.peak());
    assert_eq!(watched.peak(), pool.stats().peak_bytes);
}

/// Rents of all sizes, with contents, leases and returns elsewhere; nothing is left afterwards.
fn exercise(builder: PoolBuilder, name: &str) {
    let pool = builder.build();
    let mut owners = Vec::new();
    for round in 0..3u8 {
        for len in [1usize, 100, 4096, 5000, 40_000, if cfg!(miri) { 70_000 } else { 300_000 }] {
            let byte = round * 16 + owners.len() as u8;
            match pool.try_rent::<u8>(len) {
                Ok(mut owner) => {
                    owner.fill(byte);
                    owners.push((owner, byte));
                }
                // A process may not lock that much.
                Err(error) => println!("{name}: skipped {len} bytes: {error}"),
            }
        }
        let (lessor, memory) = owners.swap_remove(0).0.lease_read_only();
        assert_eq!(memory.span().unwrap().len(), lessor.len());
        let pin = memory.pin().unwrap();
        drop(lessor);
        thread::spawn(move || drop(pin)).join().unwrap();
        // The interpreter looks at some of each.
        let step = if cfg!(miri) { 997 } else { 1 };
        let is_whole =
            |(owner, byte): &(MemoryOwner<u8>, u8)| owner.iter().step_by(step).all(|other| other == byte);
        assert!(owners.iter().all(is_whole), "{name}");
        owners.truncate(owners.len() / 2);
    }
    // Where tests share a process, another one may have taken a block out of our limbo and be about to return it.
    let settled = (0..1000).any(|_| {
        thread::yield_now();
        pool.outstanding().len() == owners.len()
    });
    assert!(settled, "{name}: {:?}", pool.outstanding());
    drop(owners);
    let stats = pool.stats();
    assert_eq!((stats.rented_bytes, pool.outstanding().len()), (0, 0), "{name}");
    assert_eq!(pool.trim(), stats.idle_bytes, "{name}");
    let last = pool.rent::<u8>(100);
    drop(pool);
    thread::spawn(move || drop(last)).join().unwrap();
}

#[test]
fn a_pool_works_on_the_heap_and_on_what_gives_whole_pages() {
    exercise(MemoryPool::builder(), "heap");
    exercise(MemoryPool::builder().alignment(128), "heap, aligned");
    exercise(MemoryPool::builder().zero_on_return(true), "heap, zeroed");
    let watched = Watched::of_pages();
    exercise(MemoryPool::builder().backing(Arc::clone(&watched)), "whole pages");
    assert_eq!(watched.held(), 0);
}

#[cfg(all(unix, not(miri)))]
mod mapped {
    use leasehold::{GuardPages, HugePages, Locked, MemoryPool, Pages};

    use super::exercise;

    #[test]
    fn a_pool_works_on_pages() {
        for huge in [HugePages::Never, HugePages::Advised, HugePages::Reserved] {
            exercise(MemoryPool::builder().backing(Pages::new().huge(huge)), "pages");
            exercise(MemoryPool::builder().backing(Pages::new().huge(huge)).zero_on_return(true), "pages");
        }
    }

    #[test]
    fn a_pool_works_on_locked_pages() {
        exercise(MemoryPool::builder().backing(Locked), "locked");
    }

    #[test]
    fn a_pool_works_between_guard_pages() {
        exercise(MemoryPool::builder().backing(GuardPages::new()), "guard pages");
        exercise(MemoryPool::builder().backing(GuardPages::new().quarantine(1 << 20)), "quarantine");
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn buffers_may_have_more_elements_than_four_gibi() {
        let pool = MemoryPool::builder().backing(Pages::new().huge(HugePages::Never)).idle_limit(0).build();
        const LEN: usize = (4 << 30) + 12_345;
        let mut owner = match pool.try_rent::<u8>(LEN) {
            Ok(owner) => owner,
            Err(error) => return println!("skipped: {error}"),
        };
        assert_eq!(owner.len(), LEN);
        (owner[0], owner[4 << 30], owner[LEN - 1]) = (1, 2, 3);
        let (lessor, memory) = owner.lease_read_only();
        assert_eq!((lessor.len(), memory.len()), (LEN, LEN));
        let tail = memory.slice(4 << 30..);
        let span = tail.span().unwrap();
        assert_eq!((span.len(), span[0], span[12_344]), (12_345, 2, 3));
        assert_eq!(pool.outstanding()[0].bytes, 5 << 30);
        drop(span);
        let (lessor, memory) = lessor.try_reclaim().unwrap().lease();
        let (left, mut right) = memory.split_at(4 << 30).unwrap();
        right.span_mut().unwrap()[0] = 4;
        let memory = left.join(right).unwrap();
        assert_eq!(memory.span().unwrap()[4 << 30], 4);
        drop((lessor, memory));
        assert_eq!((pool.outstanding().len(), pool.idle_bytes()), (0, 0));
        // Elements of no size take no room.
        assert_eq!(pool.rent::<()>(1 << 40).len(), 1 << 40);
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod between_processes {
    use std::io;
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    use leasehold::{MemoryPool, Sealed, SharedMemory};

    use super::exercise;

    const RECEIVER: &str = "LEASEHOLD_TEST_POOL_RECEIVER";
    const NUMBERS: usize = 100_000;

    #[test]
    fn a_pool_works_on_shared_memory() {
        exercise(MemoryPool::builder().backing(SharedMemory::new()), "shared memory");
        exercise(MemoryPool::builder().backing(SharedMemory::new()).zero_on_return(true), "shared memory");
    }

    #[test]
    fn another_process_reads_a_frozen_buffer_of_a_pool() {
        const NAME: &str = "pool_memory::between_processes::another_process_reads_a_frozen_buffer_of_a_pool";
        if let Ok(offset) = std::env::var(RECEIVER) {
            let file = io::stdin().as_fd().try_clone_to_owned().unwrap();
            let received = Sealed::<u32>::open_at(file, offset.parse().unwrap(), NUMBERS).unwrap();
            assert!(received.iter().copied().eq(0..NUMBERS as u32));
            return println!("the receiver has read {} numbers", received.len());
        }
        let memory = SharedMemory::new();
        let pool = MemoryPool::builder().backing(memory.clone()).build_bounded(1 << 20);
        // What an earlier tenant left must not reach the other process.
        pool.try_rent::<u8>(448 << 10).unwrap().fill(0xEE);
        let mut owner = pool.try_rent::<u32>(NUMBERS).unwrap();
        let address = owner.as_ptr().addr();
        owner.iter_mut().zip(0..).for_each(|(number, index)| *number = index);
        let sealed = memory.freeze(owner).unwrap();
        assert_eq!(pool.outstanding().len(), 1, "it is rented until nobody reads it here");
        let output = Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(RECEIVER, sealed.offset().to_string())
            .stdin(Stdio::from(sealed.as_fd().try_clone_to_owned().unwrap()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("has read 100000 numbers"), "{text}");
        let shared = sealed.into_shared();
        let (lessor, view) = shared.try_lease_read_only().unwrap();
        let pin = view.pin().unwrap();
        drop(lessor);
        assert_eq!(pool.outstanding().len(), 1);
        assert!(pool.try_rent::<u8>(1 << 20).is_err());
        drop(pin);
        assert_eq!(pool.outstanding().len(), 0);
        let mut again = pool.try_rent::<u32>(NUMBERS).unwrap();
        assert_eq!(again.as_ptr().addr(), address);
        assert!(again.iter().all(|&number| number == 0), "with a file of its own");
        again.fill(1);
    }

    #[test]
    fn a_buffer_that_fills_no_whole_pages_is_frozen() {
        let memory = SharedMemory::new();
        let pool = MemoryPool::builder().backing(memory.clone()).build();
        for len in [1, 5000, 9000, 20_000] {
            let mut owner = pool.rent::<u8>(len);
            owner.fill(7);
            assert!(memory.freeze(owner).unwrap().iter().all(|&byte| byte == 7), "{len}");
        }
    }

    #[test]
    fn a_frozen_buffer_may_outlive_its_pool() {
        let memory = SharedMemory::new();
        let pool = MemoryPool::builder().backing(memory.clone()).build();
        let mut owner = pool.rent::<u64>(512);
        owner.fill(7);
        let sealed = memory.freeze(owner).unwrap();
        drop((pool, memory));
        assert!(sealed.iter().all(|&number| number == 7));
    }

    #[test]
    fn an_owner_that_is_not_of_the_pool_comes_back_unfrozen() {
        let memory = SharedMemory::new();
        let heap = MemoryPool::new();
        let mut owner = heap.rent::<u8>(4096);
        owner.fill(3);
        let refused = memory.freeze(owner).unwrap_err();
        assert_eq!(refused.owner[..], [3; 4096]);
        assert!(refused.to_string().contains("not of a pool on this shared memory"));
    }
}
