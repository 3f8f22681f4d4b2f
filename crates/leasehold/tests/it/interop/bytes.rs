//! `bytes`.

use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use leasehold::{MemoryOwner, MemoryPool, MemoryWriter, Sequence, SequenceBuf, SharedOwner};

use crate::support::catch;

fn rented(pool: &MemoryPool, text: &[u8]) -> MemoryOwner<u8> {
    let mut owner = pool.rent(text.len());
    owner.copy_from_slice(text);
    owner
}

#[test]
fn bytes_of_an_owner_show_its_memory_and_give_it_back() {
    let pool = MemoryPool::new();
    let owner = rented(&pool, b"to be");
    let address = owner.as_ptr();
    let bytes = Bytes::from(owner);
    assert_eq!((bytes.as_ptr(), &bytes[..]), (address, &b"to be"[..]));
    let tail = bytes.slice(3..);
    drop(bytes);
    assert_eq!(pool.outstanding().len(), 1);
    std::thread::spawn(move || assert_eq!(tail, "be")).join().unwrap();
    assert!(pool.outstanding().is_empty());
}

#[test]
fn bytes_of_a_shared_owner_count_as_one() {
    let pool = MemoryPool::new();
    let shared = rented(&pool, b"to be").into_shared();
    let bytes = Bytes::from(shared.slice(3..));
    let clones = vec![bytes.clone(); 10];
    assert_eq!((bytes.as_ptr(), shared.owners()), (shared[3..].as_ptr(), 2));
    drop((bytes, shared));
    assert_eq!((pool.outstanding().len(), &clones[9][..]), (1, &b"be"[..]));
    drop(clones);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn bytes_of_a_pin_survive_the_end_of_the_lease() {
    let pool = MemoryPool::new();
    let (lessor, memory) = rented(&pool, b"to be").lease_read_only();
    let bytes = Bytes::from(memory.pin().unwrap());
    assert_eq!(bytes.as_ptr(), memory.span().unwrap().as_ptr());
    drop(lessor);
    assert!(memory.span().is_err());
    assert_eq!((pool.outstanding().len(), &bytes[..]), (1, &b"to be"[..]));
    drop(bytes);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn an_owner_of_bytes_shows_their_memory_and_lets_go_of_them() {
    let pool = MemoryPool::new();
    let owner = rented(&pool, b"to be");
    let address = owner.as_ptr();
    let shared = SharedOwner::from(Bytes::from(owner).slice(1..));
    assert_eq!((shared.as_ptr(), &shared[..]), (address.wrapping_add(1), &b"o be"[..]));
    assert!(shared.clone().try_into_owner().is_err());
    let back = Bytes::from(shared);
    assert_eq!(back.as_ptr(), address.wrapping_add(1));
    drop(back);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn unique_bytes_become_a_writable_owner() {
    let mut bytes = BytesMut::with_capacity(64);
    bytes.put_slice(b"to be");
    let address = bytes.as_ptr();
    let mut owner = MemoryOwner::from(bytes);
    owner[0] = b'T';
    assert_eq!((owner.as_ptr(), &owner[..]), (address, &b"To be"[..]));
}

#[test]
fn a_sequence_reads_as_one_buffer() {
    let pool = MemoryPool::new();
    let parts = [&b"\0\0"[..], b"\x01", b"\x02to be or not"];
    let sequence = Sequence::from_iter(parts.map(|part| rented(&pool, part)));
    let mut reader = sequence.reader();
    assert_eq!(
        (Buf::remaining(&reader), reader.get_u32(), reader.chunk()),
        (16, 0x102, &b"to be or not"[..])
    );
    assert_eq!(reader.copy_to_bytes(2).as_ptr(), sequence.slice(4..).first_segment().as_ptr());
    assert_eq!((reader.consumed(), sequence.len()), (6, 16));
    let mut buf = SequenceBuf(sequence);
    assert_eq!(buf.get_u32(), 0x102);
    assert_eq!(pool.outstanding().len(), 1, "what is read is let go of");
    let address = buf.chunk().as_ptr();
    let bytes = buf.copy_to_bytes(5);
    assert_eq!((bytes.as_ptr(), &bytes[..], buf.remaining()), (address, &b"to be"[..], 7));
    drop(buf);
    assert_eq!(pool.outstanding().len(), 1);
    drop(bytes);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn bytes_across_a_border_are_copied() {
    let sequence = Sequence::from_iter([b"to ".to_vec(), b"be or".to_vec()]);
    let mut reader = sequence.reader();
    assert_eq!((reader.copy_to_bytes(5), reader.copy_to_bytes(0)), ("to be".into(), Bytes::new()));
    let mut buf = SequenceBuf::from(sequence);
    assert_eq!(buf.copy_to_bytes(5), "to be");
    assert_eq!(buf.0, b" or"[..]);
}

#[test]
fn more_than_there_is_is_the_callers_fault_and_changes_nothing() {
    let mut buf = SequenceBuf(Sequence::from(vec![1, 2, 3]));
    let mut reader = buf.0.reader();
    assert!(catch(|| Buf::advance(&mut reader, 4)).is_err());
    assert!(catch(|| reader.copy_to_bytes(4)).is_err());
    assert_eq!(reader.consumed(), 0);
    assert!(catch(|| buf.advance(4)).is_err());
    assert!(catch(|| buf.copy_to_bytes(4)).is_err());
    assert_eq!(buf.0, [1, 2, 3][..]);
}

#[test]
fn segments_are_written_with_one_call() {
    let sequence = Sequence::from_iter([b"to ".to_vec(), b"be".to_vec(), b" or".to_vec()]);
    let shown = |buf: &dyn Buf| {
        let mut slices = [IoSlice::new(b""); 2];
        let used = buf.chunks_vectored(&mut slices);
        slices[..used].iter().map(|slice| slice.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&SequenceBuf(sequence.clone())), [&b"to "[..], b"be"]);
    let mut reader = sequence.reader();
    reader.advance(4).unwrap();
    assert_eq!(shown(&reader), [&b"e"[..], b" or"]);
    reader.advance(4).unwrap();
    assert!(shown(&reader).is_empty());
}

#[test]
fn a_writer_takes_what_is_put_into_its_blocks() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::contiguous(&pool);
    let address = writer.chunk_mut().as_mut_ptr().cast_const();
    writer.put_u16(0x102);
    writer.put(Sequence::from_iter([b"to ".to_vec(), b"be".to_vec()]).reader());
    let shared = writer.freeze();
    assert_eq!((shared.as_ptr(), &shared[..]), (address, &b"\x01\x02to be"[..]));
    drop(shared);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_writer_in_segments_goes_on_in_another_block() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::segmented(&pool).block_len(64);
    let text: Vec<u8> = (0..=255).collect();
    writer.put(&text[..]);
    writer.put_bytes(7, 200);
    let sequence = writer.freeze();
    assert!(sequence.segments().count() > 1);
    assert_eq!(sequence.slice(..256), text[..]);
    assert_eq!(sequence.slice(256..), [7; 200][..]);
}
