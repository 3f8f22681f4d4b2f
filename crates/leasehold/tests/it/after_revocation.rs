//! Every accessor of every handle type, after every way to end a lease, says `Revoked` and names the three call sites.

use std::any::Any;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::Location;

use leasehold::{
    Exclusive, LeaseKind, Lessor, Memory, MemoryOwner, ReadOnly, ReadOnlyMemory, Revoked, SharedOwner,
    SharedReadOnly,
};

/// A lease with the lines where its buffer was made and where it began.
struct Lease<M, K: LeaseKind<u8>> {
    lessor: Lessor<u8, K>,
    memory: M,
    created: u32,
    leased: u32,
}

fn exclusive() -> Lease<Memory<u8>, Exclusive> {
    let (created, owner) = (line!(), MemoryOwner::from(vec![1, 2, 3, 4]));
    let (leased, (lessor, memory)) = (line!(), owner.lease());
    Lease { lessor, memory, created, leased }
}

fn read_only() -> Lease<ReadOnlyMemory<u8>, ReadOnly> {
    let (created, owner) = (line!(), MemoryOwner::from(vec![1, 2, 3, 4]));
    let (leased, (lessor, memory)) = (line!(), owner.lease_read_only());
    Lease { lessor, memory, created, leased }
}

fn shared() -> Lease<ReadOnlyMemory<u8>, SharedReadOnly> {
    let (created, owner) = (line!(), SharedOwner::from(vec![1, 2, 3, 4]));
    let (leased, (lessor, memory)) = (line!(), owner.try_lease_read_only().unwrap());
    Lease { lessor, memory, created, leased }
}

fn rented() -> Lease<ReadOnlyMemory<u8>, ReadOnly> {
    let pool = leasehold::MemoryPool::new();
    let (created, owner) = (line!(), pool.rent(4));
    let (leased, (lessor, memory)) = (line!(), owner.lease_read_only());
    Lease { lessor, memory, created, leased }
}

/// The line of the call that ended the lease, if it was a call, and what has to be kept for the time of the test.
type Ended = (Option<u32>, Box<dyn Any>);

fn try_reclaim<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, owner) = (line!(), lessor.try_reclaim().unwrap());
    (Some(line), Box::new(owner))
}

fn try_reclaim_and_drop<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, owner) = (line!(), lessor.try_reclaim().unwrap());
    drop(owner);
    (Some(line), Box::new(()))
}

fn revoke<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, revocation) = (line!(), lessor.revoke());
    (Some(line), Box::new(revocation))
}

fn revoke_and_take<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, revocation) = (line!(), lessor.revoke());
    let Ok(owner) = revocation.try_take() else { panic!("nobody is inside") };
    (Some(line), Box::new(owner))
}

fn revoke_and_wait<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, revocation) = (line!(), lessor.revoke());
    let Ok(owner) = revocation.wait() else { panic!("nobody is inside") };
    (Some(line), Box::new(owner))
}

fn revoke_on_another_thread<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended
where
    Lessor<u8, K>: Send,
{
    let line = std::thread::spawn(move || {
        let (line, revocation) = (line!(), lessor.revoke());
        drop(revocation);
        line
    });
    (Some(line.join().unwrap()), Box::new(()))
}

fn revoke_all<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, revocations) = (line!(), Lessor::revoke_all([lessor]));
    (Some(line), Box::new(revocations))
}

fn drop_of_the_revocation<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    let (line, revocation) = (line!(), lessor.revoke());
    drop(revocation);
    (Some(line), Box::new(()))
}

fn drop_of_the_lessor<K: LeaseKind<u8> + 'static>(lessor: Lessor<u8, K>) -> Ended {
    drop(lessor);
    (None, Box::new(()))
}

fn line_of(site: Option<&'static Location<'static>>) -> Option<u32> {
    let site = site?;
    assert!(site.file().ends_with("after_revocation.rs"), "{site}");
    Some(site.line())
}

fn check<M, K: LeaseKind<u8> + 'static>(
    lease: fn() -> Lease<M, K>,
    end: fn(Lessor<u8, K>) -> Ended,
    access: fn(M) -> Vec<Revoked>,
) {
    // Where all tests share a process, the thread of another may lease the block again, and so often that it forgets.
    assert!((0..100).any(|_| names_the_sites(lease(), end, access)), "the sites are never there");
}

/// Whether the block still had the sites; if so, they are the right ones.
fn names_the_sites<M, K: LeaseKind<u8> + 'static>(
    Lease { lessor, memory, created, leased }: Lease<M, K>,
    end: fn(Lessor<u8, K>) -> Ended,
    access: fn(M) -> Vec<Revoked>,
) -> bool {
    let (ended, keep) = end(lessor);
    let errors = access(memory);
    assert!(!errors.is_empty());
    let is_named = |error: &Revoked| {
        let (text, revoked_at) = (error.to_string(), line_of(error.revoked_at()));
        // All that came before is right if these are still there.
        let [Some(created_at), Some(leased_at)] = [error.created_at(), error.leased_at()].map(line_of) else {
            return false;
        };
        assert_eq!((created_at, leased_at, revoked_at), (created, leased, ended));
        assert!(text.contains(&format!("after_revocation.rs:{leased}:")), "{text}");
        assert!(text.contains(&format!("after_revocation.rs:{created}:")), "{text}");
        assert_eq!(text.contains("its lessor was dropped"), ended.is_none(), "{text}");
        true
    };
    let all_named = errors.iter().all(is_named);
    drop(keep);
    all_named
}

macro_rules! says_revoked {
    ($($kind:ident $accessors:tt)*) => { $(
        mod $kind {
            says_revoked!(@accessors $kind $accessors);
        }
    )* };
    (@accessors $kind:ident { $($accessor:ident: $access:expr;)* }) => { $(
        mod $accessor {
            #[allow(unused_imports, reason = "each accessor uses some of it")]
            use super::super::*;
            says_revoked!(@endings $kind, $access, try_reclaim try_reclaim_and_drop revoke revoke_and_take
                revoke_and_wait revoke_on_another_thread revoke_all drop_of_the_revocation drop_of_the_lessor);
        }
    )* };
    (@endings $kind:ident, $access:expr, $($end:ident)*) => { $(
        #[test]
        fn $end() {
            check(super::super::$kind, super::super::$end, $access);
        }
    )* };
}

says_revoked! {
    exclusive {
        span: |memory| vec![memory.span().map(drop).unwrap_err()];
        span_mut: |mut memory| vec![memory.span_mut().map(drop).unwrap_err()];
        span_twice: |mut memory| vec![memory.span().unwrap_err(), memory.span_mut().unwrap_err()];
        pin: |memory| vec![memory.pin().unwrap_err().reason];
        pin_hands_the_memory_back: |memory| vec![memory.pin().unwrap_err().memory.pin().unwrap_err().reason];
        slice: |memory| vec![memory.slice(1..2).unwrap().span().unwrap_err()];
        slice_out_of_range: |memory| vec![memory.slice(1..9).unwrap_err().memory.span().unwrap_err()];
        split_at: |memory| {
            let (left, mut right) = memory.split_at(1).unwrap();
            vec![left.span().map(drop).unwrap_err(), right.span_mut().map(drop).unwrap_err()]
        };
        split_at_out_of_range: |memory| vec![memory.split_at(5).unwrap_err().memory.span().unwrap_err()];
        join: |memory| {
            let (left, right) = memory.split_at(1).unwrap();
            let whole = left.join(right).unwrap();
            assert_eq!(whole.len(), 4);
            vec![whole.span().map(drop).unwrap_err()]
        };
        join_in_the_wrong_order: |memory| {
            let (left, right) = memory.split_at(1).unwrap();
            let back = right.join(left).unwrap_err();
            vec![back.first.span().map(drop).unwrap_err(), back.second.span().map(drop).unwrap_err()]
        };
        len_and_identity: |memory| {
            assert_eq!((memory.len(), memory.is_empty()), (4, false));
            assert_eq!(memory, memory);
            RandomState::new().hash_one(&memory);
            assert!(format!("{memory:?}").starts_with("Memory"));
            vec![memory.span().map(drop).unwrap_err()]
        };
        on_another_thread: |memory| {
            std::thread::spawn(move || vec![memory.span().map(drop).unwrap_err()]).join().unwrap()
        };
        after_being_put_aside: |memory| {
            let boxed: Box<Memory<u8>> = Box::new(memory);
            vec![boxed.span().map(drop).unwrap_err()]
        };
    }
    read_only {
        span: |memory| vec![memory.span().unwrap_err()];
        pin: |memory| vec![memory.pin().unwrap_err()];
        slice: |memory| vec![memory.slice(1..2).span().unwrap_err(), memory.slice(1..2).pin().unwrap_err()];
        slice_of_nothing: |memory| vec![memory.slice(4..).span().unwrap_err(), memory.slice(..0).pin().unwrap_err()];
        try_slice: |memory| vec![memory.try_slice(..=3).unwrap().span().unwrap_err()];
        try_slice_out_of_range: |memory| {
            assert!(memory.try_slice(..5).is_err());
            vec![memory.span().unwrap_err()]
        };
        copies: |memory| {
            let copies = [memory; 3];
            copies.iter().map(|copy| copy.span().unwrap_err()).collect()
        };
        len_and_identity: |memory| {
            assert_eq!((memory.len(), memory.is_empty()), (4, false));
            assert_eq!(memory, memory);
            RandomState::new().hash_one(memory);
            assert!(format!("{memory:?}").starts_with("ReadOnlyMemory"));
            vec![memory.span().unwrap_err()]
        };
        on_another_thread: |memory| {
            std::thread::spawn(move || vec![memory.span().unwrap_err(), memory.pin().unwrap_err()]).join().unwrap()
        };
    }
    shared {
        span: |memory| vec![memory.span().unwrap_err()];
        pin: |memory| vec![memory.pin().unwrap_err()];
        slice: |memory| vec![memory.slice(1..2).span().unwrap_err(), memory.slice(1..2).pin().unwrap_err()];
        try_slice: |memory| vec![memory.try_slice(..=3).unwrap().span().unwrap_err()];
        on_another_thread: |memory| {
            std::thread::spawn(move || vec![memory.span().unwrap_err(), memory.pin().unwrap_err()]).join().unwrap()
        };
    }
    rented {
        span: |memory| vec![memory.span().unwrap_err()];
        pin: |memory| vec![memory.pin().unwrap_err()];
        slice: |memory| vec![memory.slice(1..2).span().unwrap_err(), memory.slice(1..2).pin().unwrap_err()];
        try_slice: |memory| vec![memory.try_slice(..=3).unwrap().span().unwrap_err()];
    }
}

#[test]
fn a_pin_outlives_the_revocation_and_its_memory_does_not() {
    let Lease { lessor, memory, leased, .. } = read_only();
    let pin = memory.pin().unwrap();
    let (line, revocation) = (line!(), lessor.revoke());
    assert_eq!(pin[..], [1, 2, 3, 4]);
    for error in [pin.memory().span().unwrap_err(), pin.memory().pin().unwrap_err()] {
        assert_eq!(line_of(error.leased_at()), Some(leased));
        assert_eq!(line_of(error.revoked_at()), Some(line));
    }
    assert!(pin.memory() == memory);
    drop(pin);
    assert!(revocation.try_take().is_ok());
}

#[test]
fn an_exclusive_pin_outlives_the_revocation_and_its_memory_does_not() {
    let Lease { lessor, memory, leased, .. } = exclusive();
    let mut pin = memory.pin().unwrap();
    let (line, revocation) = (line!(), lessor.revoke());
    pin[0] = 10;
    let mut memory = pin.unpin();
    for error in [memory.span().map(drop).unwrap_err(), memory.span_mut().map(drop).unwrap_err()] {
        assert_eq!(line_of(error.leased_at()), Some(leased));
        assert_eq!(line_of(error.revoked_at()), Some(line));
    }
    let owner = revocation.try_take().unwrap();
    assert_eq!(owner[..], [10, 2, 3, 4]);
    drop(memory);
    assert_eq!(owner[..], [10, 2, 3, 4]);
}

#[test]
fn a_handle_says_revoked_while_a_span_is_still_alive() {
    let Lease { lessor, memory, leased, .. } = read_only();
    let span = memory.span().unwrap();
    let (line, revocation) = (line!(), lessor.revoke());
    let error = memory.span().unwrap_err();
    assert_eq!((line_of(error.leased_at()), line_of(error.revoked_at())), (Some(leased), Some(line)));
    assert_eq!(memory.pin().unwrap_err(), error);
    assert_eq!(span[..], [1, 2, 3, 4]);
    drop(span);
    assert_eq!(memory.span().unwrap_err(), error);
    drop(revocation);
    assert_eq!(memory.span().unwrap_err(), error);
}

#[test]
fn handles_of_earlier_leases_keep_their_own_sites() {
    let mut owner = MemoryOwner::from(vec![1, 2, 3]);
    let mut ended = Vec::new();
    for _ in 0..2 {
        let (leased, (lessor, memory)) = (line!(), owner.lease_read_only());
        let (revoked, again) = (line!(), lessor.try_reclaim().unwrap());
        ended.push((memory, leased, revoked));
        let (leased, (lessor, memory)) = (line!(), again.lease_read_only());
        let (revoked, again) = (line!(), lessor.revoke().wait().unwrap());
        ended.push((memory, leased, revoked));
        owner = again;
    }
    let _lease = owner.lease_read_only();
    for (memory, leased, revoked) in &ended[1..] {
        let error = memory.span().unwrap_err();
        assert_eq!(line_of(error.leased_at()), Some(*leased));
        assert_eq!(line_of(error.revoked_at()), Some(*revoked));
    }
    let oldest = ended[0].0.span().unwrap_err();
    assert_eq!(oldest.leased_at(), None, "a block remembers its last four leases, and the fifth has begun");
    assert!(oldest.to_string().contains("the lease is over"), "{oldest}");
}

#[test]
fn a_refused_attempt_leaves_no_call_site() {
    let Lease { lessor, memory, .. } = read_only();
    let span = memory.span().unwrap();
    let lessor = lessor.try_reclaim().unwrap_err().lessor;
    drop(span);
    drop(lessor);
    let error = memory.span().unwrap_err();
    assert_eq!(error.revoked_at(), None, "the lease was ended by the drop of its lessor");
}
