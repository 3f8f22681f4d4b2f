//! Calls of C that return before they are over.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use check_ffi::{Device, Reading, checksum};
use leasehold::{Memory, MemoryOwner, MemoryPool};

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

fn poll(reading: &mut Reading) -> Poll<Result<(Memory<u8>, usize), check_ffi::Failed>> {
    Pin::new(reading).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_synchronous_call_takes_a_slice_of_whatever_holds_the_bytes() {
    let mut owner = MemoryPool::shared().rent::<u8>(9);
    owner.copy_from_slice(b"Wikipedia");
    assert_eq!(checksum(&owner), 0x11E6_0398);
    let (lessor, memory) = owner.lease();
    assert_eq!(checksum(&memory.span().unwrap()), 0x11E6_0398);
    drop(memory);
    let shared = lessor.try_reclaim().unwrap().into_shared();
    assert_eq!(checksum(&shared.slice(9..)), 1);
}

#[test]
fn an_asynchronous_call_fills_the_block_and_gives_the_memory_back() {
    let device = Device::open().unwrap();
    let owner = MemoryPool::shared().rent::<u8>(100);
    let address = owner.as_ptr();
    let (lessor, memory) = owner.lease();
    let mut reading = device.read(memory).unwrap();
    assert!(poll(&mut reading).is_pending());
    assert_eq!(device.supply(b"hello"), 5);
    let (memory, len) = block_on(reading).unwrap();
    assert_eq!((len, &memory.span().unwrap()[..5]), (5, &b"hello"[..]));
    drop(memory);
    assert_eq!(lessor.try_reclaim().unwrap().as_ptr(), address, "and the block is the one that was rented");
}

#[test]
fn a_call_that_does_not_begin_gives_the_memory_back_at_once() {
    let device = Device::open().unwrap();
    let (_first, memory) = MemoryOwner::from(vec![0; 10]).lease();
    let first = device.read(memory).unwrap();
    let (lessor, memory) = MemoryOwner::from(vec![0; 20]).lease();
    let mut second = device.read(memory).unwrap();
    let Poll::Ready(Err(failed)) = poll(&mut second) else { panic!("it began") };
    assert!(failed.to_string().starts_with("the device cannot read 20 bytes: "), "{failed}");
    drop(failed);
    assert!(lessor.try_reclaim().is_ok(), "no pin is left");
    drop((first, second));
}

#[test]
fn a_call_of_memory_without_room_does_not_begin() {
    let device = Device::open().unwrap();
    let (_lessor, memory) = MemoryOwner::from(vec![]).lease();
    let failed = block_on(device.read(memory).unwrap()).unwrap_err();
    assert_eq!(failed.error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_call_that_is_over_when_it_returns_gives_the_memory_back_at_once() {
    let device = Device::open().unwrap();
    device.supply(b"hello world");
    let (lessor, memory) = MemoryOwner::from(vec![0; 5]).lease();
    let mut reading = device.read(memory).unwrap();
    let Poll::Ready(Ok((memory, 5))) = poll(&mut reading) else { panic!("it is not over") };
    assert_eq!(memory.span().unwrap()[..], *b"hello");
    drop(memory);
    assert!(lessor.try_reclaim().is_ok(), "no pin is left");
}

#[test]
fn a_call_that_is_cancelled_gives_the_memory_back() {
    let device = Device::open().unwrap();
    let (lessor, memory) = MemoryOwner::from(vec![0; 10]).lease();
    let reading = device.read(memory).unwrap();
    reading.cancel();
    let failed = block_on(reading).unwrap_err();
    assert_eq!(failed.memory.len(), 10);
    drop(failed);
    assert!(lessor.try_reclaim().is_ok(), "no pin is left");

    let (_lessor, memory) = MemoryOwner::from(vec![0; 10]).lease();
    device.supply(b"hello");
    assert_eq!(block_on(device.read(memory).unwrap()).unwrap().1, 5, "the device goes on");
}

#[test]
fn a_call_that_cannot_be_cancelled_any_more_takes_its_course() {
    let device = Device::open().unwrap();
    device.commit();
    let (_lessor, memory) = MemoryOwner::from(vec![0; 10]).lease();
    let mut reading = device.read(memory).unwrap();
    reading.cancel();
    assert!(poll(&mut reading).is_pending());
    device.supply(b"hello");
    assert_eq!(block_on(reading).unwrap().1, 5);
}

/// The future, the lessor and the task may go; the block goes back to its pool when C has called back, and not before.
#[test]
fn a_future_that_is_dropped_leaves_the_block_with_c_until_the_callback() {
    let pool = MemoryPool::new();
    let device = Device::open().unwrap();
    device.commit();
    let (lessor, memory) = pool.rent::<u8>(4096).lease();
    drop(device.read(memory).unwrap());
    drop(lessor);
    assert_eq!(pool.stats().rented_bytes, 4096, "C may write to it");
    let mut tenant = pool.rent::<u8>(4096);
    tenant.fill(7);
    device.supply(&[1; 4096]);
    drop(device);
    assert_eq!(tenant[..], [7; 4096]);
    drop(tenant);
    leasehold::reclaim_now();
    assert_eq!(pool.stats().rented_bytes, 0);
}

#[test]
fn a_lessor_revokes_while_c_writes_and_gets_the_buffer_back_afterwards() {
    let device = Device::open().unwrap();
    let (lessor, memory) = MemoryOwner::from(vec![0; 5]).lease();
    let reading = device.read(memory).unwrap();
    let revocation = lessor.revoke().try_take().unwrap_err();
    device.supply(b"hello");
    let (memory, _) = block_on(reading).unwrap();
    assert!(memory.span().is_err(), "the lease is over");
    assert_eq!(revocation.try_take().unwrap()[..], *b"hello");
}

#[test]
fn a_lease_that_is_over_is_refused_before_c_is_called() {
    let device = Device::open().unwrap();
    let (lessor, memory) = MemoryOwner::from(vec![0; 5]).lease();
    drop(lessor);
    let Err(refused) = device.read(memory) else { panic!("it was not refused") };
    assert_eq!(refused.memory.len(), 5);
}

/// A task that holds all there is may be dropped by its own waker, on the thread of the device.
#[test]
fn the_callback_may_drop_the_future_and_the_device() {
    struct Task(Mutex<Option<(Reading, Arc<Device>)>>, mpsc::Sender<()>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            self.1.send(()).unwrap();
        }
    }
    let pool = MemoryPool::new();
    let device = Device::open().unwrap();
    let (lessor, memory) = pool.rent::<u8>(100).lease();
    let mut reading = device.read(memory).unwrap();
    let (sender, dropped) = mpsc::channel();
    let task = Arc::new(Task(Mutex::new(None), sender));
    let waker = Waker::from(Arc::clone(&task));
    assert!(Pin::new(&mut reading).poll(&mut Context::from_waker(&waker)).is_pending());
    *task.0.lock().unwrap() = Some((reading, Arc::clone(&device)));
    device.supply(b"hello");
    drop(device);
    dropped.recv().unwrap();
    drop(lessor);
    leasehold::reclaim_now();
    assert_eq!(pool.stats().rented_bytes, 0);
}
