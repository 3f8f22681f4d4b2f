//! Overlapping windows over a stream.

use leasehold::{RentError, Windows, WindowsError};

use crate::support::catch;

/// The windows of a stream that is known as a whole, and what is left behind the last.
fn oracle(stream: &[u16], size: usize, stride: usize) -> (Vec<Vec<u16>>, Vec<u16>) {
    let windows: Vec<_> = stream.windows(size).step_by(stride).map(<[u16]>::to_vec).collect();
    let rest = stream.get(windows.len() * stride..).unwrap_or_default();
    (windows, rest.to_vec())
}

/// The same of a stream that comes in pieces of these lengths, again and again.
fn in_pieces(
    mut windows: Windows<u16>,
    stream: &[u16],
    pieces: &[usize],
) -> (Vec<Vec<u16>>, Vec<u16>, Windows<u16>) {
    let (mut rest, mut seen, mut pieces) = (stream, Vec::new(), pieces.iter().cycle());
    while !rest.is_empty() {
        let piece = (*pieces.next().unwrap()).min(rest.len());
        let pushed = windows.push_slice(&rest[..piece]);
        rest = &rest[pushed..];
        while let Some(window) = windows.next_window() {
            seen.push(window.to_vec());
        }
    }
    let remainder = windows.remainder().to_vec();
    (seen, remainder, windows)
}

#[test]
fn windows_of_a_stream_are_those_of_the_whole_however_it_comes() {
    let len = if cfg!(miri) { 60 } else { 20_000 };
    let stream: Vec<u16> = (0..len).collect();
    let shapes = [(1, 1), (4, 3), (4, 4), (5, 1), (3, 7), (16, 5), (2, 40)];
    for (size, stride) in shapes {
        let expected = oracle(&stream, size, stride);
        for pieces in [&[1, 2, 3, 5, 8][..], &[7], &[1000]] {
            let mirrored = Windows::new(size, stride).unwrap();
            let rented = Windows::without_mirror(size, stride, 20).unwrap();
            for windows in [mirrored, rented] {
                let (seen, rest, _) = in_pieces(windows, &stream, pieces);
                assert_eq!((seen, rest), expected, "{size} every {stride} in {pieces:?}");
            }
        }
    }
}

#[test]
fn a_mirrored_ring_copies_nothing_and_a_rented_one_says_what_it_copied() {
    let stream: Vec<u16> = (0..1000).collect();
    let (_, _, rented) = in_pieces(Windows::without_mirror(10, 5, 30).unwrap(), &stream, &[4]);
    assert!(!rented.is_mirrored());
    assert!(rented.copied() > 0);
    let windows = Windows::with_capacity(10, 5, 30).unwrap();
    let rounds = windows.capacity() / stream.len() + 2;
    let (_, _, windows) = in_pieces(windows, &stream.repeat(rounds.min(100)), &[64]);
    assert_eq!(windows.is_mirrored(), cfg!(all(target_os = "linux", not(miri))));
    assert!(!windows.is_mirrored() || windows.copied() == 0);
}

#[test]
fn a_window_over_the_end_of_the_ring_is_one_slice() {
    let mut windows = Windows::<u64>::with_capacity(100, 100, 1).unwrap();
    let capacity = windows.capacity() as u64;
    let mut next = 0..capacity * if cfg!(miri) { 2 } else { 5 };
    let mut expected = 0;
    while !next.is_empty() {
        let room = windows.reserve();
        let written = room.iter_mut().zip(next.by_ref()).map(|(slot, number)| *slot = number).count();
        windows.commit(written);
        while let Some(window) = windows.next_window() {
            assert!(window.iter().copied().eq(expected..expected + 100));
            expected += 100;
        }
    }
    assert!(windows.remainder().iter().copied().eq(expected..next.end));
}

#[test]
fn a_mirrored_window_lies_where_its_elements_were_written() {
    let mut windows = Windows::<u64>::with_capacity(100, 70, 1).unwrap();
    if !windows.is_mirrored() {
        return; // no second mapping here
    }
    let capacity = windows.capacity();
    let ring = windows.reserve().as_ptr();
    let place = |position: usize| ring.wrapping_add(position % capacity);
    let (mut written, mut seen, mut over_the_end) = (0, 0, 0);
    while written < 3 * capacity {
        let room = windows.reserve();
        assert_eq!(room.as_ptr(), place(written), "room for element {written} of a ring of {capacity}");
        let len = room.len().min(150);
        room[..len].iter_mut().zip(written..).for_each(|(slot, number)| *slot = number as u64);
        windows.commit(len);
        written += len;
        while let Some(window) = windows.next_window() {
            assert_eq!(window.as_ptr(), place(seen), "the window of element {seen} of a ring of {capacity}");
            assert!(window.iter().copied().eq(seen as u64..seen as u64 + 100));
            over_the_end += usize::from(seen % capacity + 100 > capacity);
            seen += 70;
        }
        assert_eq!(windows.remainder().as_ptr(), place(seen));
    }
    assert!(over_the_end >= 2);
}

#[test]
fn elements_of_odd_sizes_go_over_the_end_too() {
    let mut windows = Windows::<[u8; 12]>::with_capacity(5, 3, 10).unwrap();
    let rounds = if cfg!(miri) { 50 } else { windows.capacity() * 2 };
    let (mut pushed, mut seen) = (0usize, 0usize);
    while pushed < rounds {
        let piece: Vec<_> = (pushed..pushed + 3).map(|number| [number as u8; 12]).collect();
        pushed += windows.push_slice(&piece);
        while let Some(window) = windows.next_window() {
            assert!(window.iter().copied().eq((seen..seen + 5).map(|number| [number as u8; 12])));
            seen += 3;
        }
    }
    assert!(seen > rounds - 5);
}

#[test]
fn a_full_ring_has_no_room_until_a_window_was_taken() {
    for mut windows in [Windows::<u8>::without_mirror(4, 2, 8).unwrap(), Windows::new(4, 2).unwrap()] {
        let capacity = windows.capacity();
        windows.reserve().fill(1);
        windows.commit(capacity);
        assert_eq!((windows.reserve().len(), windows.push_slice(&[2])), (0, 0));
        assert!(catch(|| windows.commit(1)).is_err());
        assert_eq!(windows.next_window(), Some(&[1; 4][..]));
        assert_eq!(windows.reserve().len(), 2);
        assert_eq!(windows.push_slice(&[2, 3, 4]), 2);
    }
}

#[test]
fn windows_without_elements_are_refused() {
    assert!(matches!(Windows::<u8>::new(0, 1), Err(WindowsError::Empty { size: 0, stride: 1 })));
    let error = Windows::<u8>::new(3, 0).unwrap_err();
    assert_eq!(error.to_string(), "no windows of 3 elements every 0: both must be at least one");
    let error = Windows::<u64>::new(usize::MAX, 1).unwrap_err();
    assert!(matches!(error, WindowsError::Memory(RentError::TooLarge { .. })), "{error:?}");
}

#[test]
fn elements_without_a_size_have_windows_too() {
    let mut windows = Windows::<()>::new(3, 2).unwrap();
    assert_eq!(windows.push_slice(&[(); 8]), 8);
    assert_eq!(std::iter::from_fn(|| windows.next_window().map(<[()]>::len)).collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(windows.remainder().len(), 2);
}

#[test]
fn a_reader_fills_the_ring_until_it_ends_or_fails() {
    let mut windows = Windows::new(4, 4).unwrap();
    let mut source = &b"one two thre"[..];
    assert_eq!(windows.fill_from(&mut source).unwrap(), 12);
    assert_eq!(windows.fill_from(&mut source).unwrap(), 0);
    assert_eq!(windows.next_window(), Some(&b"one "[..]));

    struct Liar;
    impl std::io::Read for Liar {
        fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
            Ok(target.len() + 1)
        }
    }
    assert!(windows.fill_from(&mut Liar).is_err());
    assert_eq!(windows.next_window(), Some(&b"two "[..]));
    assert_eq!(windows.remainder(), b"thre");
}
