//! Reads and writes through a ring.

use std::fs::File;
use std::future::Future;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use leasehold_io::{Operation, Ring, RingBuilder};

/// The ring, or `None` where the system forbids it. Then the error has to say so and to hand everything back, which is all
/// that can be checked.
pub fn ring_of(builder: RingBuilder) -> Option<Ring> {
    match builder.build() {
        Ok(ring) => Some(ring),
        Err(error) if error.is_forbidden() => {
            eprintln!("NOT CHECKED with the kernel: {error}");
            assert!(error.to_string().contains("seccomp"), "{error}");
            let given = [MemoryOwner::from(vec![7; 4096]), MemoryOwner::from(vec![8; 4096])];
            let refused = Ring::builder().register(given).build().unwrap_err();
            assert_eq!(refused.buffers.iter().map(|buffer| buffer[0]).collect::<Vec<_>>(), [7, 8]);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub fn ring() -> Option<Ring> {
    ring_of(Ring::builder())
}

pub fn silent_pipe() -> (Arc<PipeReader>, PipeWriter) {
    let (from, to) = io::pipe().unwrap();
    (Arc::new(from), to)
}

pub fn file_with(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_read_fills_the_rented_block_itself() {
    let Some(ring) = ring() else { return };
    let pool = MemoryPool::new();
    let file = file_with(b"hello world");
    let memory = pool.rent::<u8>(4096);
    let address = memory.as_ptr();
    let (memory, len) = block_on(ring.read_at(&file, memory, 6)).unwrap();
    assert_eq!((&memory[..len], memory.as_ptr(), memory.len()), (&b"world"[..], address, 4096));
    drop(memory);
    assert_eq!(pool.stats().rented_bytes, 0);
    assert_eq!(pool.rent::<u8>(4096).as_ptr(), address);
}

#[test]
fn a_read_at_the_end_of_the_file_moves_nothing() {
    let Some(ring) = ring() else { return };
    let (_, len) = ring.read_at(&file_with(b"hello"), MemoryOwner::from(vec![0; 10]), 5).wait().unwrap();
    assert_eq!(len, 0);
}

#[test]
fn an_offset_that_no_file_has_is_refused() {
    let Some(ring) = ring() else { return };
    let failed =
        ring.read_at(&file_with(b"hello"), MemoryOwner::from(vec![0; 10]), u64::MAX).wait().unwrap_err();
    assert_eq!(failed.error.kind(), io::ErrorKind::InvalidInput, "{failed}");
}

#[test]
fn memory_of_no_bytes_can_be_read_into() {
    let Some(ring) = ring() else { return };
    let (memory, len) = ring.read_at(&file_with(b"hello"), MemoryOwner::from(vec![]), 0).wait().unwrap();
    assert_eq!((memory.len(), len), (0, 0));
}

#[test]
fn shared_owners_write_and_pins_read() {
    let Some(ring) = ring() else { return };
    let file = file_with(b"");
    let text = SharedOwner::from(b"hello world".to_vec());
    let (world, hello) = (text.slice(6..), text.slice(..6));
    let writes = [ring.write_at(&file, world, 6), ring.write_at(&file, hello, 0)];
    for write in writes {
        let (part, len) = write.wait().unwrap();
        assert_eq!(part.len(), len);
    }
    assert_eq!(text.owners(), 1, "the ring keeps none");

    let (lessor, memory) = MemoryOwner::from(vec![0; 11]).lease();
    let (pinned, len) = ring.read_at(&file, memory.pin().unwrap(), 0).wait().unwrap();
    assert_eq!((len, &pinned[..]), (11, &b"hello world"[..]));
    drop(pinned);
    assert_eq!(lessor.try_reclaim().unwrap()[..], *b"hello world");

    let (_lessor, view) = MemoryOwner::from(b"HELLO".to_vec()).lease_read_only();
    drop(ring.write_at(&file, view.pin().unwrap(), 0).wait().unwrap());
    let (memory, _) = ring.read_at(&file, MemoryOwner::from(vec![0; 11]), 0).wait().unwrap();
    assert_eq!(memory[..], *b"HELLO world");
}

#[test]
fn a_lessor_gets_its_buffer_back_when_the_kernel_has_done_with_it() {
    let Some(ring) = ring() else { return };
    let (from, mut to) = silent_pipe();
    let (lessor, memory) = MemoryOwner::from(vec![0; 5]).lease();
    let reading = ring.read(&from, memory.pin().unwrap());
    let revocation = lessor.revoke().try_take().unwrap_err();
    to.write_all(b"hello").unwrap();
    let (pinned, len) = reading.wait().unwrap();
    assert_eq!((len, &pinned[..]), (5, &b"hello"[..]));
    drop(pinned);
    assert_eq!(revocation.try_take().unwrap()[..], *b"hello");
}

#[test]
fn an_error_hands_the_memory_back_and_says_what_was_tried() {
    let Some(ring) = ring() else { return };
    let (from, to) = silent_pipe();
    let memory = MemoryOwner::from(vec![0; 10]);
    let address = memory.as_ptr();
    let failed = ring.read(&Arc::new(to), memory).wait().unwrap_err();
    assert_eq!(failed.memory.as_ptr(), address);
    assert_eq!(failed.to_string(), "cannot read 10 bytes: Bad file descriptor (os error 9)");
    let failed = ring.write(&from, failed.memory).wait().unwrap_err();
    let error = io::Error::from(failed);
    assert_eq!(error.to_string(), "cannot write 10 bytes: Bad file descriptor (os error 9)");
}

#[test]
fn an_operation_that_is_cancelled_gives_its_memory_back() {
    let Some(ring) = ring() else { return };
    let (from, mut to) = silent_pipe();
    let memory = MemoryOwner::from(vec![0; 10]);
    let address = memory.as_ptr();
    let reading = ring.read(&from, memory);
    reading.cancel();
    let failed = reading.wait().unwrap_err();
    assert!(failed.is_cancelled(), "{failed}");
    assert_eq!(failed.memory.as_ptr(), address);

    to.write_all(b"hello").unwrap();
    let (memory, len) = ring.read(&from, failed.memory).wait().unwrap();
    assert_eq!(memory[..len], *b"hello", "the cancelled read took nothing");
}

#[test]
fn a_ring_that_is_dropped_ends_every_operation_and_lets_go_of_all_memory() {
    let Some(ring) = ring() else { return };
    let pool = MemoryPool::new();
    let (from, _to) = silent_pipe();
    let readings: Vec<Operation<_>> = (0..200).map(|_| ring.read(&from, pool.rent::<u8>(100))).collect();
    drop(ring);
    for (index, reading) in readings.into_iter().enumerate() {
        let failed = reading.wait().unwrap_err();
        assert!(failed.is_cancelled(), "{index}: {failed}");
        assert_eq!(failed.memory.len(), 100);
    }
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn dropped_operations_give_their_blocks_back_to_the_pool() {
    let Some(ring) = ring() else { return };
    let pool = MemoryPool::new();
    let (from, _to) = silent_pipe();
    for _ in 0..100 {
        drop(ring.read(&from, pool.rent::<u8>(100)));
    }
    drop(ring);
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn operations_outlive_the_thread_that_began_them() {
    let Some(ring) = ring() else { return };
    let (from, mut to) = silent_pipe();
    let reading = thread::scope(|scope| {
        scope.spawn(|| ring.read(&from, MemoryOwner::from(vec![0; 5]))).join().unwrap()
    });
    to.write_all(b"hello").unwrap();
    assert_eq!(reading.wait().unwrap().1, 5);
}

#[test]
fn a_file_stays_open_until_the_kernel_has_done_with_it() {
    let Some(ring) = ring() else { return };
    let (from, mut to) = silent_pipe();
    let reading = ring.read(&from, MemoryOwner::from(vec![0; 5]));
    drop(from);
    to.write_all(b"hello").unwrap();
    assert_eq!(reading.wait().unwrap().1, 5);
    assert_eq!(to.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe, "and is closed then");
}

#[test]
fn many_threads_share_a_ring_that_is_smaller_than_their_work() {
    let Some(ring) = ring_of(Ring::builder().entries(2)) else { return };
    let pool = MemoryPool::new();
    let file = file_with(&(0..=255).collect::<Vec<u8>>());
    thread::scope(|scope| {
        for thread in 0..4 {
            let (ring, pool, file) = (&ring, &pool, &file);
            scope.spawn(move || {
                for round in 0..50 {
                    let offsets: Vec<u8> = (0..10).map(|index| thread * 50 + (round + index) % 50).collect();
                    let reads: Vec<_> = offsets
                        .iter()
                        .map(|&offset| ring.read_at(file, pool.rent::<u8>(1), offset.into()))
                        .collect();
                    for (offset, read) in offsets.into_iter().zip(reads) {
                        let (memory, len) = read.wait().unwrap();
                        assert_eq!((len, memory[0]), (1, offset));
                    }
                }
            });
        }
    });
    drop(ring);
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn registered_buffers_are_read_and_written_in_place_and_come_back() {
    let pool = MemoryPool::new();
    let owners: Vec<_> = (0..2).map(|_| pool.rent::<u8>(4096)).collect();
    let addresses: Vec<_> = owners.iter().map(|owner| owner.as_ptr().addr()).collect();
    let Some(ring) = ring_of(Ring::builder().register(owners)) else { return };
    let file = file_with(b"hello");

    let (first, second) = (ring.rent_registered().unwrap(), ring.rent_registered().unwrap());
    assert!(ring.rent_registered().is_none());
    let (mut first, len) = ring.read_at(&file, first, 0).wait().unwrap();
    assert_eq!(&first[..len], b"hello");
    assert!(addresses.contains(&first.as_ptr().addr()));
    first[..5].copy_from_slice(b"HELLO");
    drop(ring.write_at(&file, first, 5).wait().unwrap());
    let mut text = vec![0; 10];
    std::os::unix::fs::FileExt::read_exact_at(&*file, &mut text, 0).unwrap();
    assert_eq!(text, b"helloHELLO");
    assert!(ring.rent_registered().is_some(), "the written one came back");

    drop(ring);
    assert!(addresses.contains(&second.as_ptr().addr()), "a buffer outlives its ring");
    drop(second);
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn a_registered_buffer_works_in_another_ring() {
    let registered = || Ring::builder().register([MemoryOwner::from(vec![0; 4096])]);
    let (Some(first), Some(second)) = (ring_of(registered()), ring_of(registered())) else { return };
    let buffer = first.rent_registered().unwrap();
    let (buffer, len) = second.read_at(&file_with(b"hello"), buffer, 0).wait().unwrap();
    assert_eq!(&buffer[..len], b"hello");
    drop(buffer);
    assert!(first.rent_registered().is_some());
}

#[test]
fn buffers_that_cannot_be_registered_come_back() {
    if ring().is_none() {
        return;
    }
    let given = [MemoryOwner::from(vec![1; 4096]), MemoryOwner::from(vec![])];
    let refused = Ring::builder().register(given).build().unwrap_err();
    assert_eq!(refused.buffers.iter().map(|buffer| buffer.len()).collect::<Vec<_>>(), [4096, 0]);
    assert!(!refused.is_forbidden(), "{refused}");
}

#[test]
fn a_waker_that_panics_stops_nobody_else() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("this waker panics, as it is meant to");
        }
    }
    let Some(ring) = ring() else { return };
    let (from, mut to) = silent_pipe();
    let mut reading = ring.read(&from, MemoryOwner::from(vec![0; 5]));
    let waker = Waker::from(Arc::new(Panics));
    assert!(pin!(&mut reading).poll(&mut Context::from_waker(&waker)).is_pending());
    to.write_all(b"hello").unwrap();
    assert_eq!(reading.wait().unwrap().1, 5);
    let (_, len) = ring.read_at(&file_with(b"hello"), MemoryOwner::from(vec![0; 9]), 0).wait().unwrap();
    assert_eq!(len, 5);
}

/// The waker that is replaced may be the last of its task, whose drop may wait for the ring.
#[test]
fn a_waker_is_let_go_of_with_nothing_locked() {
    struct Task(Arc<Ring>, PipeWriter);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Task {
        fn drop(&mut self) {
            self.1.write_all(b"hello").unwrap();
            self.0.read_at(&file_with(b"hello"), MemoryOwner::from(vec![0; 9]), 0).wait().unwrap();
        }
    }
    let Some(ring) = ring() else { return };
    let ring = Arc::new(ring);
    for _ in 0..20 {
        let (from, to) = silent_pipe();
        let mut reading = ring.read(&from, MemoryOwner::from(vec![0; 5]));
        let first = Waker::from(Arc::new(Task(Arc::clone(&ring), to)));
        assert!(pin!(&mut reading).poll(&mut Context::from_waker(&first)).is_pending());
        drop(first);
        let second = pin!(&mut reading).poll(&mut Context::from_waker(Waker::noop()));
        assert!(second.is_pending(), "it looked before the task was dropped");
        assert_eq!(reading.wait().unwrap().1, 5);
    }
}

#[test]
fn a_write_to_a_full_pipe_ends_when_there_is_room() {
    let Some(ring) = ring() else { return };
    let (mut from, to) = io::pipe().unwrap();
    let memory = MemoryOwner::from(vec![7; 1 << 20]);
    let writing = ring.write(&Arc::new(to), memory);
    let mut text = Vec::new();
    let (_, len) = thread::scope(|scope| {
        let reader = scope.spawn(|| from.read_to_end(&mut text));
        let outcome = writing.wait().unwrap();
        reader.join().unwrap().unwrap();
        outcome
    });
    assert_eq!(text, vec![7; len]);
}

/// A task that holds all there is may be dropped by its own waker, on the thread of the ring.
#[test]
fn a_waker_may_drop_the_future_and_the_ring() {
    struct Task(Mutex<Option<(Operation<MemoryOwner<u8>>, Ring)>>, mpsc::Sender<()>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.send(()).unwrap();
        }
    }
    let Some(ring) = ring() else { return };
    let bounded = MemoryPool::builder().build_bounded(8192);
    let (from, mut to) = silent_pipe();
    let (sender, dropped) = mpsc::channel();
    let task = Arc::new(Task(Mutex::new(None), sender));

    let mut first = ring.read(&from, bounded.try_rent::<u8>(4096).unwrap());
    let waker = Waker::from(Arc::clone(&task));
    assert!(pin!(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    let (nothing, _to) = silent_pipe();
    let second = ring.read(&nothing, bounded.try_rent::<u8>(4096).unwrap());
    *task.0.lock().unwrap() = Some((first, ring));
    to.write_all(b"hello").unwrap();
    dropped.recv().unwrap();
    assert!(second.wait().is_err_and(|failed| failed.is_cancelled()));
    // Both blocks come back, the second by the ring's thread.
    assert!(bounded.rent_blocking::<u8>(8192).is_ok());
}
