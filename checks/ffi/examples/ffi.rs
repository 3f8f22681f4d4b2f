//! Calls C with rented and leased memory, at once and in the background: `cargo run -p check-ffi --example ffi`.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use check_ffi::{Device, checksum};
use leasehold::MemoryPool;

/// Wakes a thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<u8>(9);
    owner.copy_from_slice(b"Wikipedia");
    println!("C reads a slice and returns: its checksum is {:#x}", checksum(&owner));
    assert_eq!(checksum(&owner), 0x11E6_0398);

    let device = Device::open()?;
    let (lessor, memory) = owner.lease();
    let reading = device.read(memory)?; // the pin is with C from here on
    let revocation = lessor.revoke().try_take().err().ok_or("nobody holds the block")?;
    println!("C writes in the background: the lease is revoked, and the block stays with C");
    device.supply(b"hello");
    let (memory, len) = block_on(reading)?;
    let refusal = memory.span().err().ok_or("the lease goes on")?;
    println!("C has called back after {len} bytes: the pin is gone; {refusal}");
    let owner = revocation.wait()?;
    assert_eq!(&owner[..len], b"hello");

    let (lessor, memory) = owner.lease();
    drop(device.read(memory)?); // cancelled
    drop((lessor, device)); // closing waits for the callback
    leasehold::reclaim_now();
    println!(
        "a call that was dropped has given the block back: {} bytes are rented",
        pool.stats().rented_bytes
    );
    assert_eq!(pool.stats().rented_bytes, 0);
    Ok(())
}
