//! Pinned memory of the CUDA driver.

use std::alloc::Layout;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CudaError;
use super::driver::{Context, Device, Driver, OUT_OF_MEMORY};
use crate::backing::{Backing, BackingError, check};

/// Page-locked host memory that CUDA devices copy from and to at full speed and without waiting, for every context of
/// the process (`cuMemHostAlloc`, portable).
///
/// Making a block takes the driver up to milliseconds, which is what the pool in front of it is for.
///
/// Clones are one backing. The device's primary context, which the CUDA run-time library uses too, is retained until the last
/// clone and the pool are gone.
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::Backing;
/// use leasehold::cuda::PinnedHost;
///
/// let pinned = match PinnedHost::load() {
///     Ok(pinned) => pinned,
///     Err(error) => return println!("going on without: {error}"),
/// };
/// let layout = Layout::from_size_align(1 << 20, 64).unwrap();
/// let memory = pinned.allocate(layout).unwrap();
/// // SAFETY: it came from there, with this layout, and nobody uses it.
/// unsafe { pinned.release(memory, layout) };
/// ```
#[doc(alias = "cudaHostAlloc")]
#[derive(Clone)]
pub struct PinnedHost {
    device: Arc<Retained>,
}

/// A device whose primary context is retained.
struct Retained {
    driver: Driver,
    device: Device,
    context: Context,
    /// Where the driver's memory begins, for the blocks that had to be moved up in it to be aligned.
    moved: Mutex<Moved>,
}

type Moved = HashMap<NonNull<u8>, NonNull<u8>>;

// SAFETY: the driver may be called on any thread, and says so of contexts; the pointers are to memory that is released on
// any thread.
unsafe impl Send for Retained {}
// SAFETY: as above; what changes is locked.
unsafe impl Sync for Retained {}

impl PinnedHost {
    /// Loads the driver, if it has not been, and uses the first device.
    ///
    /// # Errors
    /// [`CudaError`] when there is no driver, or no device, or the driver refuses.
    pub fn load() -> Result<PinnedHost, CudaError> {
        PinnedHost::on_device(0)
    }

    /// As [`load`](Self::load), with the context of another device. The memory is pinned for all of them; the device
    /// matters for where it lies on machines of several sockets.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn on_device(ordinal: i32) -> Result<PinnedHost, CudaError> {
        let driver = Driver::load()?;
        let device = driver.device(ordinal)?;
        let context = driver.retain_context(device)?;
        Ok(PinnedHost { device: Arc::new(Retained { driver, device, context, moved: Mutex::default() }) })
    }
}

impl Retained {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, CudaError> {
        let start = self.pin(layout.size())?;
        if start.addr().get().is_multiple_of(layout.align()) {
            return Ok(start);
        }
        self.free(start);
        // The driver promises no alignment: take what is sure to hold an aligned block.
        let start = self.pin(layout.size().saturating_add(layout.align()))?;
        // SAFETY: less than the alignment, by which the memory is longer than the block.
        let memory = unsafe { start.add(start.align_offset(layout.align())) };
        self.moved().insert(memory, start);
        Ok(memory)
    }

    fn release(&self, memory: NonNull<u8>) {
        let start = self.moved().remove(&memory).unwrap_or(memory);
        self.free(start);
    }

    fn pin(&self, size: usize) -> Result<NonNull<u8>, CudaError> {
        // SAFETY: the context is retained as long as we are, and whoever has memory has us.
        unsafe { self.driver.allocate(self.context, size) }
    }

    fn free(&self, start: NonNull<u8>) {
        // SAFETY: the driver gave it in this context (`allocate`), and nobody uses it (`Backing::release`).
        unsafe { self.driver.free(self.context, start) };
    }

    fn moved(&self) -> MutexGuard<'_, Moved> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        // SAFETY: retained when this was made, and all memory is released, or nobody's to release.
        unsafe { self.driver.release_context(self.device) };
    }
}

// SAFETY: 1: the driver's memory is readable and writable, and zeroed below; 2, 3: `Retained::allocate` takes a fresh
// allocation and aligns the block in it; 4: pinned as long as the context is retained; 5: contexts may be used on any thread,
// one after the other or at once; 6: `check`.
unsafe impl Backing for PinnedHost {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        check(layout, self.granularity())?;
        let memory = self.device.allocate(layout).map_err(|error| refusal(layout.size(), error))?;
        // SAFETY: that many bytes were just allocated.
        unsafe { memory.write_bytes(0, layout.size()) };
        Ok(memory)
    }

    unsafe fn release(&self, memory: NonNull<u8>, _: Layout) {
        self.device.release(memory);
    }

    fn name(&self) -> &'static str {
        "pinned host"
    }
}

impl fmt::Debug for PinnedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedHost").field("device", &self.device.device).finish_non_exhaustive()
    }
}

#[cold]
fn refusal(size: usize, error: CudaError) -> BackingError {
    match error {
        CudaError::Failed { code: OUT_OF_MEMORY, .. } => BackingError::OutOfMemory { size },
        error => BackingError::Failed { attempt: "pinning", size, source: io::Error::other(error) },
    }
}
