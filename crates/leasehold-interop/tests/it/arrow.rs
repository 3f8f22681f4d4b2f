//! `arrow-buffer`.

use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use leasehold::{BadOffsets, MemoryOwner, MemoryPool, Ragged, SharedOwner};
use leasehold_interop::arrow::{self, ListRows};

use crate::rented;

#[test]
fn a_buffer_shows_an_owner_and_gives_it_back() {
    let pool = MemoryPool::new();
    let owner = rented(&pool, &[1.0f32, 2.0, 3.0]);
    let address = owner.as_ptr();
    let buffer = arrow::to_buffer(owner);
    assert_eq!((buffer.as_ptr(), buffer.typed_data::<f32>()), (address.cast(), &[1.0, 2.0, 3.0][..]));
    let part = buffer.slice(4);
    drop(buffer);
    assert_eq!((pool.outstanding().len(), part.typed_data::<f32>()), (1, &[2.0, 3.0][..]));
    drop(part);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_buffer_of_a_pin_survives_the_end_of_the_lease() {
    let pool = MemoryPool::new();
    let (lessor, memory) = rented(&pool, &[1i64, 2]).lease_read_only();
    let scalars = arrow::to_scalar_buffer(memory.pin().unwrap());
    assert_eq!(scalars.as_ptr(), memory.span().unwrap().as_ptr());
    drop(lessor);
    assert_eq!((pool.outstanding().len(), &scalars[..]), (1, &[1, 2][..]));
    drop(scalars);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_buffer_that_arrow_could_write_is_never_taken_from_a_shared_owner() {
    let shared = SharedOwner::from(vec![1u8, 2, 3]);
    let buffer = arrow::to_buffer(shared.clone());
    let buffer = buffer.into_mutable().unwrap_err();
    assert!(buffer.into_vec::<u8>().is_err());
    assert_eq!(shared, [1, 2, 3][..]);
}

#[test]
fn an_owner_shows_a_buffer_and_lets_go_of_it() {
    let scalars = ScalarBuffer::from(vec![1i32, 2, 3, 4]).slice(1, 3);
    let owner = arrow::from_scalar_buffer(scalars.clone());
    assert_eq!((owner.as_ptr(), &owner[..]), (scalars.as_ptr(), &[2, 3, 4][..]));
    assert_eq!(scalars.inner().strong_count(), 2);
    drop(owner);
    assert_eq!(scalars.inner().strong_count(), 1);
    let buffer = Buffer::from_vec(vec![1u8, 2]);
    let owner = arrow::from_buffer(buffer.clone());
    assert_eq!((owner.as_ptr(), &owner[..]), (buffer.as_ptr(), &[1, 2][..]));
    assert_eq!(arrow::from_buffer(Buffer::default()).len(), 0);
    assert_eq!(arrow::to_buffer(MemoryOwner::<u8>::from(vec![])).len(), 0);
}

#[test]
fn a_ragged_batch_is_a_list_of_the_same_values() {
    let pool = MemoryPool::new();
    let rows = [&[1.0f32, 2.0][..], &[], &[3.0]];
    for large in [false, true] {
        let batch = Ragged::gather_rows(&pool, &rows);
        let (address, offsets_address) = (batch.values().as_ptr(), batch.offsets().as_ptr().addr());
        let (list, values) = if large {
            let (offsets, values) = arrow::ragged_to_large_list(batch);
            assert_eq!(&offsets[..], [0, 2, 2, 3]);
            assert!(
                cfg!(not(target_pointer_width = "64")) || offsets.inner().as_ptr().addr() == offsets_address
            );
            (ListRows::new(&offsets, values.clone()).unwrap(), values)
        } else {
            let (offsets, values) = arrow::ragged_to_list(batch).unwrap();
            assert_eq!(&offsets[..], [0, 2, 2, 3]);
            (ListRows::new(&offsets, values.clone()).unwrap(), values)
        };
        assert_eq!((values.as_ptr(), list.values().as_ptr()), (address, address));
        assert!(list.rows().iter().eq(rows));
        drop(values);
        // The values, and offsets that are read in place.
        let in_place = large && cfg!(target_pointer_width = "64");
        assert_eq!(pool.outstanding().len(), if in_place { 2 } else { 1 });
        drop(list);
        assert!(pool.outstanding().is_empty());
    }
}

#[test]
fn a_large_list_is_read_where_its_offsets_are() {
    let offsets = OffsetBuffer::<i64>::from_lengths([2, 0, 1]);
    let list = ListRows::new(&offsets.slice(1, 2), ScalarBuffer::from(vec![1u8, 2, 3])).unwrap();
    let in_place = cfg!(target_pointer_width = "64");
    let address = list.rows().offsets().as_ptr().addr();
    assert_eq!(address == offsets.inner().as_ptr().wrapping_add(1).addr(), in_place);
    assert!(list.rows().iter().eq([&[][..], &[3]]));
    assert_eq!(offsets.inner().inner().strong_count(), if in_place { 2 } else { 1 });
    drop(list);
    assert_eq!(offsets.inner().inner().strong_count(), 1);
}

#[test]
fn a_list_without_rows_is_empty_and_one_that_ends_beyond_its_values_an_error() {
    let list = ListRows::new(&OffsetBuffer::<i32>::new_empty(), ScalarBuffer::<u8>::from(vec![])).unwrap();
    assert!(list.rows().is_empty());
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![1i64, 2, 4]));
    let list = ListRows::new(&offsets, ScalarBuffer::from(vec![1u8, 2, 3, 4])).unwrap();
    assert_eq!((list.rows().values(), list.rows().row(1)), (&[2, 3, 4][..], &[3, 4][..]));
    let error = ListRows::new(&offsets, ScalarBuffer::from(vec![1u8, 2, 3])).unwrap_err();
    assert_eq!(error, BadOffsets::Beyond { offset: 4, values: 3 });
}
