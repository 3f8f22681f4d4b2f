//! The buffer traits of `monoio`, in its own runtime.

use std::io::Write;

use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use leasehold_io::Buffer;
use monoio::buf::{IoBuf, IoBufMut};
use monoio::fs::{File, OpenOptions};
use monoio::{IoUringDriver, RuntimeBuilder};

/// Runs a future in a runtime of its own; says so where the system forbids the driver.
fn run<F: Future>(future: F) -> Option<F::Output> {
    match RuntimeBuilder::<IoUringDriver>::new().build() {
        Ok(mut runtime) => Some(runtime.block_on(future)),
        Err(error) => {
            eprintln!("NOT CHECKED with the kernel: monoio has no driver here: {error}");
            None
        }
    }
}

fn file_with(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn monoio_reads_into_a_rented_block_and_the_block_comes_back() {
    let pool = MemoryPool::new();
    let path = file_with(b"hello world");
    let owner = pool.rent::<u8>(4096);
    let address = owner.as_ptr();
    let done = run(async {
        let file = File::open(&path).await.unwrap();
        let (result, buffer) = file.read_at(Buffer::empty(owner), 6).await;
        assert_eq!(result.unwrap(), 5);
        assert_eq!((buffer.filled(), buffer.read_ptr()), (&b"world"[..], address));
    });
    if done.is_some() {
        assert_eq!(pool.rent::<u8>(4096).as_ptr(), address);
        assert_eq!(pool.stats().rented_bytes, 0);
    }
}

#[test]
fn monoio_writes_what_shared_owners_and_pins_hold() {
    let path = file_with(b"");
    let text = SharedOwner::from(b"hello world".to_vec());
    let (_lessor, memory) = MemoryOwner::from(b"HELLO".to_vec()).lease_read_only();
    let done = run(async {
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        let (result, buffer) = file.write_at(Buffer::full(text.slice(..)), 0).await;
        assert_eq!((result.unwrap(), buffer.read_ptr()), (11, text.as_ptr()));
        let (result, _pinned) = file.write_at(Buffer::full(memory.pin().unwrap()), 0).await;
        assert_eq!(result.unwrap(), 5);
    });
    if done.is_some() {
        assert_eq!(text.owners(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"HELLO world");
    }
}

#[test]
fn the_traits_tell_monoio_the_address_the_room_and_what_is_filled() {
    let owner = MemoryOwner::from(vec![0; 10]);
    let address = owner.as_ptr();
    let mut buffer = Buffer::empty(owner);
    assert_eq!((buffer.bytes_init(), buffer.bytes_total()), (0, 10));
    assert_eq!(buffer.write_ptr().cast_const(), address);
    buffer.set_filled(4);
    assert_eq!((buffer.bytes_init(), buffer.read_ptr()), (4, address));
    let slice = buffer.slice_mut(2..10);
    assert_eq!((slice.read_ptr(), slice.bytes_init()), (address.wrapping_add(2), 2));
}
