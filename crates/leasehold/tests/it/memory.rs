//! Exclusive and read-only handles: parts, identity, and what they say about themselves.

use std::collections::HashSet;

use leasehold::{Memory, MemoryOwner, NotAdjacent};

fn lease(len: u8) -> (leasehold::Lessor<u8>, Memory<u8>) {
    MemoryOwner::from((0..len).collect::<Vec<u8>>()).lease()
}

#[test]
fn parts_are_disjoint_and_can_be_written_at_the_same_time() {
    let (lessor, memory) = lease(10);
    let (left, right) = memory.split_at(4).unwrap();
    let (mut left, mut right) = (left, right);
    let (mut a, mut b) = (left.span_mut().unwrap(), right.span_mut().unwrap());
    assert_eq!((a.len(), b.len()), (4, 6));
    a.fill(1);
    b.fill(2);
    assert_eq!((a[3], b[0]), (1, 2));
    drop((a, b));
    drop((left, right));
    assert_eq!(lessor.try_reclaim().unwrap()[..], [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn every_split_can_be_joined_again() {
    for mid in 0..=6 {
        let (lessor, memory) = lease(6);
        let whole = format!("{memory:?}");
        let (left, right) = memory.split_at(mid).unwrap();
        let joined = left.join(right).unwrap();
        assert_eq!(format!("{joined:?}"), whole);
        assert_eq!(joined.span().unwrap()[..], [0, 1, 2, 3, 4, 5]);
        drop(joined);
        assert!(lessor.is_returned());
    }
}

#[test]
fn only_adjacent_parts_in_order_are_joined() {
    let (_lessor, memory) = lease(6);
    let (a, rest) = memory.split_at(2).unwrap();
    let (b, c) = rest.split_at(2).unwrap();
    let NotAdjacent { first: a, second: c } = a.join(c).unwrap_err();
    let NotAdjacent { first: c, second: b } = c.join(b).unwrap_err();
    let (_other, stranger) = lease(6);
    let NotAdjacent { first: a, .. } = a.join(stranger).unwrap_err();
    let all = a.join(b).unwrap().join(c).unwrap();
    assert_eq!(all.len(), 6);
}

#[test]
fn parts_with_a_gap_are_not_joined() {
    let (_lessor, memory) = lease(6);
    let (left, right) = memory.split_at(3).unwrap();
    let right = right.slice(1..).unwrap();
    assert!(left.join(right).is_err());
}

#[test]
fn parts_of_two_leases_of_one_buffer_are_not_joined() {
    let (lessor, memory) = lease(6);
    let (left, _) = memory.split_at(3).unwrap();
    let (_lessor, memory) = lessor.try_reclaim().unwrap().lease();
    let (_, right) = memory.split_at(3).unwrap();
    assert!(left.join(right).is_err());
}

#[test]
fn a_slice_gives_the_rest_up_until_the_lease_ends() {
    let (lessor, memory) = lease(6);
    let mut memory = memory.slice(2..4).unwrap();
    memory.span_mut().unwrap().fill(9);
    drop(memory);
    assert!(lessor.is_returned());
    assert_eq!(lessor.try_reclaim().unwrap()[..], [0, 1, 9, 9, 4, 5]);
}

#[test]
fn forgotten_parts_leave_the_lease_to_be_revoked() {
    let (lessor, memory) = lease(6);
    let (left, right) = memory.split_at(2).unwrap();
    std::mem::forget(left);
    drop(right);
    assert!(!lessor.is_returned());
    assert_eq!(lessor.revoke().wait().unwrap().len(), 6);
}

#[test]
fn many_parts_go_to_many_threads_and_come_back() {
    let parts = if cfg!(miri) { 4 } else { 64 };
    let (lessor, mut rest) = MemoryOwner::from(vec![0usize; parts * 10]).lease();
    let mut threads = Vec::new();
    for i in 0..parts {
        let (mut part, next) = rest.split_at(10).unwrap();
        rest = next;
        threads.push(std::thread::spawn(move || {
            part.span_mut().unwrap().fill(i);
            part
        }));
    }
    let parts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(rest.is_empty());
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap();
    let whole = parts.fold(first, |whole, part| whole.join(part).unwrap());
    let whole = whole.join(rest).unwrap();
    let span = whole.span().unwrap();
    assert!(span.chunks(10).enumerate().all(|(i, chunk)| chunk.iter().all(|&word| word == i)));
    drop(span);
    drop(whole);
    assert!(lessor.is_returned());
}

#[test]
#[expect(clippy::mutable_key_type, reason = "handles hash by identity, which never changes")]
fn handles_are_equal_by_identity_and_not_by_content() {
    let (_a, one) = MemoryOwner::from(vec![1u8; 4]).lease_read_only();
    let (_b, two) = MemoryOwner::from(vec![1u8; 4]).lease_read_only();
    assert_ne!(one, two);
    assert_eq!(one, one);
    assert_eq!(one.slice(1..3), one.slice(..3).slice(1..));
    assert_ne!(one.slice(1..3), one.slice(1..2));
    assert_ne!(one.slice(..0), one.slice(1..1), "empty ranges in different places differ");
    let set = HashSet::from([one, two, one.slice(..4), one.slice(1..)]);
    assert_eq!(set.len(), 3);
}

#[test]
fn a_handle_of_an_earlier_lease_is_another_handle() {
    let (lessor, before) = MemoryOwner::from(vec![1u8; 4]).lease_read_only();
    let (_lessor, after) = lessor.try_reclaim().unwrap().lease_read_only();
    assert_ne!(before, after);
    assert!(before.span().is_err());
}

#[test]
fn two_parts_are_two_handles() {
    let (_lessor, memory) = lease(4);
    let (left, right) = memory.split_at(2).unwrap();
    assert_ne!(left, right);
    assert_eq!(left, left);
}

#[test]
fn debug_never_prints_contents() {
    const SECRET: u64 = 777_777_777_777;
    let owner = MemoryOwner::from(vec![SECRET; 2]);
    let mut texts = vec![format!("{owner:?} {owner:#?}")];
    let (lessor, mut memory) = owner.lease();
    texts.push(format!("{lessor:?} {memory:?} {memory:#?}"));
    texts.push(format!("{:?}", memory.span().unwrap()));
    texts.push(format!("{:?}", memory.span_mut().unwrap()));
    let pin = memory.pin().unwrap();
    texts.push(format!("{pin:?}"));
    let in_use = lessor.try_reclaim().unwrap_err();
    texts.push(format!("{in_use:?} {in_use}"));
    let memory = pin.unpin();
    texts.push(format!("{:?}", memory.split_at(5).unwrap_err()));
    let (lessor, view) = in_use.lessor.try_reclaim().unwrap().lease_read_only();
    texts.push(format!("{view:?} {:?} {:?}", view.span().unwrap(), view.pin().unwrap()));
    let span = view.span().unwrap();
    let revocation = lessor.revoke();
    texts.push(format!("{revocation:?} {:?}", view.span().unwrap_err()));
    let held = revocation.wait().unwrap_err();
    texts.push(format!("{held:?} {held}"));
    drop(span);
    for text in texts {
        assert!(!text.contains("777777"), "{text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn a_pin_keeps_the_address() {
    let (_lessor, memory) = lease(6);
    let address = memory.span().unwrap().as_ptr();
    let pin = memory.pin().unwrap();
    assert_eq!(pin.as_ptr(), address);
    let pin = std::thread::spawn(move || pin).join().unwrap();
    assert_eq!(pin.as_ptr(), address);
    assert_eq!(pin.unpin().span().unwrap().as_ptr(), address);
}

#[test]
fn a_dropped_exclusive_pin_returns_its_part() {
    let (lessor, memory) = lease(6);
    drop(memory.pin().unwrap());
    assert!(lessor.is_returned());
    assert!(lessor.try_reclaim().is_ok());
}

#[test]
fn a_forgotten_pin_keeps_the_buffer_for_ever() {
    let tally = crate::support::Tally::new(2);
    let (lessor, memory) = leasehold::SharedOwner::from(tally.elements()).try_lease_read_only().unwrap();
    std::mem::forget(memory.pin().unwrap());
    let in_use = lessor.try_reclaim().unwrap_err();
    assert_eq!((in_use.spans, in_use.pins), (0, 1));
    drop(in_use.lessor);
    assert!(tally.all(0));
    assert!(memory.span().is_err());
}

#[test]
fn views_of_one_buffer_are_read_by_many_threads_at_once() {
    let (lessor, memory) = MemoryOwner::from((0..1000u32).collect::<Vec<_>>()).lease_read_only();
    let threads: Vec<_> = (0..4usize)
        .map(|i| {
            let part = memory.slice(i * 250..(i + 1) * 250);
            std::thread::spawn(move || part.span().unwrap().iter().sum::<u32>())
        })
        .collect();
    let sum: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 999 * 500);
    assert!(lessor.try_reclaim().is_ok());
}

#[test]
fn an_exclusive_handle_is_read_through_references_from_several_threads() {
    let (_lessor, memory) = lease(6);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(memory.span().unwrap()[..], [0, 1, 2, 3, 4, 5]));
        }
    });
}
