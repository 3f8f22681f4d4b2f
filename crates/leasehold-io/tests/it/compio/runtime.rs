//! The traits of `compio-buf`, in compio's own runtime.

use std::io::Write;
use std::pin::pin;
use std::task::{Context, Waker};

use compio_buf::{BufResult, IoBuf};
use compio_fs::{File, OpenOptions, pipe};
use compio_io::{AsyncRead, AsyncReadAt, AsyncWriteAt, AsyncWriteExt};
use compio_runtime::Runtime;
use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use leasehold_io::Buffer;

use super::room;

/// Runs a future in a runtime of its own; says so where that runs without the kernel's rings.
fn run<F: Future>(future: F) -> F::Output {
    let runtime = Runtime::new().unwrap();
    if !runtime.driver_type().is_iouring() {
        eprintln!("NOT CHECKED with io_uring: compio polls here");
    }
    runtime.block_on(future)
}

fn file_with(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn compio_reads_into_a_rented_block_and_the_block_comes_back() {
    let pool = MemoryPool::new();
    let path = file_with(b"hello world");
    let owner = pool.rent::<u8>(4096);
    let address = owner.as_ptr();
    run(async {
        let file = File::open(&path).await.unwrap();
        let BufResult(result, room) = file.read_at(room(owner), 6).await;
        assert_eq!(result.unwrap(), 5);
        assert_eq!((room.as_init(), room.buf_ptr()), (&b"world"[..], address));
    });
    assert_eq!(pool.stats().rented_bytes, 0);
    assert_eq!(pool.rent::<u8>(4096).as_ptr(), address);
}

#[test]
fn compio_writes_what_shared_owners_and_pins_hold() {
    let path = file_with(b"");
    let text = SharedOwner::from(b"hello world".to_vec());
    let (_lessor, memory) = MemoryOwner::from(b"HELLO".to_vec()).lease_read_only();
    run(async {
        let mut file = OpenOptions::new().write(true).open(&path).await.unwrap();
        let BufResult(result, buffer) = file.write_at(Buffer::full(text.slice(..)), 0).await;
        assert_eq!((result.unwrap(), buffer.buf_ptr()), (11, text.as_ptr()));
        let BufResult(result, _pinned) = file.write_at(Buffer::full(memory.pin().unwrap()), 0).await;
        assert_eq!(result.unwrap(), 5);
    });
    assert_eq!(text.owners(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"HELLO world");
}

#[test]
fn a_read_of_compios_that_is_dropped_gives_the_block_back_when_the_kernel_is_done() {
    let pool = MemoryPool::new();
    run(async {
        let (mut receiver, mut sender) = pipe::anonymous().await.unwrap();
        {
            let mut reading = pin!(receiver.read(room(pool.rent::<u8>(5))));
            assert!(reading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let text = SharedOwner::from(b"hello".to_vec());
        sender.write_all(Buffer::full(text)).await.unwrap();
        let BufResult(result, room) = receiver.read(room(pool.rent::<u8>(5))).await;
        assert_eq!((result.unwrap(), room.as_init()), (5, &b"hello"[..]));
    });
    assert_eq!(pool.stats().rented_bytes, 0, "the runtime has ended, and with it every operation");
}
