//! Several segments as one, and reading them from the front.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, Read};

use leasehold::{MemoryPool, Sequence, SequenceReader, SharedOwner, TooShort};

use crate::support::{Tally, catch};

/// The numbers from 0 on, cut into pieces of these lengths.
fn pieces(lengths: &[usize]) -> Sequence<u8> {
    let mut next = 0..;
    lengths.iter().map(|&len| next.by_ref().take(len).collect::<Vec<u8>>()).collect()
}

fn all(sequence: &Sequence<u8>) -> Vec<u8> {
    sequence.iter().copied().collect()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn segments_read_as_one_and_no_empty_one_is_kept() {
    let sequence = pieces(&[0, 2, 0, 3, 1, 0]);
    assert_eq!(sequence.len(), 6);
    assert_eq!(sequence.segments().collect::<Vec<_>>(), [&[0, 1][..], &[2, 3, 4], &[5]]);
    assert_eq!(sequence.segments().rev().map(<[u8]>::len).collect::<Vec<_>>(), [1, 3, 2]);
    assert_eq!(all(&sequence), [0, 1, 2, 3, 4, 5]);
    assert_eq!(sequence.iter().rev().copied().collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0]);
    assert_eq!((0..7).map(|at| sequence.get(at).copied()).collect::<Vec<_>>(), {
        let mut expected: Vec<_> = (0..6).map(Some).collect();
        expected.push(None);
        expected
    });
}

#[test]
fn both_ends_of_the_elements_meet() {
    for lengths in [&[1, 1][..], &[3], &[2, 3, 4], &[1, 5, 1]] {
        let sequence = pieces(lengths);
        for fronts in 0..=sequence.len() {
            let mut elements = sequence.iter();
            let front: Vec<_> = elements.by_ref().take(fronts).copied().collect();
            assert_eq!(elements.len(), sequence.len() - fronts);
            let mut back: Vec<_> = elements.rev().copied().collect();
            back.reverse();
            assert_eq!([front, back].concat(), all(&sequence));
        }
    }
}

#[test]
fn a_sequence_of_nothing_is_a_single_empty_slice() {
    let mut sequence = Sequence::<u8>::new();
    assert!(sequence.is_empty());
    assert_eq!(sequence.as_single(), Some(&[][..]));
    assert_eq!(sequence.segments().count(), 0);
    assert_eq!((sequence.position(&1), sequence.find(&[1]), sequence.find(&[])), (None, None, Some(0)));
    sequence.push(Vec::new());
    sequence.append(Sequence::new());
    sequence.truncate(3);
    sequence.advance(0);
    assert_eq!(sequence, Sequence::default());
    assert_eq!(sequence.to_shared(&MemoryPool::new()).len(), 0);
    assert_eq!(sequence.slice(..), sequence);
}

#[test]
fn positions_of_a_slice_count_from_its_own_beginning() {
    let sequence = pieces(&[3, 3, 3]);
    let slice = sequence.slice(2..8);
    assert_eq!(slice.segments().collect::<Vec<_>>(), [&[2][..], &[3, 4, 5], &[6, 7]]);
    assert_eq!((slice[0], slice[5], slice.get(6)), (2, 7, None));
    assert_eq!(slice.position(&6), Some(4));
    assert_eq!(slice.find(&[5, 6]), Some(3));
    let inner = slice.slice(1..=3);
    assert_eq!(inner.as_single(), Some(&[3, 4, 5][..]));
    assert!(inner.try_slice(..4).is_err(), "a slice of a slice stays inside of it");
    assert_eq!(
        slice.try_slice(5..8).unwrap_err().to_string(),
        "range 5..8 out of bounds of a buffer of 6 elements"
    );
}

#[test]
fn every_slice_of_every_cut_is_that_of_the_vector() {
    let lengths = [2, 1, 3, 2];
    let (sequence, oracle) = (pieces(&lengths), (0..8).collect::<Vec<u8>>());
    for start in 0..=8 {
        for end in start..=8 {
            let slice = sequence.slice(start..end);
            assert_eq!(slice, oracle[start..end]);
            assert_eq!(all(&slice), oracle[start..end]);
            assert!(slice.segments().all(|segment| !segment.is_empty()));
            assert_eq!(slice.segments().len(), slice.segments().count());
            assert_eq!(slice.to_owner(MemoryPool::shared())[..], oracle[start..end]);
        }
    }
}

#[test]
fn a_split_takes_the_front_and_leaves_the_rest() {
    for at in 0..=6 {
        let (mut sequence, clone) = (pieces(&[2, 3, 1]), pieces(&[2, 3, 1]));
        let head = sequence.split_to(at);
        assert_eq!(
            (head.len(), all(&head), all(&sequence)),
            (at, (0..at as u8).collect(), (at as u8..6).collect())
        );
        let (left, right) = clone.split_at(at);
        assert_eq!((left, right), (head, sequence));
    }
    assert!(catch(|| pieces(&[2]).split_to(3)).is_err());
    assert!(catch(|| pieces(&[2]).split_at(3)).is_err());
}

#[test]
fn what_is_dropped_from_a_sequence_lets_go_of_its_segments() {
    let tally = Tally::new(6);
    let mut elements = tally.elements();
    let (third, second) = (elements.split_off(4), elements.split_off(2));
    let mut sequence = Sequence::from_iter([elements, second, third]);
    sequence.advance(1);
    assert_eq!(tally.drops(), [0, 0, 0, 0, 0, 0], "half a segment is a segment");
    sequence.advance(1);
    assert_eq!(tally.drops(), [1, 1, 0, 0, 0, 0]);
    sequence.truncate(2);
    assert_eq!(tally.drops(), [1, 1, 0, 0, 1, 1]);
    let head = sequence.split_to(2);
    assert!(sequence.is_empty());
    drop(sequence);
    assert_eq!(head[1].index, 3);
    drop(head);
    assert!(tally.all(1));
}

#[test]
fn a_changed_sequence_keeps_nothing_of_its_clones() {
    let tally = Tally::new(4);
    let mut elements = tally.elements();
    let second = elements.split_off(2);
    let whole = Sequence::from_iter([elements, second]);
    let mut rest = whole.clone();
    rest.advance(2);
    drop(whole);
    assert_eq!(tally.drops(), [1, 1, 0, 0]);
    let (slice, mut emptied) = (rest.slice(1..), rest.clone());
    emptied.clear();
    drop((rest, emptied));
    assert_eq!(slice[0].index, 3);
    drop(slice);
    assert!(tally.all(1));
}

#[test]
fn changes_to_a_clone_do_not_show() {
    let sequence = pieces(&[2, 2]);
    let mut longer = sequence.clone();
    longer.push(vec![9]);
    let mut shorter = sequence.clone();
    shorter.truncate(3);
    shorter.push(vec![7]);
    assert_eq!(all(&sequence), [0, 1, 2, 3]);
    assert_eq!(all(&longer), [0, 1, 2, 3, 9]);
    assert_eq!(all(&shorter), [0, 1, 2, 7]);
    let mut slice = sequence.slice(1..3);
    slice.append(longer.slice(3..));
    assert_eq!(all(&slice), [1, 2, 3, 9]);
}

#[test]
fn neighbours_in_one_block_become_one_segment() {
    let owner = SharedOwner::from(vec![1, 2, 3, 4, 5, 6]);
    let mut sequence = Sequence::new();
    for at in 0..6 {
        sequence.push(owner.slice(at..=at));
    }
    assert_eq!(sequence.as_single(), Some(&[1, 2, 3, 4, 5, 6][..]));
    assert_eq!(sequence.as_single().unwrap().as_ptr(), owner.as_ptr());
    assert_eq!(owner.owners(), 2);
    // What was cut off does not come back by joining.
    sequence.truncate(2);
    sequence.push(owner.slice(3..));
    assert_eq!(sequence.segments().collect::<Vec<_>>(), [&[1, 2][..], &[4, 5, 6]]);
    sequence.push(owner.slice(..1));
    assert_eq!(sequence.segments().count(), 3);
}

#[test]
fn a_single_segment_is_handed_out_and_several_are_copied() {
    let pool = MemoryPool::new();
    let sequence = pieces(&[3, 2]);
    let first = sequence.slice(1..3).to_shared(&pool);
    assert_eq!((&first[..], first.as_ptr()), (&[1, 2][..], sequence.first_segment()[1..].as_ptr()));
    assert_eq!(sequence.to_shared(&pool), [0, 1, 2, 3, 4][..]);
    let owners: Vec<_> = sequence.slice(2..4).owners().collect();
    assert_eq!(owners, [SharedOwner::from(vec![2]), SharedOwner::from(vec![3])]);
}

#[test]
fn copying_out_wants_exactly_as_much_room() {
    let sequence = pieces(&[1, 2]);
    let mut three = [9; 3];
    sequence.copy_to_slice(&mut three);
    assert_eq!(three, [0, 1, 2]);
    assert!(catch(|| sequence.copy_to_slice(&mut [0; 4])).is_err());
    assert!(catch(|| sequence.copy_to_slice(&mut [0; 2])).is_err());
}

#[test]
fn a_pattern_is_found_across_any_number_of_borders() {
    let text = b"aaabaaaabaaab";
    for lengths in [&[13][..], &[1; 13], &[3, 1, 9], &[5, 5, 3], &[12, 1]] {
        let mut rest = &text[..];
        let cut = lengths.iter().map(|&len| rest.split_off(..len).unwrap().to_vec());
        let sequence: Sequence<u8> = cut.collect();
        for start in 0..13 {
            for len in 1..=13 - start {
                let pattern = &text[start..start + len];
                let expected = text.windows(len).position(|window| window == pattern);
                assert_eq!(sequence.find(pattern), expected, "{pattern:?} in {lengths:?}");
            }
        }
        assert_eq!(sequence.find(b"aaaaa"), None);
        assert_eq!(sequence.find(b"aaabaaaabaaaba"), None);
        assert_eq!(sequence.find(b"baab"), None);
        assert_eq!((sequence.position(&b'b'), sequence.position(&b'c')), (Some(3), None));
    }
}

#[test]
fn a_value_is_found_far_behind_the_first_stride() {
    for at in [0, 31, 32, 33, 63, 64, 99] {
        let mut bytes = vec![0u8; 100];
        bytes[at] = 1;
        assert_eq!(Sequence::from(bytes.clone()).position(&1), Some(at));
        let sequence = Sequence::from_iter([bytes[..50].to_vec(), bytes[50..].to_vec()]);
        assert_eq!((sequence.position(&1), sequence.position(&2)), (Some(at), None));
    }
}

#[test]
fn comparisons_and_hashes_do_not_see_the_borders() {
    let (a, b) = (pieces(&[1, 2, 3]), pieces(&[4, 2]));
    assert_eq!(a, b);
    assert_eq!(hash(&a), hash(&b));
    assert_ne!(hash(&a), hash(&a.slice(1..)));
    assert_eq!(a, [0, 1, 2, 3, 4, 5][..]);
    assert_ne!(a, [0, 1, 2, 3, 4][..]);
    assert_ne!(a, [0, 1, 2, 3, 4, 6][..]);
    assert_eq!(a.cmp(&b.slice(..5)), Ordering::Greater);
    assert_eq!(a.partial_cmp(&b.slice(1..)), Some(Ordering::Less));
    let nan = Sequence::from(vec![f32::NAN]);
    assert_ne!(nan, nan.clone());
}

#[test]
fn nothing_that_is_printed_shows_the_contents() {
    let secret = Sequence::from(vec![42_424_242, 17_171_717]);
    let printed = format!("{secret:?} {:?} {:?} {:?}", secret.segments(), secret.iter(), secret.reader());
    assert!(!printed.contains("42424242") && !printed.contains("17171717"), "{printed}");
    assert!(printed.contains("len: 2"), "{printed}");
}

#[test]
#[should_panic(expected = "position 3 in a sequence of 3 elements")]
fn an_index_beyond_the_end_panics() {
    let _ = pieces(&[3])[3];
}

#[test]
#[should_panic(expected = "at most `usize::MAX` elements")]
fn more_elements_than_a_number_counts_are_refused() {
    let many = MemoryPool::shared().rent::<()>(usize::MAX).into_shared();
    let mut sequence = Sequence::from(many.clone());
    sequence.push(many);
}

#[test]
fn positions_that_would_overflow_begin_again() {
    let half = MemoryPool::shared().rent::<()>(usize::MAX / 2).into_shared();
    let mut sequence = Sequence::from(half.clone());
    for _ in 0..5 {
        sequence.push(half.clone());
        sequence.advance(half.len() - 1);
        sequence.advance(1);
        assert_eq!(sequence.len(), half.len());
    }
}

/// Runs an operation that fails, and sees that the reader is where it was.
fn stays<R>(reader: &mut SequenceReader<'_, u8>, operation: impl Fn(&mut SequenceReader<'_, u8>) -> R) -> R {
    let (consumed, ahead) = (reader.consumed(), reader.remaining());
    let result = operation(reader);
    assert_eq!((reader.consumed(), reader.remaining()), (consumed, ahead));
    result
}

#[test]
fn a_failed_operation_leaves_the_reader_where_it_was() {
    let sequence = pieces(&[2, 1, 3]);
    let mut reader = sequence.reader();
    reader.advance(3).unwrap();
    let short = |wanted| TooShort { wanted, remaining: 3 };
    assert_eq!(stays(&mut reader, |reader| reader.advance(4)), Err(short(4)));
    assert_eq!(stays(&mut reader, |reader| reader.advance(usize::MAX)), Err(short(usize::MAX)));
    assert_eq!(stays(&mut reader, |reader| reader.read_exact(&mut [0; 4])), Err(short(4)));
    assert_eq!(stays(&mut reader, |reader| reader.read_sequence(4)), Err(short(4)));
    assert_eq!(stays(&mut reader, |reader| reader.read_le::<u32>()), Err(short(4)));
    assert_eq!(stays(&mut reader, |reader| reader.read_be::<u128>()), Err(short(16)));
    assert_eq!(stays(&mut reader, |reader| reader.read_until(&0)), None);
    assert_eq!(stays(&mut reader, |reader| reader.read_until_slice(&[4, 6])), None);
    assert!(!stays(&mut reader, |reader| reader.skip_if(&[3, 5])));
    assert!(!stays(&mut reader, |reader| reader.skip_if(&[3, 4, 5, 6])));
    assert_eq!(stays(&mut reader, |reader| reader.rewind(4)), Err(TooShort { wanted: 4, remaining: 3 }));
    assert_eq!(stays(&mut reader, |reader| reader.peek_at(3).copied()), None);
    assert_eq!(stays(&mut reader, |reader| reader.peek_at(usize::MAX).copied()), None);
    reader.advance(3).unwrap();
    assert!(reader.is_at_end());
    assert_eq!(stays(&mut reader, |reader| reader.read().copied()), None);
    assert_eq!(stays(&mut reader, |reader| reader.peek().copied()), None);
    let error: std::io::Error = reader.read_le::<u8>().unwrap_err().into();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_reader_moves_and_looks_ahead_across_borders() {
    let sequence = pieces(&[2, 1, 3]);
    let mut reader = sequence.reader();
    assert_eq!(reader.unread(), [0, 1]);
    assert_eq!(
        (0..6).map(|ahead| reader.peek_at(ahead).copied().unwrap()).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    assert_eq!((reader.read(), reader.read()), (Some(&0), Some(&1)));
    assert_eq!(reader.unread(), [2], "never empty before the end");
    reader.advance(2).unwrap();
    assert_eq!((reader.consumed(), reader.remaining_len(), reader.unread()), (4, 2, &[4, 5][..]));
    reader.rewind(3).unwrap();
    assert_eq!(reader.unread(), [1]);
    let mut four = [0; 4];
    reader.read_exact(&mut four).unwrap();
    assert_eq!(four, [1, 2, 3, 4]);
    reader.rewind(5).unwrap();
    assert_eq!(reader.read_sequence(6).unwrap(), sequence);
    assert!(reader.remaining().is_empty());
}

#[test]
fn delimiters_are_found_wherever_they_are_cut() {
    let text = b"one\r\ntwo\r\n\r\nthree";
    for at in 0..text.len() {
        let sequence = Sequence::from_iter([text[..at].to_vec(), text[at..].to_vec()]);
        let mut reader = sequence.reader();
        let mut lines = Vec::new();
        while let Some(line) = reader.read_until_slice(b"\r\n") {
            lines.push(line.iter().copied().collect::<Vec<_>>());
        }
        assert_eq!(lines, [&b"one"[..], b"two", b""]);
        assert_eq!(reader.remaining(), b"three"[..]);

        let mut reader = sequence.reader();
        assert_eq!(reader.read_until(&b'\n').unwrap(), b"one\r"[..]);
        assert!(reader.skip_if(b"two\r\n"));
        assert!(reader.skip_if(b""));
        assert_eq!(reader.skip_while(&b'\r'), 1);
        assert_eq!(reader.skip_while(&b'\r'), 0);
    }
    let ends_with_them = Sequence::from_iter([b"..".to_vec(), b"..".to_vec()]);
    assert_eq!(ends_with_them.reader().skip_while(&b'.'), 4);
}

#[test]
fn numbers_of_all_widths_in_both_orders_cross_borders() {
    let bytes: Vec<u8> = (1..=16).map(|byte| byte * 15).collect();
    macro_rules! check {
        ($($number:ty)*) => {$(
            const SIZE: usize = size_of::<$number>();
            let array = *bytes.first_chunk::<SIZE>().unwrap();
            for at in 0..=SIZE {
                let sequence = Sequence::from_iter([bytes[..at].to_vec(), bytes[at..].to_vec()]);
                let (mut le, mut be) = (sequence.reader(), sequence.reader());
                assert_eq!(le.read_le::<$number>().unwrap(), <$number>::from_le_bytes(array));
                assert_eq!(be.read_be::<$number>().unwrap(), <$number>::from_be_bytes(array));
                assert_eq!((le.consumed(), be.consumed()), (SIZE, SIZE));
            }
        )*};
    }
    {
        check!(u8);
    }
    {
        check!(u16);
    }
    {
        check!(u32);
    }
    {
        check!(u64);
    }
    {
        check!(u128);
    }
    {
        check!(i8);
    }
    {
        check!(i16);
    }
    {
        check!(i32);
    }
    {
        check!(i64);
    }
    {
        check!(i128);
    }
    {
        check!(f32);
    }
    {
        check!(f64);
    }
}

#[test]
fn a_reader_of_bytes_is_a_reader_of_the_standard_library() {
    let sequence = Sequence::from_iter([b"to b".to_vec(), b"e\nor".to_vec(), b" not".to_vec()]);
    let mut text = String::new();
    assert_eq!(sequence.reader().read_to_string(&mut text).unwrap(), 12);
    assert_eq!(text, "to be\nor not");
    let lines: Vec<_> = sequence.reader().lines().map(Result::unwrap).collect();
    assert_eq!(lines, ["to be", "or not"]);
    let mut seven = [0; 7];
    assert_eq!(Read::read(&mut sequence.reader(), &mut seven).unwrap(), 7);
    assert_eq!(&seven, b"to be\no");
    let mut reader = sequence.reader();
    reader.consume(usize::MAX);
    assert_eq!(reader.fill_buf().unwrap(), b"e\nor");
}

#[test]
fn an_operation_of_the_read_trait_that_fails_leaves_the_reader_where_it_was() {
    let sequence = Sequence::from_iter([b"ab".to_vec(), b"c\xff".to_vec(), b"\xfe".to_vec()]);
    let mut reader = sequence.reader();
    reader.advance(1).unwrap();
    let mut six = [7; 6];
    let error = Read::read_exact(&mut reader, &mut six).unwrap_err();
    assert_eq!((error.kind(), reader.consumed(), six), (std::io::ErrorKind::UnexpectedEof, 1, [7; 6]));
    let mut text = String::from("kept");
    let error = reader.read_to_string(&mut text).unwrap_err();
    assert_eq!((error.kind(), reader.consumed(), &text[..]), (std::io::ErrorKind::InvalidData, 1, "kept"));

    let mut bytes = vec![b'.'];
    assert_eq!(reader.clone().read_to_end(&mut bytes).unwrap(), 4);
    assert_eq!(bytes, b".bc\xff\xfe");
    Read::read_exact(&mut reader, &mut six[..2]).unwrap();
    assert_eq!((&six[..2], reader.consumed()), (&b"bc"[..], 3));
}

#[test]
fn text_is_read_to_the_end_through_the_read_trait() {
    let sequence = Sequence::from_iter([b"gr\xc3".to_vec(), b"\xb6\xc3\x9fe".to_vec()]);
    let (mut reader, mut text) = (sequence.reader(), String::from(">"));
    assert_eq!(reader.read_to_string(&mut text).unwrap(), 7);
    assert_eq!((&text[..], reader.is_at_end(), reader.consumed()), (">größe", true, 7));
    assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
}
