//! Buffers seen as elements of another type.

use leasehold::{CastReason, MemoryOwner, MemoryPool, NotExclusive, Number, SharedOwner};

#[test]
fn a_cast_is_the_same_memory_and_goes_back_to_its_pool() {
    let pool = MemoryPool::new();
    let mut bytes = pool.rent_zeroed::<u8>(40);
    let address = bytes.as_ptr();
    bytes[..4].copy_from_slice(&7u32.to_ne_bytes());
    let mut numbers = bytes.cast::<u32>().unwrap();
    assert_eq!((numbers.len(), numbers[0], numbers.as_ptr().cast()), (10, 7, address));
    assert!(numbers.capacity() >= 10);
    numbers[1] = u32::MAX;
    let pairs = numbers.cast::<[u16; 2]>().unwrap();
    assert_eq!(pairs[1], [u16::MAX; 2]);
    assert_eq!(pool.outstanding().len(), 1);
    drop(pairs);
    assert_eq!((pool.outstanding().len(), pool.rent::<u8>(40).as_ptr()), (0, address));
}

#[test]
fn a_vector_that_was_cast_is_freed_as_what_it_was() {
    let owner = MemoryOwner::from(vec![1u64, 2, 3]);
    let bytes = owner.cast::<u8>().unwrap();
    assert_eq!(bytes.len(), 24);
    let shared = bytes.into_shared();
    let slice = shared.slice(8..16);
    drop(shared);
    let slice = slice.cast::<u64>().unwrap();
    assert_eq!(slice[..], [2]);
}

#[test]
fn what_does_not_fit_comes_back_with_the_reason() {
    let owner = MemoryPool::new().rent::<u8>(10);
    let error = owner.cast::<u32>().unwrap_err();
    assert_eq!(error.reason, CastReason::Partial { bytes: 10, element_size: 4 });
    assert_eq!(error.to_string(), "10 bytes are not a whole number of elements of 4 bytes");
    let shared = error.owner.into_shared();
    let error = shared.slice(1..9).cast::<u32>().unwrap_err();
    let address = shared.as_ptr().addr() + 1;
    assert_eq!(error.reason, CastReason::Misaligned { address, alignment: 4 });
    assert_eq!((error.owner.len(), shared.owners()), (8, 2));
    drop(error);
    assert_eq!(shared.slice(4..8).cast::<u32>().unwrap().len(), 1);
    assert_eq!(shared.owners(), 1);
}

#[test]
fn elements_without_a_size_are_cast_to_each_other_only() {
    let arrays = MemoryOwner::from(vec![[0u32; 0]; 5]);
    let nothings = arrays.cast::<()>().unwrap();
    assert_eq!(nothings.len(), 5);
    let none = nothings.cast::<u8>().unwrap();
    assert_eq!(none.len(), 0);
    assert_eq!(none.cast::<()>().unwrap().len(), 0);
    let error = MemoryOwner::from(vec![1u8, 2]).cast::<()>().unwrap_err();
    assert_eq!(error.reason, CastReason::Partial { bytes: 2, element_size: 0 });
}

#[test]
fn casts_of_shared_owners_count_as_shared_owners() {
    let bytes = MemoryPool::new().rent_zeroed::<u8>(16).into_shared();
    let numbers = bytes.clone().cast::<f32>().unwrap();
    assert_eq!(bytes.owners(), 2);
    let error = numbers.try_into_owner().unwrap_err();
    assert!(matches!(error, NotExclusive::Shared(_)));
    drop(bytes);
    let mut owner = error.into_shared().try_into_owner().unwrap();
    owner[3] = 1.0;
    assert_eq!(owner.as_bytes()[12..], 1f32.to_ne_bytes());
    static TABLE: [u32; 2] = [1, 2];
    let table = SharedOwner::from_static(&TABLE).cast::<u8>().unwrap();
    assert!(matches!(table.try_into_owner(), Err(NotExclusive::ReadOnly(_))));
}

#[test]
fn a_cast_buffer_can_be_leased() {
    let owner = MemoryPool::new().rent_zeroed::<u8>(16).cast::<u32>().unwrap();
    let (lessor, mut memory) = owner.lease();
    memory.span_mut().unwrap()[3] = 9;
    drop(memory);
    let owner = lessor.try_reclaim().unwrap();
    assert_eq!(
        owner.cast::<u128>().unwrap()[..],
        [u128::from_ne_bytes(*b"\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0")]
    );
}

#[test]
fn the_bytes_of_elements_are_read_and_written_in_place() {
    let mut owner = MemoryOwner::from(vec![0u16; 3]);
    owner.as_bytes_mut()[2..4].copy_from_slice(&0x0102u16.to_ne_bytes());
    assert_eq!(owner[..], [0, 0x0102, 0]);
    let shared = owner.into_shared();
    assert_eq!(shared.slice(1..).as_bytes()[..2], 0x0102u16.to_ne_bytes());
}

#[test]
fn numbers_are_read_and_written_in_both_orders_or_not_at_all() {
    let mut bytes = [0; 9];
    assert_eq!(0x0102_0304u32.write_be(&mut bytes).unwrap().len(), 5);
    assert_eq!(bytes[..5], [1, 2, 3, 4, 0]);
    assert_eq!((u32::read_be(&bytes), u16::read_le(&bytes)), (Some(0x0102_0304), Some(0x0201)));
    assert_eq!(1.5f64.write_le(&mut bytes).unwrap().len(), 1);
    assert_eq!(f64::read_le(&bytes), Some(1.5));
    assert!(7u128.write_le(&mut bytes).is_none());
    assert_eq!((f64::read_le(&bytes), i128::read_be(&bytes)), (Some(1.5), None));
}

#[test]
fn a_pin_that_was_cast_is_the_same_pin() {
    let pool = MemoryPool::new();
    let (lessor, memory) = pool.rent_zeroed::<u32>(2).lease();
    let pinned = memory.pin().unwrap();
    let address = pinned.as_ptr();
    let mut bytes = pinned.cast::<u8>().unwrap();
    assert_eq!((bytes.as_ptr(), bytes.len()), (address.cast(), 8));
    bytes[..4].copy_from_slice(&7u32.to_ne_bytes());
    let revocation = lessor.revoke().try_take().unwrap_err();
    let error = bytes.cast::<[u8; 3]>().unwrap_err();
    assert_eq!(error.reason, CastReason::Partial { bytes: 8, element_size: 3 });
    let revocation = revocation.try_take().unwrap_err(); // the pin has come back with the error
    drop(error);
    assert_eq!(revocation.try_take().unwrap()[..], [7, 0]);

    let (lessor, memory) = pool.rent_zeroed::<u32>(2).lease();
    let numbers = memory.pin().unwrap().cast::<u8>().unwrap().unpin();
    assert!(lessor.try_reclaim().is_ok(), "a memory that nobody looks into");
    drop(numbers);

    let (lessor, memory) = pool.rent_zeroed::<u32>(2).lease_read_only();
    let pinned = memory.pin().unwrap().cast::<u8>().unwrap();
    assert!(pinned.memory().slice(1..3).span().is_ok());
    let error = memory.pin().unwrap().cast::<[u8; 3]>().unwrap_err();
    assert_eq!(error.owner[..], [0, 0]);
    let revocation = lessor.revoke().try_take().unwrap_err();
    drop(error);
    let revocation = revocation.try_take().unwrap_err();
    drop(pinned);
    assert!(revocation.try_take().is_ok());
}
