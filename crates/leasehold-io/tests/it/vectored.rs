//! Several pieces of memory with one operation.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use leasehold::{MemoryOwner, MemoryPool, Sequence, SharedOwner};

use crate::ring::{file_with, ring, silent_pipe};

/// More than the kernel takes at a time.
const MANY: usize = 3000;

fn contents(file: &std::fs::File) -> Vec<u8> {
    let mut text = vec![0; file.metadata().unwrap().len() as usize];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut text, 0).unwrap();
    text
}

#[test]
fn a_vectored_read_fills_one_memory_after_the_other() {
    let Some(ring) = ring() else { return };
    let pool = MemoryPool::new();
    let file = file_with(b"hello world");
    let memories = vec![pool.rent::<u8>(2), pool.rent(0), pool.rent(3), pool.rent(100)];
    let addresses: Vec<_> = memories.iter().map(|memory| memory.as_ptr()).collect();
    let (memories, len) = ring.read_vectored_at(&file, memories, 1).wait().unwrap();
    assert_eq!(len, 10, "as much as the file has");
    assert_eq!(
        (&memories[0][..], &memories[2][..], &memories[3][..5]),
        (&b"el"[..], &b"lo "[..], &b"world"[..])
    );
    assert_eq!(memories.iter().map(|memory| memory.as_ptr()).collect::<Vec<_>>(), addresses);
    let (memories, len) = ring.read_vectored_at(&file, memories, 11).wait().unwrap();
    assert_eq!((memories.len(), len), (4, 0), "the end of the file");
    drop(memories);
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn a_sequence_is_written_in_place_and_comes_back() {
    let Some(ring) = ring() else { return };
    let file = file_with(b"");
    let whole = SharedOwner::from(b"..world hello".to_vec());
    let text = Sequence::from_iter([whole.slice(8..), whole.slice(7..8), whole.slice(2..7)]);
    let (back, len) = ring.write_vectored_at(&file, text.slice(1..), 0).wait().unwrap();
    assert_eq!((len, &contents(&file)[..]), (10, &b"ello world"[..]));
    assert_eq!((&back, back.first_segment().as_ptr()), (&text.slice(1..), whole[9..].as_ptr()));
    drop((back, text));
    assert_eq!(whole.owners(), 1, "the ring keeps none");
}

#[test]
fn owners_and_pins_are_written_together() {
    let Some(ring) = ring() else { return };
    let file = file_with(b"");
    let owners = vec![MemoryOwner::from(b"to be".to_vec()), MemoryOwner::from(b" or not".to_vec())];
    let (owners, len) = ring.write_vectored(&file, owners).wait().unwrap();
    assert_eq!((owners.len(), len), (2, 12));
    let (lessor, view) = owners.into_iter().next().unwrap().lease_read_only();
    let pins = vec![view.pin().unwrap(), view.pin().unwrap()];
    drop(ring.write_vectored(&file, pins).wait().unwrap());
    assert_eq!(contents(&file), b"to be or notto beto be", "at the file's own position");
    assert!(lessor.try_reclaim().is_ok());
}

#[test]
fn nothing_is_moved_where_there_is_nothing() {
    let Some(ring) = ring() else { return };
    let file = file_with(b"hello");
    assert_eq!(ring.write_vectored_at(&file, Sequence::new(), 0).wait().unwrap().1, 0);
    assert_eq!(ring.write_vectored_at(&file, Vec::<SharedOwner<u8>>::new(), 0).wait().unwrap().1, 0);
    assert_eq!(ring.read_vectored_at(&file, Vec::<MemoryOwner<u8>>::new(), 0).wait().unwrap().1, 0);
    let empty = vec![MemoryOwner::from(vec![]), MemoryOwner::from(vec![])];
    let (empty, len) = ring.read_vectored_at(&file, empty, 0).wait().unwrap();
    assert_eq!((empty.len(), len, &contents(&file)[..]), (2, 0, &b"hello"[..]));
}

#[test]
fn more_segments_than_the_kernel_takes_go_in_several_turns() {
    let Some(ring) = ring() else { return };
    let file = file_with(b"");
    let bytes: Vec<u8> = (0..MANY).map(|index| (index % 251) as u8).collect();
    let mut left = Sequence::from_iter(bytes.chunks(1).map(<[u8]>::to_vec));
    assert_eq!(left.segments().count(), MANY);
    let mut turns = 0;
    while !left.is_empty() {
        let offset = (MANY - left.len()) as u64;
        let (rest, len) = ring.write_vectored_at(&file, left, offset).wait().unwrap();
        assert!(len > 0);
        left = rest;
        left.advance(len);
        turns += 1;
    }
    assert_eq!((contents(&file), turns), (bytes.clone(), 3));

    let memories: Vec<_> = (0..MANY).map(|_| MemoryOwner::from(vec![0; 1])).collect();
    let (memories, len) = ring.read_vectored_at(&file, memories, 0).wait().unwrap();
    assert_eq!(len, 1024);
    assert!(memories.iter().map(|memory| memory[0]).take(len).eq(bytes[..len].iter().copied()));
    assert!(memories[len..].iter().all(|memory| memory[0] == 0), "the others are untouched");
}

#[test]
fn empty_memories_use_up_no_place() {
    let Some(ring) = ring() else { return };
    let mut memories: Vec<_> = (0..MANY).map(|_| MemoryOwner::from(vec![])).collect();
    memories.push(MemoryOwner::from(vec![0; 5]));
    let (memories, len) = ring.read_vectored_at(&file_with(b"hello"), memories, 0).wait().unwrap();
    assert_eq!((len, &memories[MANY][..]), (5, &b"hello"[..]), "not the end of the file");
}

#[test]
fn a_sequence_that_is_larger_than_a_pipe_arrives_in_parts() {
    let Some(ring) = ring() else { return };
    let (mut from, to) = io::pipe().unwrap();
    let to = Arc::new(to);
    let bytes: Vec<u8> = (0..1_000_000).map(|index: u32| (index % 251) as u8).collect();
    let mut left = Sequence::from_iter(bytes.chunks(10_000).map(<[u8]>::to_vec));
    let arrived = thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut arrived = Vec::new();
            from.read_to_end(&mut arrived).map(|_| arrived)
        });
        while !left.is_empty() {
            let (rest, len) = ring.write_vectored(&to, left).wait().unwrap();
            left = rest;
            left.advance(len);
        }
        drop(to);
        reader.join().unwrap().unwrap()
    });
    assert!(arrived == bytes);
}

#[test]
fn an_error_hands_all_memories_back_and_says_what_was_tried() {
    let Some(ring) = ring() else { return };
    let (from, to) = silent_pipe();
    let text = Sequence::from_iter([b"hello ".to_vec(), b"world".to_vec()]);
    let failed = ring.write_vectored(&from, text).wait().unwrap_err();
    assert_eq!(failed.to_string(), "cannot write 11 bytes: Bad file descriptor (os error 9)");
    assert_eq!(failed.memory, b"hello world"[..]);
    let memories = vec![MemoryOwner::from(vec![0; 2]), MemoryOwner::from(vec![0; 3])];
    let failed = ring.read_vectored_at(&Arc::new(to), memories, 7).wait().unwrap_err();
    assert_eq!(failed.memory.len(), 2);
    assert!(failed.to_string().starts_with("cannot read 5 bytes at offset 7: "), "{failed}");
}

#[test]
fn what_is_cancelled_gives_all_memories_back() {
    let Some(ring) = ring() else { return };
    let pool = MemoryPool::new();
    let (from, mut to) = silent_pipe();
    let reading = ring.read_vectored(&from, vec![pool.rent::<u8>(10), pool.rent(10)]);
    reading.cancel();
    let failed = reading.wait().unwrap_err();
    assert!(failed.is_cancelled() && failed.memory.len() == 2, "{failed}");
    to.write_all(b"hello").unwrap();
    let (memories, len) = ring.read_vectored(&from, failed.memory).wait().unwrap();
    assert_eq!(memories[0][..len], *b"hello", "the cancelled read took nothing");

    let readings: Vec<_> =
        (0..20).map(|_| ring.read_vectored(&from, vec![pool.rent::<u8>(10), pool.rent(10)])).collect();
    drop((ring, memories));
    for reading in readings {
        assert!(reading.wait().is_err_and(|failed| failed.is_cancelled() && failed.memory.len() == 2));
    }
    assert_eq!(pool.stats().rented_bytes, 0);
}

/// The write has to end before the block has another tenant.
#[test]
fn a_dropped_write_sends_nothing_of_a_later_tenant() {
    const LEN: usize = 8192;
    let Some(ring) = ring() else { return };
    let bounded = MemoryPool::builder().build_bounded(LEN);
    let (mut from, to) = io::pipe().unwrap();
    let to = Arc::new(to);
    for _ in 0..50 {
        // The first fills the pipe, so that others wait in the kernel.
        let filling = ring.write_vectored(&to, Sequence::from(vec![1; 1 << 20]));
        let mut memory = bounded.rent_blocking::<u8>(LEN).unwrap();
        memory.fill(1);
        let (left, right) = memory.into_shared().split_at(LEN / 2);
        drop(ring.write_vectored(&to, vec![right, left]));
        let mut tenant = bounded.rent_blocking::<u8>(LEN).unwrap();
        tenant.fill(7);
        drop(filling);
        let mut some = vec![0; 4096];
        let len = from.read(&mut some).unwrap();
        assert!(some[..len].iter().all(|&byte| byte == 1));
    }
    drop((ring, to));
    let mut rest = Vec::new();
    from.read_to_end(&mut rest).unwrap();
    assert!(rest.iter().all(|&byte| byte == 1));
}
