//! Ranges never wrap and slices never grow.

use std::ops::{Bound, RangeBounds};

use leasehold::{MemoryOwner, OutOfRange, SharedOwner};

use crate::support::catch;

/// What slicing means, spelled out: the range as numbers if it lies within `len`.
fn meaning(range: (Bound<usize>, Bound<usize>), len: usize) -> Option<(usize, usize)> {
    let start = match range.0 {
        Bound::Included(start) => start as u128,
        Bound::Excluded(before) => before as u128 + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.1 {
        Bound::Included(last) => last as u128 + 1,
        Bound::Excluded(end) => end as u128,
        Bound::Unbounded => len as u128,
    };
    (start <= end && end <= len as u128).then_some((start as usize, end as usize))
}

fn bounds(values: &[usize]) -> Vec<Bound<usize>> {
    let mut bounds = vec![Bound::Unbounded];
    for &value in values {
        bounds.extend([Bound::Included(value), Bound::Excluded(value)]);
    }
    bounds
}

/// All ranges over `values`.
fn ranges(values: &[usize]) -> Vec<(Bound<usize>, Bound<usize>)> {
    let bounds = bounds(values);
    bounds.iter().flat_map(|&start| bounds.iter().map(move |&end| (start, end))).collect()
}

fn check_everywhere(len: usize, range: (Bound<usize>, Bound<usize>)) {
    let contents: Vec<usize> = (0..len).collect();
    let expected = meaning(range, len).map(|(start, end)| contents[start..end].to_vec());
    let shared = SharedOwner::from(contents.clone());
    assert_eq!(shared.try_slice(range).ok().map(|slice| slice.to_vec()), expected, "{range:?} of {len}");
    let (_lessor, view) = shared.try_lease_read_only().unwrap();
    let sliced = view.try_slice(range).ok().map(|view| view.span().unwrap().to_vec());
    assert_eq!(sliced, expected, "{range:?} of {len}");
    let (_lessor, memory) = MemoryOwner::from(contents).lease();
    match memory.slice(range) {
        Ok(memory) => assert_eq!(Some(memory.span().unwrap().to_vec()), expected),
        Err(refused) => {
            assert_eq!(expected, None, "{range:?} of {len}");
            assert_eq!(refused.reason.buffer_len(), len);
            assert_eq!(refused.memory.len(), len, "a failed attempt changes nothing");
            assert_eq!(refused.memory.span().unwrap().len(), len);
        }
    }
}

#[test]
fn every_small_range_means_what_it_means_for_slices() {
    let max = if cfg!(miri) { 2 } else { 5 };
    for len in 0..=max {
        let values: Vec<usize> = (0..=len + 2).collect();
        for range in ranges(&values) {
            check_everywhere(len, range);
        }
    }
}

#[test]
fn extreme_bounds_are_errors_and_never_wrap() {
    let top = usize::MAX;
    let many = [0, 1, 3, 4, isize::MAX as usize, isize::MAX as usize + 1, top - 4, top - 1, top];
    let (lens, extremes): (&[usize], &[usize]) =
        if cfg!(miri) { (&[4], &[0, 3, isize::MAX as usize + 1, top]) } else { (&[0, 1, 4], &many) };
    for &len in lens {
        for range in ranges(extremes) {
            check_everywhere(len, range);
        }
    }
}

#[test]
fn a_slice_of_a_slice_stays_inside_the_first() {
    let len = if cfg!(miri) { 3 } else { 6 };
    let contents: Vec<usize> = (0..len).collect();
    let (_lessor, view) = MemoryOwner::from(contents.clone()).lease_read_only();
    let shared = SharedOwner::from(contents.clone());
    for start in 0..=len {
        for end in start..=len {
            let (outer, outer_shared) = (view.slice(start..end), shared.slice(start..end));
            for inner in ranges(&(0..=len + 1).collect::<Vec<_>>()) {
                let expected = meaning(inner, end - start).map(|(a, b)| &contents[start..end][a..b]);
                let sliced = outer.try_slice(inner).ok();
                assert_eq!(sliced.as_ref().map(|view| view.span().unwrap().to_vec()).as_deref(), expected);
                assert_eq!(outer_shared.try_slice(inner).ok().as_deref(), expected);
            }
        }
    }
}

#[test]
fn every_mid_beyond_the_end_is_refused() {
    let mut memory = Some(MemoryOwner::from(vec![1, 2, 3]).lease());
    for mid in [4, 5, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
        let (lessor, part) = memory.take().unwrap();
        let refused = part.split_at(mid).unwrap_err();
        assert_eq!(refused.memory.len(), 3);
        assert!(refused.to_string().contains("of a buffer of 3 elements"), "{refused}");
        memory = Some((lessor, refused.memory));
    }
    let (lessor, part) = memory.unwrap();
    drop(part);
    assert!(lessor.is_returned(), "refused splits are not counted");
}

fn error(len: usize, range: impl RangeBounds<usize>) -> OutOfRange {
    SharedOwner::from(vec![0u8; len]).try_slice(range).unwrap_err()
}

#[test]
fn range_errors_name_the_range_and_the_length() {
    assert_eq!(error(10, 4..12).to_string(), "range 4..12 out of bounds of a buffer of 10 elements");
    assert_eq!(error(10, 11..).to_string(), "range 11..10 out of bounds of a buffer of 10 elements");
    assert_eq!(error(10, ..11).to_string(), "range 0..11 out of bounds of a buffer of 10 elements");
    #[expect(clippy::reversed_empty_ranges, reason = "that is the error")]
    let reversed = error(10, 5..3);
    assert_eq!(reversed.to_string(), "range 5..3 out of bounds of a buffer of 10 elements");
    let overflow = error(10, ..=usize::MAX);
    assert_eq!(overflow.to_string(), "range 0..(overflow) out of bounds of a buffer of 10 elements");
    assert_eq!(overflow.buffer_len(), 10);
}

#[test]
fn a_slice_out_of_range_panics_at_the_caller() {
    let (_lessor, view) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let panic = catch(|| view.slice(1..5).len()).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert_eq!(text, "range 1..5 out of bounds of a buffer of 3 elements");
}

#[test]
fn a_range_that_changes_its_mind_is_asked_once() {
    use std::cell::Cell;
    struct Fickle(Cell<usize>);
    impl RangeBounds<usize> for Fickle {
        fn start_bound(&self) -> Bound<&usize> {
            Bound::Unbounded
        }
        fn end_bound(&self) -> Bound<&usize> {
            self.0.set(self.0.get() + 1);
            if self.0.get() == 1 { Bound::Excluded(&2) } else { Bound::Unbounded }
        }
    }
    let (_lessor, view) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let fickle = Fickle(Cell::new(0));
    assert_eq!(view.slice(fickle).len(), 2);
}

#[test]
fn an_owner_is_never_truncated_to_more_than_it_has() {
    let mut owner = MemoryOwner::from(vec![1, 2, 3]);
    owner.truncate(usize::MAX);
    assert_eq!(owner.len(), 3);
    owner.truncate(1);
    owner.truncate(2);
    assert_eq!(owner[..], [1]);
    assert!(owner.capacity() >= 3);
}
