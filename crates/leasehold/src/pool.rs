//! Rented owners.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

use bytemuck::Pod;

use crate::error::RentError;
use crate::owner::MemoryOwner;
use crate::raw::{self, Store};

/// A pool of buffers for any plain type. Rents owners; an owner that is dropped, in whatever thread, comes back.
///
/// Every buffer is aligned to 64 bytes, those of a page or more to a page. Sizes are rounded up to one of four classes
/// per doubling, so at most a quarter of a buffer is slack; the owner has exactly the length that was asked for.
/// Each thread keeps a few buffers of each class up to 1 MiB to itself, in front of a common stock of at most 256 MiB;
/// what comes back beyond that goes to the operating system.
///
/// Cloning a pool gives another handle of it. Rents may outlive the pool: they free their memory when they end. What
/// other threads keep to themselves of a pool that is gone is freed when they next use another pool, or end.
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
///
/// let mut owner = MemoryPool::shared().rent::<f32>(1000);
/// owner.fill(1.0);
/// assert_eq!(owner.len(), 1000);
/// ```
#[doc(alias = "ArrayPool")]
#[derive(Clone)]
pub struct MemoryPool {
    handle: Arc<Handle>,
}

/// What the clones of a pool share. The store itself lives as long as its last block.
struct Handle {
    store: Arc<Store>,
}

impl MemoryPool {
    /// A pool of its own.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// let owner = pool.rent::<u8>(10);
    /// drop(pool);
    /// assert_eq!(owner.len(), 10);
    /// ```
    pub fn new() -> MemoryPool {
        MemoryPool { handle: Arc::new(Handle { store: Store::new() }) }
    }

    /// The pool of the process.
    pub fn shared() -> &'static MemoryPool {
        static SHARED: LazyLock<MemoryPool> = LazyLock::new(MemoryPool::new);
        &SHARED
    }

    /// Rents a buffer of `len` elements. Fresh memory is zeroed; recycled memory keeps what its last tenant left.
    ///
    /// # Panics
    /// When the memory is not to be had.
    ///
    /// # Examples
    /// ```
    /// let owner = leasehold::MemoryPool::shared().rent::<u32>(100);
    /// assert_eq!(owner.as_ptr().addr() % 64, 0);
    /// ```
    #[inline]
    #[track_caller]
    pub fn rent<T: Pod + Send>(&self, len: usize) -> MemoryOwner<T> {
        match self.handle.store.rent(len, Location::caller()) {
            Ok(owned) => MemoryOwner(owned),
            Err(raw::NoMemory) => panic!("{}", no_memory::<T>(len)),
        }
    }

    /// As [`rent`](Self::rent), with an error in place of the panic.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had.
    #[inline]
    #[track_caller]
    pub fn try_rent<T: Pod + Send>(&self, len: usize) -> Result<MemoryOwner<T>, RentError> {
        self.handle
            .store
            .rent(len, Location::caller())
            .map(MemoryOwner)
            .map_err(|raw::NoMemory| no_memory::<T>(len))
    }

    /// Gives what is idle in the stock and in this thread's cache to the operating system. Returns how many bytes.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// drop(pool.rent::<u8>(4096));
    /// assert_eq!(pool.trim(), 4096);
    /// ```
    pub fn trim(&self) -> usize {
        self.handle.store.trim()
    }

    /// Bytes that wait in the common stock, not counting what threads keep to themselves.
    pub fn idle_bytes(&self) -> usize {
        self.handle.store.idle_bytes()
    }
}

#[cold]
fn no_memory<T>(len: usize) -> RentError {
    RentError { len, element_size: size_of::<T>() }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.store.close();
    }
}

impl Default for MemoryPool {
    fn default() -> Self {
        MemoryPool::new()
    }
}

impl fmt::Debug for MemoryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPool").field("idle_bytes", &self.idle_bytes()).finish_non_exhaustive()
    }
}
