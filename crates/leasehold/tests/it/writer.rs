//! Growing writers.

use std::io::Write;

use leasehold::{MemoryPool, MemoryWriter, NotExclusive, RentError, Sequence, SharedOwner};

use crate::support::catch;

#[test]
fn what_is_written_to_a_contiguous_writer_comes_out_as_one_slice() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::<u32>::contiguous(&pool).block_len(4);
    let mut oracle = Vec::new();
    for round in 0..200u32 {
        let slice: Vec<u32> = (0..round % 7).map(|at| round * 10 + at).collect();
        writer.push_slice(&slice);
        oracle.extend(slice);
        assert_eq!(writer.written(), oracle);
    }
    assert_eq!(writer.len(), oracle.len());
    assert_eq!(writer.freeze(), oracle[..]);
    assert_eq!(pool.outstanding().len(), 0);
}

#[test]
fn a_reservation_is_as_long_as_asked_for_and_counts_when_committed() {
    let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::new());
    assert!(!writer.reserve(0).is_empty());
    writer.reserve(10)[..3].copy_from_slice(b"abc");
    assert!(writer.is_empty());
    writer.commit(2);
    assert_eq!(writer.written(), b"ab");
    assert!(writer.reserve(5000).len() >= 5000);
    assert_eq!(writer.written(), b"ab", "moved along");
    let room = writer.room();
    let panic = catch(|| writer.commit(room + 1));
    assert!(panic.is_err());
    assert_eq!(writer.written(), b"ab");
}

#[test]
fn growing_by_one_copies_each_element_no_more_than_twice() {
    let elements = if cfg!(miri) { 100 } else { 10_000 };
    let mut writer = MemoryWriter::<u64>::contiguous(MemoryPool::new()).block_len(1);
    let (mut moves, mut copied, mut last) = (0, 0, std::ptr::null());
    for number in 0..elements {
        let before = writer.len();
        writer.push_slice(&[number]);
        if writer.written().as_ptr() != last {
            last = writer.written().as_ptr();
            moves += 1;
            copied += before;
        }
    }
    assert!(copied <= 2 * elements as usize, "{copied} copies in {moves} moves");
}

#[test]
fn freezing_copies_nothing_and_a_sole_owner_can_write_again() {
    let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::new());
    writer.push_slice(b"abc");
    let address = writer.written().as_ptr();
    let frozen = writer.freeze();
    assert_eq!(frozen.as_ptr(), address);
    let mut owner = frozen.try_into_owner().unwrap();
    owner[0] = b'A';
    assert_eq!(owner[..], *b"Abc");
}

#[test]
fn a_growing_conversation_is_one_buffer_with_slices_over_it() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::<u32>::contiguous(&pool).block_len(1000);
    let mut history: Option<SharedOwner<u32>> = None;
    let mut prompts = Vec::new();
    for turn in 0..20 {
        writer.push_slice(&[turn; 10]);
        let said = writer.split();
        let whole = match history.take() {
            Some(before) => before.try_join(said).unwrap(),
            None => said,
        };
        prompts.push(whole.clone());
        history = Some(whole);
    }
    let address = prompts[0].as_ptr();
    for (turn, prompt) in prompts.iter().enumerate() {
        let expected: Vec<u32> = (0..=turn as u32).flat_map(|turn| [turn; 10]).collect();
        assert_eq!((&prompt[..], prompt.as_ptr()), (&expected[..], address));
    }
    assert_eq!(pool.outstanding().len(), 1, "one block for all of them");
}

#[test]
fn what_was_handed_out_is_read_while_the_same_block_is_written() {
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    let mut writer = MemoryWriter::<u32>::contiguous(MemoryPool::new()).block_len(rounds as usize);
    let (sender, receiver) = std::sync::mpsc::channel::<SharedOwner<u32>>();
    let reader = std::thread::spawn(move || {
        let mut whole: Option<SharedOwner<u32>> = None;
        for piece in receiver {
            let joined = match whole.take() {
                Some(before) => before.try_join(piece).unwrap(),
                None => piece,
            };
            let last = *joined.last().unwrap();
            assert_eq!((joined[0], last as usize), (0, joined.len() - 1));
            whole = Some(joined);
        }
        whole.unwrap()
    });
    for number in 0..rounds {
        writer.push_slice(&[number]);
        sender.send(writer.split()).unwrap();
    }
    drop(sender);
    let whole = reader.join().unwrap();
    assert!(whole.iter().copied().eq(0..rounds));
}

#[test]
fn a_share_of_a_block_that_is_still_written_never_becomes_an_owner() {
    let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::new());
    writer.push_slice(b"abc");
    let share = writer.split();
    let error = share.try_into_owner().unwrap_err();
    assert!(matches!(error, NotExclusive::Shared(_)));
    let share = error.into_shared().try_lease_read_only().unwrap_err().into_shared();
    drop(writer);
    let owner = share.try_into_owner().unwrap();
    assert_eq!(owner[..], *b"abc");
}

#[test]
fn only_neighbours_in_one_block_join() {
    let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::new());
    writer.push_slice(b"abcdef");
    let whole = writer.split();
    let (ab, rest) = whole.clone().split_at(2);
    let (cd, ef) = rest.split_at(2);
    let apart = ab.clone().try_join(ef.clone()).unwrap_err();
    assert_eq!((&apart.first[..], &apart.second[..]), (&b"ab"[..], &b"ef"[..]));
    drop(apart);
    assert!(cd.clone().try_join(ab.clone()).is_err());
    assert!(ab.clone().try_join(SharedOwner::from(b"cd".to_vec())).is_err(), "another block");
    assert!(ab.clone().try_join(ab.clone()).is_err());
    let joined = ab.try_join(cd).unwrap().try_join(ef).unwrap();
    assert_eq!((&joined[..], joined.as_ptr()), (&b"abcdef"[..], whole.as_ptr()));
    assert_eq!(joined.clone().try_join(joined.slice(6..)).unwrap(), b"abcdef"[..]);
    drop(whole);
    assert_eq!(joined.owners(), 2, "the writer's and ours");
}

#[test]
fn elements_without_a_size_never_join() {
    let (left, right) = SharedOwner::from(vec![(), (), ()]).split_at(1);
    let apart = left.try_join(right).unwrap_err();
    assert_eq!((apart.first.len(), apart.second.len()), (1, 2));
}

#[test]
fn a_block_is_used_again_when_all_that_was_handed_out_is_gone() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::<u8>::contiguous(&pool).block_len(64);
    writer.push_slice(&[1; 64]);
    let first = writer.split();
    let address = first.as_ptr();
    drop(first);
    writer.push_slice(&[2; 40]);
    assert_eq!(writer.written().as_ptr(), address);
    let kept = writer.split();
    writer.push_slice(&[3; 40]);
    assert_ne!(writer.written().as_ptr(), address, "somebody still reads the block");
    assert_eq!((&kept[..], writer.written()), (&[2; 40][..], &[3; 40][..]));
    assert_eq!(pool.outstanding().len(), 2);
}

#[test]
fn what_is_not_handed_out_moves_to_the_front_of_a_block_that_is_used_again() {
    let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::new()).block_len(64);
    writer.push_slice(&[1; 50]);
    let handed_out = writer.split();
    let address = handed_out.as_ptr();
    writer.push_slice(&[2; 10]);
    drop(handed_out);
    writer.push_slice(&[3; 40]);
    assert_eq!(writer.written().as_ptr(), address);
    assert_eq!(writer.written(), [[2; 10].as_slice(), &[3; 40]].concat());
}

#[test]
fn what_was_written_can_be_changed_and_taken_back_until_it_is_handed_out() {
    let mut writer = MemoryWriter::contiguous(MemoryPool::new());
    writer.push_slice(b"?bcd");
    writer.written_mut()[0] = b'a';
    writer.truncate(2);
    writer.truncate(100);
    writer.push_slice(b"z");
    assert_eq!(writer.split(), b"abz"[..]);
    assert!(writer.written_mut().is_empty());
    assert_eq!(writer.split().len(), 0);
    assert_eq!(writer.freeze().len(), 0);
}

#[test]
fn a_segmented_writer_never_moves_what_is_written() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::<u32>::segmented(&pool).block_len(8);
    let mut oracle = Vec::new();
    for round in 0..50u32 {
        let slice: Vec<u32> = (0..round % 11).map(|at| round * 100 + at).collect();
        writer.push_slice(&slice);
        oracle.extend(slice);
        assert_eq!(writer.len(), oracle.len());
    }
    let sequence = writer.split();
    assert_eq!(sequence, oracle[..]);
    assert!(sequence.segments().len() > 10);
    let addresses: Vec<_> = sequence.segments().map(<[u32]>::as_ptr).collect();
    writer.push_slice(&[7]);
    let rest = writer.freeze();
    assert_eq!(rest, [7][..]);
    assert_eq!(sequence.segments().map(<[u32]>::as_ptr).collect::<Vec<_>>(), addresses);
    drop((sequence, rest));
    assert_eq!(pool.outstanding().len(), 0);
}

#[test]
fn a_piece_of_a_segmented_writer_is_never_cut_in_two() {
    let mut writer = MemoryWriter::<u8>::segmented(MemoryPool::new()).block_len(8);
    writer.push_slice(&[1; 5]);
    writer.push_slice(&[2; 5]);
    writer.push_slice(&[3; 100]);
    let sequence = writer.freeze();
    let lengths: Vec<_> = sequence.segments().map(<[u8]>::len).collect();
    assert_eq!(lengths, [5, 5, 100]);
}

#[test]
fn extending_fills_blocks_whatever_the_iterator_promises() {
    let mut contiguous = MemoryWriter::<u16>::contiguous(MemoryPool::new()).block_len(10);
    let mut segmented = MemoryWriter::<u16>::segmented(MemoryPool::new()).block_len(10);
    let end = if cfg!(miri) { 50 } else { 1000 };
    // One that knows its length, and one that does not.
    contiguous.extend(0..end);
    contiguous.extend((0..end).filter(|number| number % 3 == 0));
    segmented.extend(0..end);
    segmented.extend((0..end).filter(|number| number % 3 == 0).collect::<Vec<_>>().iter());
    let oracle: Vec<u16> = (0..end).chain((0..end).step_by(3)).collect();
    assert_eq!(contiguous.freeze(), oracle[..]);
    assert_eq!(segmented.freeze(), oracle[..]);
}

#[test]
fn an_iterator_that_panics_leaves_what_was_written_before() {
    let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::new());
    writer.push_slice(b"ab");
    let panic = catch(|| writer.extend((0..10).map(|at| if at < 5 { at } else { panic!("at {at}") })));
    assert!(panic.is_err());
    assert_eq!(writer.written(), b"ab");
}

#[test]
fn a_writer_of_bytes_is_a_writer_of_the_standard_library() {
    let mut contiguous = MemoryWriter::contiguous(MemoryPool::new());
    write!(contiguous, "{}-two", 1).unwrap();
    contiguous.flush().unwrap();
    assert_eq!(contiguous.freeze(), b"1-two"[..]);
    let mut segmented = MemoryWriter::segmented(MemoryPool::new()).block_len(2);
    write!(segmented, "{}-two", 1).unwrap();
    assert_eq!(segmented.freeze(), b"1-two"[..]);
}

#[test]
fn a_pool_without_memory_refuses_and_nothing_is_lost() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let mut writer = MemoryWriter::<u8>::segmented(&pool).block_len(1024);
    let mut written = 0;
    let error = loop {
        match writer.try_reserve(1024) {
            Ok(room) => room.fill(written as u8),
            Err(error) => break error,
        }
        writer.commit(1024);
        written += 1;
    };
    assert!(matches!(error, RentError::Exhausted(_)), "{error}");
    let error = std::io::Write::write(&mut writer, &[0; 1024]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
    assert!(catch(|| writer.push_slice(&[0; 1024])).is_err());
    let sequence: Sequence<u8> = writer.freeze();
    assert_eq!((written, sequence.len()), (4, 4096));
    assert!((0..4).all(|at| sequence[at * 1024] == at as u8));
    let mut writer = MemoryWriter::<u64>::contiguous(MemoryPool::shared());
    writer.push_slice(&[1]);
    assert!(matches!(writer.try_reserve(usize::MAX), Err(RentError::TooLarge { .. })));
    assert_eq!(writer.written(), [1]);
}

#[test]
fn who_asks_for_a_block_is_who_holds_it() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::<u8>::contiguous(&pool);
    let line = line!() + 1;
    writer.push_slice(b"abc");
    let site = pool.outstanding()[0].rented_at.unwrap();
    assert_eq!((site.file(), site.line()), (file!(), line));
}

#[test]
fn nothing_that_is_printed_shows_what_was_written() {
    let mut writer = MemoryWriter::<u32>::segmented(MemoryPool::new());
    writer.push_slice(&[42_424_242]);
    assert_eq!(format!("{writer:?}"), "MemoryWriter { len: 1, room: 1023 }");
}
