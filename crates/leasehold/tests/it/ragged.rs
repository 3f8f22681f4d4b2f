//! Ragged batches.

use leasehold::{BadOffsets, MemoryOwner, MemoryPool, Ragged, RentError};

use crate::support::catch;

#[test]
fn rows_come_back_as_they_were_pushed() {
    let pool = MemoryPool::new();
    let mut batch = Ragged::<u16>::rent(&pool, 4, 10);
    assert!(batch.is_empty());
    let rows: [&[u16]; 4] = [&[1, 2, 3], &[], &[4], &[5, 6, 7, 8, 9, 10]];
    for row in rows {
        batch.push_row(row).unwrap();
    }
    assert_eq!(batch.rows(), 4);
    assert_eq!(batch.iter().collect::<Vec<_>>(), rows);
    assert_eq!(batch.offsets(), [0, 3, 3, 4, 10]);
    assert_eq!(batch.values(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!((batch.spare_rows(), batch.spare_values()), (0, 0));
}

#[test]
fn a_row_that_does_not_fit_changes_nothing() {
    let mut batch = Ragged::<u8>::rent(&MemoryPool::new(), 2, 3);
    batch.push_row(&[1, 2]).unwrap();
    let full = batch.push_row(&[3, 4]).unwrap_err();
    assert_eq!((full.row_len, full.spare_values, full.spare_rows), (2, 1, 1));
    assert_eq!(batch.iter().collect::<Vec<_>>(), [&[1, 2]]);
    batch.push_row(&[3]).unwrap();
    assert_eq!(batch.push_row(&[]).unwrap_err().spare_rows, 0);
}

#[test]
fn a_cleared_batch_is_as_new_also_in_recycled_memory() {
    let pool = MemoryPool::new();
    for round in 0..3u8 {
        let mut batch = Ragged::<u8>::rent(&pool, 3, 8);
        assert_eq!((batch.offsets(), batch.values()), (&[0][..], &[][..]));
        batch.push_row(&[round; 8]).unwrap();
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!((batch.spare_rows(), batch.spare_values()), (3, 8));
        batch.push_row(&[round + 1]).unwrap();
        assert_eq!(batch.row(0), [round + 1]);
    }
}

#[test]
#[should_panic(expected = "row 1 of a batch of 1 rows")]
fn a_row_that_is_not_there_panics() {
    let mut batch = Ragged::<u8>::rent(&MemoryPool::new(), 3, 8);
    batch.push_row(&[1]).unwrap();
    batch.row(1);
}

#[test]
fn a_batch_without_room_takes_nothing() {
    let mut batch = Ragged::<u32>::rent(&MemoryPool::new(), 0, 0);
    assert!(batch.push_row(&[]).is_err());
    assert_eq!((batch.rows(), batch.values()), (0, &[][..]));
    assert!(!format!("{batch:?}").is_empty());
}

fn batch(rows: &[&[u32]]) -> Ragged<u32> {
    Ragged::gather_rows(MemoryPool::shared(), rows)
}

#[test]
fn a_row_is_filled_in_place_or_not_added() {
    let mut batch = Ragged::<u8>::rent(&MemoryPool::new(), 4, 4);
    batch.push_row_with(3, |row| row.copy_from_slice(&[1, 2, 3])).unwrap();
    let full = batch.push_row_with(2, |_| panic!("there is no room to fill")).unwrap_err();
    assert_eq!((full.row_len, full.spare_values), (2, 1));
    let panic = catch(|| batch.push_row_with(1, |_| panic!("no value")));
    assert!(panic.is_err());
    assert_eq!(batch.iter().collect::<Vec<_>>(), [&[1, 2, 3]]);
    batch.push_row_with(0, |row| assert!(row.is_empty())).unwrap();
    assert_eq!(batch.offsets(), [0, 3, 3]);
}

#[test]
fn a_view_of_rows_counts_from_its_first() {
    let batch = batch(&[&[1, 2], &[], &[3], &[4, 5, 6]]);
    let rows = batch.slice(1..);
    assert_eq!((rows.len(), rows.is_empty()), (3, false));
    assert_eq!(rows.iter().collect::<Vec<_>>(), [&[][..], &[3], &[4, 5, 6]]);
    assert_eq!((rows.values(), rows.offsets()), (&[3, 4, 5, 6][..], &[2, 2, 3, 6][..]));
    let inner = rows.slice(1..2);
    assert_eq!((inner.row(0), inner.values()), (&[3][..], &[3][..]));
    let none = rows.slice(3..);
    assert!(none.is_empty() && none.values().is_empty());
    assert!(catch(|| inner.row(1)).is_err());
    assert!(catch(|| rows.slice(2..4)).is_err(), "a view of a view stays inside of it");
    assert!(catch(|| batch.slice(..5)).is_err());
}

#[test]
fn rows_of_several_batches_are_gathered_into_one_block() {
    let (one, two) = (batch(&[&[1, 2], &[3]]), batch(&[&[], &[4, 5], &[6]]));
    let gathered = Ragged::gather(
        MemoryPool::shared(),
        &[one.slice(1..), two.slice(..2), one.slice(..0), one.slice(..1)],
    );
    assert_eq!(gathered.iter().collect::<Vec<_>>(), [&[3][..], &[], &[4, 5], &[1, 2]]);
    assert_eq!((gathered.values(), gathered.offsets()), (&[3, 4, 5, 1, 2][..], &[0, 1, 1, 3, 5][..]));
    assert_eq!((gathered.spare_rows(), gathered.spare_values()), (0, 0));
    assert!(Ragged::<u32>::gather(MemoryPool::shared(), &[]).is_empty());
}

#[test]
fn rows_that_do_not_all_fit_are_not_added() {
    let part = batch(&[&[1, 2], &[3]]);
    let mut target = Ragged::<u32>::rent(&MemoryPool::new(), 2, 3);
    target.push_row(&[9]).unwrap();
    let full = target.push_rows(part.slice(..)).unwrap_err();
    assert_eq!((full.row_len, full.spare_values, full.spare_rows), (3, 2, 1));
    assert_eq!(target.iter().collect::<Vec<_>>(), [&[9]]);
    target.push_rows(part.slice(..1)).unwrap();
    assert_eq!(target.offsets(), [0, 1, 3]);
}

#[test]
fn the_parts_of_a_batch_are_its_blocks_cut_to_length() {
    let mut batch = Ragged::<u32>::rent(&MemoryPool::new(), 10, 100);
    batch.push_row(&[1, 2]).unwrap();
    batch.push_row(&[3]).unwrap();
    let addresses = (batch.values().as_ptr(), batch.offsets().as_ptr());
    let (values, offsets) = batch.into_parts();
    assert_eq!((&values[..], &offsets[..]), (&[1, 2, 3][..], &[0, 2, 3][..]));
    assert_eq!((values.as_ptr(), offsets.as_ptr()), addresses);
}

#[test]
fn a_batch_of_two_blocks_has_the_room_that_they_have() {
    let pool = MemoryPool::builder().build_bounded(1 << 16);
    let mut offsets = pool.try_rent(3).unwrap();
    offsets.fill(7);
    let mut batch = Ragged::from_owners(pool.try_rent::<u16>(5).unwrap(), offsets);
    assert_eq!((batch.spare_rows(), batch.spare_values()), (2, 5));
    batch.push_row(&[1, 2]).unwrap();
    batch.push_row(&[3]).unwrap();
    assert!(batch.push_row(&[]).is_err());
    assert_eq!((batch.row(1), batch.offsets()), (&[3][..], &[0, 2, 3][..]));
    drop(batch);
    assert!(pool.outstanding().is_empty());
}

#[test]
#[should_panic(expected = "the offsets of a batch have one element at least")]
fn a_batch_needs_a_place_for_its_first_offset() {
    let pool = MemoryPool::new();
    Ragged::from_owners(pool.rent::<u8>(1), pool.rent(0));
}

#[test]
fn parts_become_a_batch_where_they_are() {
    let pool = MemoryPool::new();
    let batch = Ragged::gather_rows(&pool, &[&[1, 2][..], &[], &[3]]);
    let addresses = (batch.values().as_ptr(), batch.offsets().as_ptr());
    let (values, offsets) = batch.into_parts();
    let batch = Ragged::from_parts(values, offsets).unwrap();
    assert_eq!((batch.values().as_ptr(), batch.offsets().as_ptr()), addresses);
    assert_eq!(batch.iter().collect::<Vec<_>>(), [&[1, 2][..], &[], &[3]]);
    assert_eq!((batch.spare_rows(), batch.spare_values()), (0, 0));
    drop(batch);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn parts_that_are_no_batch_come_back() {
    for (offsets, reason) in [
        (vec![], BadOffsets::Missing),
        (vec![1, 2], BadOffsets::First { offset: 1 }),
        (vec![0, 2, 1], BadOffsets::Decreasing { index: 2 }),
        (vec![0, 4], BadOffsets::Beyond { offset: 4, values: 3 }),
        (vec![0, usize::MAX], BadOffsets::Beyond { offset: usize::MAX, values: 3 }),
    ] {
        let refused =
            Ragged::from_parts(MemoryOwner::from(vec![1, 2, 3]), MemoryOwner::from(offsets.clone()))
                .unwrap_err();
        assert_eq!(refused.reason, reason);
        assert_eq!((&refused.memory.0[..], &refused.memory.1[..]), (&[1, 2, 3][..], &offsets[..]));
    }
}

#[test]
fn rows_of_several_leases_are_gathered_into_a_block_of_a_pool_with_a_budget() {
    let pool = MemoryPool::builder().build_bounded(8192);
    let (_first, one) = MemoryOwner::from(vec![1u32, 2]).lease_read_only();
    let (second, two) = MemoryOwner::from(vec![3u32]).lease_read_only();
    let spans = [one.span().unwrap(), two.span().unwrap(), one.span().unwrap()];
    let batch = Ragged::try_gather_rows(&pool, &spans).unwrap();
    drop(spans);
    drop(second);
    assert_eq!((batch.values(), batch.offsets()), (&[1, 2, 3, 1, 2][..], &[0, 2, 3, 5][..]));
    let rents = pool.outstanding();
    assert!(
        rents.len() == 2 && rents.iter().all(|rent| format!("{rent:?}").contains("ragged.rs")),
        "{rents:?}"
    );

    let again = Ragged::try_gather(&pool, &[batch.slice(1..), batch.slice(..1)]).unwrap();
    assert!(again.iter().eq([&[3][..], &[1, 2], &[1, 2]]));
    let large = [&[0u32; 2048][..]];
    assert!(matches!(Ragged::try_gather_rows(&pool, &large), Err(RentError::Exhausted(_))));
    assert_eq!(pool.outstanding().len(), 4, "what was refused has left nothing rented");

    let sequence = leasehold::Sequence::from_iter([vec![1u32; 1000], vec![2; 1000]]);
    assert!(sequence.try_to_owner(&pool).is_err() && sequence.try_to_shared(&pool).is_err());
    let first = sequence.slice(..1000);
    assert_eq!(
        first.try_to_shared(&pool).unwrap().as_ptr(),
        first.first_segment().as_ptr(),
        "nothing to rent"
    );
    drop((batch, again));
    assert_eq!(sequence.try_to_owner(&pool).unwrap().len(), 2000);
    assert!(pool.outstanding().is_empty());
}
