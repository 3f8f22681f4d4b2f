//! The traits of `compio-buf`.
#![expect(unsafe_code, reason = "a room is a promise, and the trait has an unsafe method")]

#[cfg(all(target_os = "linux", not(miri)))] // which has no io_uring
mod runtime;

use compio_buf::{IntoInner, IoBuf, IoBufMut, SetLen};
use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use leasehold_io::{Buffer, Room, StableMut};

/// Memory to read into.
fn room<B: StableMut>(memory: B) -> Room<B> {
    // SAFETY: only these tests write through it, and only bytes.
    unsafe { Buffer::empty(memory).into_room() }
}

/// What a runtime does with a buffer when `bytes` have come.
fn receive<B: IoBufMut>(mut buffer: B, bytes: &[u8]) -> B {
    let room = buffer.as_uninit();
    for (place, byte) in room.iter_mut().zip(bytes) {
        place.write(*byte);
    }
    // SAFETY: they were written just now.
    unsafe { buffer.set_len(bytes.len()) };
    buffer
}

#[test]
fn a_runtime_of_compios_fills_a_rented_block_in_place() {
    let pool = MemoryPool::new();
    let owner = pool.rent::<u8>(1000);
    let address = owner.as_ptr();
    let mut buffer = room(owner);
    assert_eq!((buffer.buf_len(), buffer.buf_capacity(), buffer.buf_ptr()), (0, 1000, address));
    let buffer = receive(Box::new(buffer), b"hello");
    assert_eq!((buffer.as_init(), buffer.buf_ptr()), (&b"hello"[..], address));
    let slice = buffer.slice(1..3);
    assert_eq!((slice.as_init(), slice.buf_ptr()), (&b"el"[..], address.wrapping_add(1)));
    drop(slice);
    assert_eq!(pool.rent::<u8>(1000).as_ptr(), address, "the block came back when the runtime dropped it");
}

#[test]
fn compio_reads_shared_owners_and_pins_where_they_are() {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<u8>(5);
    owner.copy_from_slice(b"hello");
    let shared: SharedOwner<u8> = owner.into_shared();
    let address = shared.as_ptr();
    let buffer = Buffer::full(shared.slice(1..));
    assert_eq!((buffer.as_init(), buffer.buf_ptr()), (&b"ello"[..], address.wrapping_add(1)));
    drop((buffer, shared));
    assert_eq!(pool.stats().rented_bytes, 0);

    let (lessor, memory) = MemoryOwner::from(b"hello".to_vec()).lease_read_only();
    let buffer = Buffer::full(memory.pin().unwrap());
    let revocation = lessor.revoke().try_take().unwrap_err();
    assert_eq!(buffer.as_init(), b"hello");
    drop(buffer);
    assert!(revocation.try_take().is_ok());
}

#[test]
fn compio_fills_pinned_memory() {
    let (lessor, memory) = MemoryOwner::from(vec![0; 5]).lease();
    let buffer = receive(room(memory.pin().unwrap()), b"hello");
    let (pinned, filled) = buffer.into_buffer().into_parts();
    assert_eq!((filled, &pinned[..]), (5, &b"hello"[..]));
    drop(pinned);
    assert_eq!(lessor.try_reclaim().unwrap()[..], *b"hello");
}

#[test]
fn leased_numbers_are_read_as_their_bytes() {
    let (lessor, memory) = MemoryOwner::from(vec![0f32; 2]).lease();
    let bytes: Vec<u8> = [1.5f32, -2.0].into_iter().flat_map(f32::to_ne_bytes).collect();
    let room = receive(room(memory.pin().unwrap().cast::<u8>().unwrap()), &bytes);
    let (pinned, filled) = room.into_buffer().into_parts();
    assert_eq!((filled, &pinned.cast::<f32>().unwrap()[..]), (8, &[1.5, -2.0][..]));
    assert_eq!(lessor.try_reclaim().unwrap()[..], [1.5, -2.0]);
}

#[test]
fn what_was_read_stays_when_more_is_read_behind_it_and_when_nothing_comes() {
    let room = receive(room(MemoryOwner::from(vec![9; 8])), b"one");
    let room = receive(room.uninit(), b" two").into_inner();
    assert_eq!(room.as_init(), b"one two");
    let mut at_the_end = room.uninit();
    assert_eq!(at_the_end.as_uninit().len(), 1);
    let (owner, filled) = at_the_end.into_inner().into_buffer().into_parts();
    assert_eq!((&owner[..], filled), (&b"one two\x09"[..], 7), "no byte was cleared");
}

#[test]
#[should_panic(expected = "6 bytes cannot be filled in a buffer of 5")]
fn a_runtime_cannot_say_that_more_is_filled_than_there_is() {
    let mut buffer = room(MemoryOwner::from(vec![0; 5]));
    // SAFETY: none of the conditions is met; the buffer does not rely on them.
    unsafe { buffer.set_len(6) };
}
