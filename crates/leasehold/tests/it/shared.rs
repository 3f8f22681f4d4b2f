//! Shared owners.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use leasehold::{MemoryOwner, NotExclusive, SharedOwner};

use crate::support::{Tally, catch};

#[test]
fn the_last_shared_owner_disposes() {
    let tally = Tally::new(3);
    let one = SharedOwner::from(tally.elements());
    let two = one.clone();
    let part = two.slice(1..2);
    assert_eq!(one.owners(), 3);
    drop(one);
    drop(two);
    assert!(tally.all(0));
    assert_eq!(part[0].index, 1);
    drop(part);
    assert!(tally.all(1));
}

#[test]
fn the_last_shared_owner_may_be_on_any_thread() {
    let rounds = if cfg!(miri) { 5 } else { 200 };
    for _ in 0..rounds {
        let tally = Tally::new(2);
        let owner = SharedOwner::from(tally.elements());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let owner = owner.clone();
                std::thread::spawn(move || assert_eq!(owner.slice(1..)[0].index, 1))
            })
            .collect();
        drop(owner);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(tally.all(1));
    }
}

#[test]
fn a_unique_shared_owner_becomes_an_owner_of_what_it_covers() {
    let tally = Tally::new(4);
    let whole = SharedOwner::from(tally.elements());
    let part = whole.slice(1..3);
    let part = match part.try_into_owner().unwrap_err() {
        NotExclusive::Shared(part) => part,
        NotExclusive::ReadOnly(_) => panic!("a vector is writable"),
    };
    drop(whole);
    let mut owner = part.try_into_owner().unwrap();
    assert_eq!(owner.iter().map(|element| element.index).collect::<Vec<_>>(), [1, 2]);
    owner.swap(0, 1);
    assert!(tally.all(0));
    drop(owner);
    assert!(tally.all(1));
}

#[test]
fn read_only_memory_never_becomes_an_owner() {
    static TABLE: [u8; 3] = [1, 2, 3];
    let shared = SharedOwner::from_static(&TABLE);
    let error = shared.try_into_owner().unwrap_err();
    assert!(matches!(error, NotExclusive::ReadOnly(_)));
    assert_eq!(error.to_string(), "the buffer's memory is read-only");
    assert_eq!(error.into_shared().as_ptr(), TABLE.as_ptr());
}

#[test]
fn read_only_memory_can_be_leased_and_comes_back_shared() {
    let (lessor, memory) = SharedOwner::from_static(&[1, 2, 3]).try_lease_read_only().unwrap();
    let memory = memory.slice(1..);
    assert_eq!(memory.span().unwrap()[..], [2, 3]);
    let shared = lessor.try_reclaim().unwrap();
    assert_eq!(shared.owners(), 1);
    assert!(memory.span().is_err());
    assert!(shared.try_into_owner().is_err());
}

#[test]
fn a_buffer_with_other_shared_owners_is_not_leased() {
    let one = SharedOwner::from(vec![1, 2, 3]);
    let two = one.clone();
    let one = one.try_lease_read_only().unwrap_err().into_shared();
    assert_eq!(one, two);
    drop(two);
    let (lessor, memory) = one.try_lease_read_only().unwrap();
    assert_eq!(memory.span().unwrap()[..], [1, 2, 3]);
    assert_eq!(lessor.try_reclaim().unwrap().try_into_owner().unwrap()[..], [1, 2, 3]);
}

#[test]
fn a_lease_of_a_slice_covers_the_slice() {
    let slice = SharedOwner::from(vec![1, 2, 3, 4]).slice(1..3);
    let (lessor, memory) = slice.try_lease_read_only().unwrap();
    assert_eq!((lessor.len(), memory.len()), (2, 2));
    assert_eq!(memory.span().unwrap()[..], [2, 3]);
    assert_eq!(lessor.revoke().wait().unwrap(), [2, 3][..]);
}

#[test]
fn slices_of_slices_share_the_memory() {
    let owner = SharedOwner::from((0..10u8).collect::<Vec<_>>());
    let slice = owner.slice(2..8).slice(1..=3);
    assert_eq!(slice, [3, 4, 5][..]);
    assert_eq!(slice.as_ptr(), owner[3..].as_ptr());
    assert!(slice.try_slice(..4).is_err());
    let (left, right) = slice.split_at(1);
    assert_eq!((&left[..], &right[..]), (&[3][..], &[4, 5][..]));
    assert_eq!(owner.owners(), 3);
}

#[test]
#[expect(clippy::mutable_key_type, reason = "nobody writes the elements of a shared owner")]
fn comparisons_hashes_and_debug_are_those_of_the_slice() {
    let (a, b) = (SharedOwner::from(vec![1, 2, 3]), SharedOwner::from(vec![1, 2, 4]));
    assert_eq!(a, a.clone());
    assert_eq!(a, SharedOwner::from(vec![1, 2, 3]));
    assert_ne!(a, b);
    assert_eq!(a.cmp(&b), Ordering::Less);
    assert_eq!(a.partial_cmp(&b.slice(..2)), [1, 2, 3][..].partial_cmp(&[1, 2][..]));
    assert_eq!(format!("{a:?}"), "[1, 2, 3]");
    let map = HashMap::from([(a.clone(), "a"), (b.clone(), "b")]);
    assert_eq!(map.get(&[1, 2, 4][..]), Some(&"b"));
    assert_eq!(HashSet::from([a.clone(), a.clone()]).len(), 1);
    let sorted: Vec<_> = BTreeSet::from([b.clone(), a.clone()]).into_iter().collect();
    assert_eq!(sorted, [a, b]);
}

#[test]
fn nan_is_unequal_to_itself_as_in_slices() {
    let nan = SharedOwner::from(vec![f32::NAN]);
    assert_ne!(nan, nan.clone());
}

#[test]
fn an_owner_survives_the_round_trip_through_sharing() {
    let owner = MemoryOwner::from(String::from("to be"));
    let address = owner.as_ptr();
    let mut owner = owner.into_shared().try_into_owner().unwrap();
    assert_eq!(owner.as_ptr(), address);
    owner[0] = b'T';
    assert_eq!(owner[..], *b"To be");
}

#[test]
fn a_slice_out_of_range_leaves_the_count_as_it_was() {
    let owner = SharedOwner::from(vec![1, 2, 3]);
    assert!(owner.try_slice(2..4).is_err());
    let panic = catch(|| owner.slice(2..4).len());
    assert!(panic.is_err());
    assert_eq!(owner.owners(), 1);
    assert!(owner.try_into_owner().is_ok());
}
