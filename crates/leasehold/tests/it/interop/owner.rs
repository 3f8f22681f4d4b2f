//! Values of any type as owners.

use std::sync::Arc;

use leasehold::{MemoryOwner, NotExclusive, SharedOwner};

use crate::support::Tally;

#[test]
fn a_value_that_lends_a_slice_is_dropped_with_the_last_shared_owner() {
    let tally = Tally::new(3);
    let owner = SharedOwner::from_owner(tally.elements());
    let part = owner.slice(1..);
    drop(owner);
    assert!(tally.all(0));
    assert_eq!(part[0].index, 1);
    drop(part);
    assert!(tally.all(1));
}

#[test]
fn a_value_that_lends_itself_has_reached_its_place_before() {
    let owner = SharedOwner::from_owner([1u64, 2, 3]);
    let address = owner.as_ptr();
    let moved = std::thread::spawn(move || owner).join().unwrap();
    assert_eq!((moved.as_ptr(), &moved[..]), (address, &[1, 2, 3][..]));
    let mut owner = MemoryOwner::from_owner([1u64, 2, 3]);
    owner[1] = 20;
    let shared = owner.into_shared();
    assert_eq!(
        shared.clone().try_into_owner().unwrap_err().to_string(),
        "the buffer has other shared owners"
    );
    assert_eq!(shared.try_into_owner().unwrap()[..], [1, 20, 3]);
}

#[test]
fn what_was_lent_for_reading_is_never_written() {
    let table: Arc<[u8]> = Arc::from([1, 2, 3]);
    let shared = SharedOwner::from_owner(Arc::clone(&table));
    assert!(matches!(shared.try_into_owner(), Err(NotExclusive::ReadOnly(_))));
    assert_eq!(Arc::strong_count(&table), 1);
}

#[test]
fn a_value_can_be_leased_and_revoked() {
    let (lessor, memory) = MemoryOwner::from_owner(vec![1, 2, 3]).lease_read_only();
    let pin = memory.pin().unwrap();
    let revocation = lessor.revoke().try_take().unwrap_err();
    assert_eq!(pin[..], [1, 2, 3]);
    drop(pin);
    assert_eq!(revocation.wait().unwrap()[..], [1, 2, 3]);
}
