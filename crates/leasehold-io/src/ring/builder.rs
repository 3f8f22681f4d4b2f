//! What a ring is made from.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use leasehold::MemoryOwner;

use super::driver::Driver;
use super::error::SetupError;
use super::kernel::Kernel;
use super::queue::Queue;
use super::registered::Home;
use super::{Ring, queue};

/// Entries that the kernel takes at a time, unless the ring is told otherwise.
const ENTRIES: u32 = 64;

/// Makes a [`Ring`].
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
/// use leasehold_io::Ring;
///
/// # fn main() -> Result<(), leasehold_io::SetupError> {
/// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
/// let pool = MemoryPool::new();
/// let ring = Ring::builder().entries(256).register((0..4).map(|_| pool.rent(4096))).build()?;
/// assert!(ring.rent_registered().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "`build` makes the ring"]
pub struct RingBuilder {
    entries: u32,
    buffers: Vec<MemoryOwner<u8>>,
}

impl RingBuilder {
    pub(super) fn new() -> RingBuilder {
        RingBuilder { entries: ENTRIES, buffers: Vec::new() }
    }

    /// Sets how many operations the kernel takes at a time. More can be under way.
    pub fn entries(mut self, entries: u32) -> RingBuilder {
        self.entries = entries;
        self
    }

    /// Registers buffers with the kernel, which then need not look up their pages for each operation. They belong to the ring
    /// until it and the last of them are gone. They count as locked memory (`ulimit -l`), and there are at most 16384.
    pub fn register(mut self, buffers: impl IntoIterator<Item = MemoryOwner<u8>>) -> RingBuilder {
        self.buffers.extend(buffers);
        self
    }

    /// Makes the ring, and its thread.
    ///
    /// # Errors
    /// [`SetupError`] says why there is none, and hands the buffers back.
    ///
    /// # Examples
    /// See [`RingBuilder`].
    pub fn build(self) -> Result<Ring, SetupError> {
        let RingBuilder { entries, mut buffers } = self;
        let kernel = match Kernel::new(entries, &mut buffers) {
            Ok(kernel) => kernel,
            Err(error) => return Err(SetupError { error, buffers }),
        };
        let queue = match Queue::new() {
            Ok(queue) => queue,
            Err(error) => return Err(SetupError { error, buffers }),
        };
        let (queue, home) = (Arc::new(queue), Home::new(kernel.number(), buffers));
        let driver = Driver::new(kernel, Arc::clone(&queue), Arc::clone(&home));
        match thread::Builder::new().name("leasehold-ring".into()).spawn(move || driver.run()) {
            Ok(thread) => Ok(Ring { queue, home, next: AtomicU64::new(queue::FIRST), thread: Some(thread) }),
            // The driver went with the closure, and the kernel's ring with it.
            Err(error) => Err(SetupError { error, buffers: home.take() }),
        }
    }
}
