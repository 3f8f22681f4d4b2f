//! `ndarray`.

use leasehold::MemoryPool;
use leasehold_interop::ndarray::{into_owner, view, view_mut};
use ndarray::{Array2, Ix2, ShapeBuilder, array, s};

use crate::rented;

#[test]
fn a_view_shows_an_owner_in_every_shape() {
    let pool = MemoryPool::new();
    let shared = rented(&pool, &[1, 2, 3, 4, 5, 6]).into_shared();
    let matrix = view(&shared, (2, 3)).unwrap();
    assert_eq!((matrix.as_ptr(), matrix), (shared.as_ptr(), array![[1, 2, 3], [4, 5, 6]].view()));
    let columns = view(&shared, (2, 3).f()).unwrap();
    assert_eq!(columns, array![[1, 3, 5], [2, 4, 6]]);
    assert_eq!(view(&shared, 4).unwrap(), array![1, 2, 3, 4]);
    assert!(view(&shared, (2, 4)).is_err());
    drop(shared);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_view_of_a_pin_survives_the_end_of_the_lease() {
    let pool = MemoryPool::new();
    let (lessor, memory) = rented(&pool, &[1, 2, 3, 4]).lease_read_only();
    let pin = memory.pin().unwrap();
    let matrix = view(&pin, (2, 2)).unwrap();
    drop(lessor);
    assert_eq!((pool.outstanding().len(), matrix.sum()), (1, 10));
    drop(pin);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_view_writes_an_owner_and_an_exclusive_pin() {
    let pool = MemoryPool::new();
    let mut owner = rented(&pool, &[1, 2, 3, 4]);
    view_mut(&mut owner, (2, 2)).unwrap().column_mut(1).fill(0);
    assert_eq!(owner[..], [1, 0, 3, 0]);
    let (lessor, memory) = owner.lease();
    let mut pin = memory.pin().unwrap();
    view_mut(&mut pin, (2, 2)).unwrap().row_mut(0).fill(7);
    drop(pin);
    assert_eq!(lessor.try_reclaim().unwrap()[..], [7, 7, 3, 0]);
}

#[test]
fn the_vector_of_an_array_becomes_an_owner() {
    let array = array![[1, 2, 3], [4, 5, 6]];
    let address = array.as_ptr();
    let (owner, shape) = into_owner(array).unwrap();
    assert_eq!((owner.as_ptr(), &owner[..], shape), (address, &[1, 2, 3, 4, 5, 6][..], Ix2(2, 3)));
    let part = array![[1, 2], [3, 4], [5, 6]].slice_move(s![1.., ..]);
    let address = part.as_ptr();
    let (mut owner, shape) = into_owner(part).unwrap();
    owner[0] = 30;
    assert_eq!((owner.as_ptr(), &owner[..], shape), (address, &[30, 4, 5, 6][..], Ix2(2, 2)));
    let columns: Array2<i32> = array![[1, 2], [3, 4]].reversed_axes();
    assert_eq!(into_owner(columns).unwrap_err(), array![[1, 3], [2, 4]]);
    assert_eq!(into_owner(Array2::<u8>::zeros((0, 3))).unwrap().0.len(), 0);
}
