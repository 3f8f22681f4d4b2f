//! Rented owners.

mod any;
mod bounded;
mod builder;
mod outstanding;
mod stats;

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, LazyLock};

use bytemuck::Pod;

use crate::error::{Exhausted, RentError};
use crate::owner::MemoryOwner;
use crate::raw::{Shortage, Site, Store};
pub use any::AnyPool;
pub use bounded::{BoundedPool, Rent};
pub use builder::PoolBuilder;
pub use outstanding::{LeakGuard, OutstandingRent};
pub use stats::{ClassStats, PoolStats};

/// A pool of buffers for any plain type. Rents owners; an owner that is dropped, in whatever thread, comes back.
///
/// Every buffer is aligned to 64 bytes, or to what the [builder](Self::builder) was told. Sizes are rounded up to one of four
/// classes per doubling, so a buffer is larger than its rent by 7.7 % in the mean and by a quarter at most; the owner has
/// exactly the length that was asked for. Each thread keeps up to 128 buffers of each class up to 1 MiB to itself, in
/// front of a common stock of at most 256 MiB. What comes back beyond that, or has not been used for ten to
/// twenty seconds while the pool is in use, goes to the operating system.
///
/// A thread that ends leaves what it kept in stock. A child of `fork` may use what it has, and drop it; what other threads of the
/// parent kept is lost to it, and a fork while another thread is inside the pool can leave a lock held, as with any
/// allocator of one's own: rent in the child only if the parent forked with no other thread in the pool.
///
/// Cloning a pool gives another handle of it. Rents may outlive the pool: they free their memory when they end. A pool
/// with a budget is a [`BoundedPool`].
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
    /// A pool of its own, as the builder makes it when it is told nothing.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// let owner = pool.rent::<u8>(10);
    /// drop(pool);
    /// assert_eq!(owner.len(), 10);
    /// ```
    pub fn new() -> MemoryPool {
        MemoryPool::builder().build()
    }

    /// Makes a pool with another backing, alignment or limit, or one with a budget.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::builder().alignment(4096).zero_on_return(true).build();
    /// assert_eq!(pool.rent::<u8>(10).as_ptr().addr() % 4096, 0);
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    /// The pool of the process.
    pub fn shared() -> &'static MemoryPool {
        static SHARED: LazyLock<MemoryPool> = LazyLock::new(MemoryPool::new);
        &SHARED
    }

    /// Rents a buffer of `len` elements. Fresh memory is zeroed; recycled memory keeps what its last tenant left.
    ///
    /// Costs less than one atomic instruction and allocates nothing when this thread, or the common stock, has a buffer
    /// of that size.
    ///
    /// # Panics
    /// When the memory is not to be had; see [`try_rent`](Self::try_rent).
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
            Err(shortage) => self.handle.fail::<T>(shortage, len),
        }
    }

    /// As [`rent`](Self::rent), with every element zero. Clears what a former tenant left.
    ///
    /// # Panics
    /// As [`rent`](Self::rent).
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// pool.rent::<u8>(100).fill(7);
    /// assert_eq!(pool.rent_zeroed::<u8>(100)[..], [0; 100]);
    /// ```
    #[track_caller]
    pub fn rent_zeroed<T: Pod + Send>(&self, len: usize) -> MemoryOwner<T> {
        let mut owner = self.rent(len);
        owner.fill(T::zeroed());
        owner
    }

    /// As [`rent`](Self::rent), with an error in place of the panic.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, RentError};
    ///
    /// let refused = MemoryPool::shared().try_rent::<u64>(usize::MAX);
    /// assert!(matches!(refused, Err(RentError::TooLarge { .. })));
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_rent<T: Pod + Send>(&self, len: usize) -> Result<MemoryOwner<T>, RentError> {
        self.try_rent_at(len, Location::caller())
    }

    #[inline]
    pub(crate) fn try_rent_at<T: Pod + Send>(
        &self,
        len: usize,
        site: Site,
    ) -> Result<MemoryOwner<T>, RentError> {
        match self.handle.store.rent(len, site) {
            Ok(owned) => Ok(MemoryOwner(owned)),
            Err(shortage) => Err(self.handle.refuse::<T>(shortage, len)),
        }
    }

    /// Puts `count` buffers for `len` elements in stock, ahead of time. What the stock has no room for is let go again; see
    /// [`PoolBuilder::idle_limit`].
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had; the buffers that were made until then stay in stock.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// pool.reserve::<f32>(1 << 20, 3)?;
    /// assert_eq!(pool.idle_bytes(), 3 * 4 << 20);
    /// # Ok::<_, leasehold::RentError>(())
    /// ```
    pub fn reserve<T: Pod>(&self, len: usize, count: usize) -> Result<(), RentError> {
        self.handle.reserve::<T>(len, count)
    }

    /// Gives everything idle, also what threads keep to themselves, to the operating system. Returns how many bytes.
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

    /// Gives what has been idle since the last call to the operating system. Returns how many bytes.
    ///
    /// The pool does so by itself every ten seconds, or as the builder was told, on occasion of a rent. Where rents may
    /// cease altogether, call it from a timer.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// drop(pool.rent::<u8>(4096));
    /// assert_eq!(pool.sweep() + pool.sweep() + pool.sweep(), 4096);
    /// ```
    pub fn sweep(&self) -> usize {
        self.handle.store.sweep()
    }

    /// Bytes that nobody uses, in stock and with threads.
    pub fn idle_bytes(&self) -> usize {
        self.handle.store.idle_bytes()
    }

    /// What the pool has done and holds.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// let owner = pool.rent::<u8>(1000);
    /// drop(pool.rent::<u8>(4096));
    /// drop(pool.rent::<u8>(4096));
    /// let stats = pool.stats();
    /// assert_eq!((stats.rented_bytes, stats.idle_bytes), (1024, 4096));
    /// assert_eq!((stats.rents(), stats.hits()), (3, 1));
    /// # drop(owner);
    /// ```
    pub fn stats(&self) -> PoolStats {
        PoolStats::of(&self.handle.store)
    }

    /// Every buffer that is rented, the longest first: where, since when, and in how many hands.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// let owner = pool.rent::<u8>(1000);
    /// let outstanding = pool.outstanding();
    /// assert_eq!(outstanding.len(), 1);
    /// assert_eq!(outstanding[0].rented_at, owner.created_at());
    /// println!("{}", outstanding[0]); // 1024 bytes, rented at src/main.rs:3:18, 0 ms ago
    /// ```
    pub fn outstanding(&self) -> Vec<OutstandingRent> {
        outstanding::list(&self.handle.store)
    }

    /// Panics when it is dropped while something is rented that was not before, naming the lines.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::new();
    /// let guard = pool.leak_guard();
    /// drop(pool.rent::<u8>(1000));
    /// drop(guard); // everything came back
    /// ```
    pub fn leak_guard(&self) -> LeakGuard {
        LeakGuard::new(&self.handle.store)
    }
}

impl Handle {
    #[cold]
    #[track_caller]
    fn fail<T>(&self, shortage: Shortage, len: usize) -> ! {
        panic!("{}", self.refuse::<T>(shortage, len))
    }

    #[cold]
    fn refuse<T>(&self, shortage: Shortage, len: usize) -> RentError {
        match shortage {
            Shortage::TooLarge => RentError::TooLarge { len, element_size: size_of::<T>() },
            Shortage::Backing(error) => RentError::Backing(error),
            Shortage::Exhausted => RentError::Exhausted(self.exhausted(len * size_of::<T>())),
        }
    }

    fn exhausted(&self, asked: usize) -> Exhausted {
        let balance = self.store.balance();
        // Read apart from what is held, and while others go on.
        let idle = self.store.idle_bytes().min(balance.held);
        Exhausted { asked, budget: balance.budget, used: balance.held - idle, idle, waiting: balance.waiting }
    }

    fn reserve<T: Pod>(&self, len: usize, count: usize) -> Result<(), RentError> {
        self.store.reserve::<T>(len, count).map_err(|shortage| self.refuse::<T>(shortage, len))
    }
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
