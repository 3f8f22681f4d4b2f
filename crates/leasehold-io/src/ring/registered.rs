//! Buffers that the kernel knows already.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold::MemoryOwner;

use crate::stable::{Stable, StableMut, sealed};

/// A buffer that was registered with a ring, rented with [`Ring::rent_registered`](crate::Ring::rent_registered). It goes back
/// there when it is dropped.
///
/// Its own ring reads into it, and writes from it, without looking up its pages; for other rings it is memory like any other.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use leasehold::MemoryPool;
///
/// # fn main() -> std::io::Result<()> {
/// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
/// let ring = leasehold_io::Ring::builder().register([MemoryPool::shared().rent(4096)]).build()?;
/// let manifest = Arc::new(std::fs::File::open("Cargo.toml")?);
///
/// let buffer = ring.rent_registered().unwrap();
/// assert!(ring.rent_registered().is_none());
/// let (buffer, len) = ring.read_at(&manifest, buffer, 0).wait()?;
/// assert!(buffer[..len].starts_with(b"[package]"));
/// drop(buffer);
/// assert!(ring.rent_registered().is_some());
/// # Ok(())
/// # }
/// ```
#[must_use = "the buffer goes back to its ring when it is dropped"]
pub struct RegisteredBuffer {
    /// `None` only while it is being dropped.
    memory: Option<MemoryOwner<u8>>,
    /// Bytes that are visible: the first ones.
    len: usize,
    index: u16,
    home: Arc<Home>,
}

impl RegisteredBuffer {
    /// Makes all but the first `len` bytes invisible, until the buffer is rented again. Does nothing when there are no more
    /// than `len`.
    ///
    /// # Examples
    /// ```
    /// use leasehold::MemoryOwner;
    ///
    /// # fn main() -> Result<(), leasehold_io::SetupError> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::builder().register([MemoryOwner::from(vec![0; 4096])]).build()?;
    /// let mut buffer = ring.rent_registered().unwrap();
    /// buffer.truncate(5); // to write no more than that
    /// assert_eq!(buffer.len(), 5);
    /// drop(buffer);
    /// assert_eq!(ring.rent_registered().unwrap().len(), 4096);
    /// # Ok(())
    /// # }
    /// ```
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Deref for RegisteredBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_deref().and_then(|memory| memory.get(..self.len)).unwrap_or_default()
    }
}

impl DerefMut for RegisteredBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.as_deref_mut().and_then(|memory| memory.get_mut(..self.len)).unwrap_or_default()
    }
}

impl sealed::Sealed for RegisteredBuffer {}

impl Stable for RegisteredBuffer {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn registration(&self) -> Option<(u64, u16)> {
        Some((self.home.ring, self.index))
    }
}

impl StableMut for RegisteredBuffer {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Drop for RegisteredBuffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.lock().push((self.index, memory));
        }
    }
}

/// Says where the buffer is and how long, never what is in it.
impl fmt::Debug for RegisteredBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredBuffer").field("index", &self.index).field("len", &self.len()).finish()
    }
}

/// The registered buffers of a ring that are not in use.
pub(super) struct Home {
    ring: u64,
    count: usize,
    idle: Mutex<Vec<(u16, MemoryOwner<u8>)>>,
}

impl Home {
    /// Numbers the buffers as the kernel does. It has taken them, so there are no more than it has numbers for.
    pub(super) fn new(ring: u64, buffers: Vec<MemoryOwner<u8>>) -> Arc<Home> {
        let count = buffers.len();
        Arc::new(Home { ring, count, idle: Mutex::new((0..).zip(buffers).collect()) })
    }

    pub(super) fn rent(home: &Arc<Home>) -> Option<RegisteredBuffer> {
        let (index, memory) = home.lock().pop()?;
        Some(RegisteredBuffer { len: memory.len(), memory: Some(memory), index, home: Arc::clone(home) })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// All that is not in use, in the order of registration.
    pub(super) fn take(&self) -> Vec<MemoryOwner<u8>> {
        let mut idle = std::mem::take(&mut *self.lock());
        idle.sort_by_key(|&(index, _)| index);
        idle.into_iter().map(|(_, memory)| memory).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u16, MemoryOwner<u8>)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that no other ring of the process has.
pub(super) fn ring_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Relaxed: a number that differs from all others.
    NEXT.fetch_add(1, Ordering::Relaxed)
}
