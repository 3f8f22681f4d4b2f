//! Pools that look for writes where no tenant is.
#![expect(unsafe_code, reason = "what is caught is what unsafe code does")]

use std::sync::Arc;

use leasehold::{MemoryOwner, MemoryPool};

use crate::support::catch;
use crate::watched::Watched;

/// Writes through a pointer that has no right to.
fn stray(pointer: *mut u8, offset: usize) {
    // SAFETY: none but that the pool still has the memory; it is what the tests are about.
    unsafe { pointer.wrapping_add(offset).write_volatile(1) };
}

fn message<R>(body: impl FnOnce() -> R) -> String {
    match catch(body) {
        Ok(_) => "nothing was found".to_owned(),
        Err(panic) => *panic.downcast::<String>().unwrap(),
    }
}

#[test]
fn a_write_beyond_the_end_is_found_when_the_buffer_comes_back() {
    let pool = MemoryPool::builder().poison(true).build();
    let mut owner = pool.rent::<u8>(100);
    let line = line!() - 1;
    stray(owner.as_mut_ptr(), 103);
    let message = message(|| drop(owner));
    assert!(message.contains(&format!("pool_watch.rs:{line}")), "{message}");
    assert!(message.ends_with("was written to beyond its end: at byte 103"), "{message}");
    let next = pool.rent::<u8>(100);
    assert_eq!(next.len(), 100, "the pool goes on, with other memory");
}

#[test]
fn a_write_after_the_return_is_found_by_the_next_tenant() {
    let pool = MemoryPool::builder().poison(true).build();
    let mut owner = pool.rent::<u8>(1000);
    let line = line!() - 1;
    let dangling = owner.as_mut_ptr();
    drop(owner);
    stray(dangling, 999);
    let message = message(|| pool.rent::<u8>(1000));
    assert!(message.contains(&format!("pool_watch.rs:{line}")), "{message}");
    assert!(message.ends_with("was written to after it came back: at byte 999"), "{message}");
}

#[test]
fn a_write_after_the_return_is_found_when_the_buffer_is_let_go() {
    let pool = MemoryPool::builder().poison(true).build();
    let mut owner = pool.rent::<u8>(1000);
    let dangling = owner.as_mut_ptr();
    drop(owner);
    stray(dangling, 0);
    assert!(message(|| pool.trim()).contains("after it came back"));
}

#[test]
fn a_late_write_into_the_quarantine_hits_no_tenant() {
    let pool = MemoryPool::builder().quarantine(8 << 10).build();
    let mut owner = pool.rent::<u8>(4096);
    let dangling = owner.as_mut_ptr();
    drop(owner);
    let next = pool.rent_zeroed::<u8>(4096);
    assert_ne!(next.as_ptr(), dangling.cast_const());
    stray(dangling, 7);
    assert!(next.iter().all(|&byte| byte == 0));
    assert_eq!(pool.idle_bytes(), 4096);
    drop(next);
    drop(pool.rent::<u8>(4096));
    // Two more are behind it now, so it is the next in turn.
    assert!(message(|| pool.rent::<u8>(4096)).contains("after it came back: at byte 7"));
}

#[test]
fn what_is_right_is_not_complained_of() {
    let pool = MemoryPool::builder().poison(true).quarantine(1 << 12).zero_on_return(true).build();
    for round in 0..3 {
        let mut owners: Vec<MemoryOwner<u8>> =
            [0, 1, 7, 8, 63, 64, 65, 100, 5000].map(|len| pool.rent(len)).into();
        for owner in &mut owners {
            owner.fill(round);
        }
        let last = owners.pop().unwrap();
        let (lessor, memory) = last.lease_read_only();
        assert_eq!(memory.span().unwrap()[4999], round);
        drop(lessor);
    }
    assert!(pool.outstanding().is_empty());
    pool.trim();
    assert_eq!(pool.stats().idle_bytes, 0);
}

#[test]
fn while_a_thread_panics_a_violation_is_only_told() {
    let pool = MemoryPool::builder().poison(true).build();
    let panic = catch(|| {
        let mut owner = pool.rent::<u8>(10);
        stray(owner.as_mut_ptr(), 12);
        panic!("first");
    });
    assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "first");
}

#[cfg(unix)]
#[test]
fn behind_guard_pages_a_write_into_what_is_left_before_the_guard_is_found() {
    let pool = MemoryPool::builder().poison(true).guard_pages(1 << 20).build();
    let mut owner = pool.rent::<u8>(100);
    let line = line!() - 1;
    stray(owner.as_mut_ptr(), 100);
    let message = message(|| drop(owner));
    assert!(message.contains(&format!("pool_watch.rs:{line}")), "{message}");
    assert!(message.ends_with("was written to beyond its end: at byte 100"), "{message}");
    let mut next = pool.rent::<u8>(100);
    next.fill(1);
    drop(next);
    assert_eq!(pool.idle_bytes(), 0, "what is right goes to the backing at once");
}

#[cfg(unix)]
#[test]
fn a_quarantine_or_zeros_behind_guard_pages_complain_of_nothing_that_is_right() {
    let pool = MemoryPool::builder().zero_on_return(true).quarantine(1 << 16).guard_pages(0).build();
    for len in [1, 64, 100, 4096, 5000] {
        let mut owner = pool.rent::<u8>(len);
        assert!(owner.iter().all(|&byte| byte == 0));
        owner.fill(7);
    }
    assert_eq!(pool.stats().rented_bytes, 0);
    assert_eq!(pool.idle_bytes(), 0);
}

#[test]
fn a_quarantine_ends_when_the_last_buffer_of_a_closed_pool_comes_back() {
    let watched = Watched::new();
    let pool = MemoryPool::builder().backing(Arc::clone(&watched)).quarantine(1 << 20).build();
    let (first, second) = (pool.rent::<u8>(4096), pool.rent::<u8>(4096));
    drop(first);
    drop(pool);
    drop(second);
    assert_eq!(watched.held(), 0);
}
