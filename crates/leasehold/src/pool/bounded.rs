//! Pools with a budget.

use std::fmt;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytemuck::Pod;

use super::{Handle, LeakGuard, OutstandingRent, PoolStats, outstanding};
use crate::error::RentError;
use crate::owner::MemoryOwner;
use crate::raw::{self, Queued, Shortage, Site};

/// A pool that never holds more than a budget; who finds it used up waits for its turn.
///
/// The budget counts every byte that the pool has taken from its backing: rented buffers, revoked ones that are still in use,
/// and idle ones. Idle buffers are in nobody's way: before a rent waits or is refused, what all threads keep to themselves
/// comes back, and idle buffers of other sizes make room. While somebody waits nothing stays idle.
///
/// Who waits is served in the order of arrival, whatever the sizes, so a large rent is not overtaken for ever by small
/// ones. Otherwise a rent costs what it costs in a [`MemoryPool`](crate::MemoryPool).
///
/// # Two stages that share a budget
/// A stage that holds buffers while it waits for more can wait for ever: on another one that does the same. Give each stage
/// a share of its own with [`share`](Self::share), or let each rent all that it needs before it holds anything.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, RentError};
///
/// let pool = MemoryPool::builder().build_bounded(1 << 20);
/// let owner = pool.try_rent::<u8>(1 << 20)?;
/// let Err(RentError::Exhausted(state)) = pool.try_rent::<u8>(1) else { panic!() };
/// assert_eq!((state.budget, state.used, state.asked), (1 << 20, 1 << 20, 1));
///
/// let waiting = {
///     let pool = pool.clone();
///     std::thread::spawn(move || pool.rent_blocking::<u8>(100)) // `rent(100).await` in a task
/// };
/// drop(owner);
/// assert_eq!(waiting.join().unwrap()?.len(), 100);
/// # Ok::<_, RentError>(())
/// ```
#[derive(Clone)]
pub struct BoundedPool {
    handle: Arc<Handle>,
}

impl BoundedPool {
    pub(super) fn new(handle: Handle) -> BoundedPool {
        BoundedPool { handle: Arc::new(handle) }
    }

    /// Rents a buffer of `len` elements, as soon as the budget has room and everybody is served who came before.
    ///
    /// # Errors
    /// [`RentError::OverBudget`] when the buffer is larger than the whole budget, and what
    /// [`MemoryPool::try_rent`](crate::MemoryPool::try_rent) says.
    ///
    /// # Cancel safety
    /// A future that is dropped leaves the queue, and passes on what it had been given.
    ///
    /// # Examples
    /// See [`BoundedPool`].
    #[inline]
    #[track_caller]
    pub fn rent<T: Pod + Send>(&self, len: usize) -> Rent<'_, T> {
        self.rent_at(len, Location::caller())
    }

    #[inline]
    pub(crate) fn rent_at<T: Pod + Send>(&self, len: usize, site: Site) -> Rent<'_, T> {
        Rent::new(self, len, site)
    }

    /// As [`rent`](Self::rent), without waiting.
    ///
    /// # Errors
    /// As [`rent`](Self::rent); [`RentError::Exhausted`] when it would have to wait.
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
        match self.store().rent(len, site) {
            Ok(owned) => Ok(MemoryOwner(owned)),
            Err(shortage) => self.try_again(shortage, len, site),
        }
    }

    /// As [`rent`](Self::rent), blocking this thread.
    ///
    /// # Errors
    /// As [`rent`](Self::rent).
    #[track_caller]
    pub fn rent_blocking<T: Pod + Send>(&self, len: usize) -> Result<MemoryOwner<T>, RentError> {
        let site = Location::caller();
        // Most rents wait for nothing, and need no waker.
        match self.store().rent(len, site) {
            Ok(owned) => Ok(MemoryOwner(owned)),
            Err(_) => raw::block_on(pin!(Rent::new(self, len, site))),
        }
    }

    /// Sets `bytes` of the budget aside for a pool of their own, so that who uses one cannot starve who uses the other.
    /// They come back when that pool and the last of its rents are gone.
    ///
    /// # Errors
    /// [`RentError::Exhausted`] when they are not free, or others wait for them; it does not wait.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::builder().build_bounded(3 << 20);
    /// let decode = pool.share(1 << 20)?;
    /// let owner = decode.try_rent::<u8>(1 << 20)?;
    /// assert!(decode.try_rent::<u8>(1).is_err());
    /// assert!(pool.try_rent::<u8>(2 << 20).is_ok(), "the rest is as free as before");
    /// # drop(owner);
    /// # Ok::<_, leasehold::RentError>(())
    /// ```
    pub fn share(&self, bytes: usize) -> Result<BoundedPool, RentError> {
        match self.store().share(bytes) {
            Some(store) => Ok(BoundedPool::new(Handle { store })),
            None => Err(RentError::Exhausted(self.handle.exhausted(bytes))),
        }
    }

    /// Bytes of the budget that are free for rents and shares: all but those of rented buffers, of revoked ones that are
    /// still in use, and of shares.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::builder().build_bounded(3 << 20);
    /// let share = pool.share(1 << 20)?;
    /// let owner = pool.try_rent::<u8>(1 << 20)?;
    /// assert_eq!(pool.free(), 1 << 20);
    /// drop((share, owner));
    /// assert_eq!(pool.free(), 3 << 20);
    /// # Ok::<_, leasehold::RentError>(())
    /// ```
    pub fn free(&self) -> usize {
        let state = self.handle.exhausted(0);
        state.budget - state.used
    }

    /// Bytes of the budget that a rent of `len` elements takes: those of its size class.
    ///
    /// # Errors
    /// [`RentError::TooLarge`] when no buffer is that large.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::builder().build_bounded(1 << 20);
    /// assert_eq!(pool.cost::<f32>(1000)?, 4096);
    /// let owner = pool.try_rent::<f32>(1000)?;
    /// assert_eq!(pool.stats().rented_bytes, 4096);
    /// # drop(owner);
    /// # Ok::<_, leasehold::RentError>(())
    /// ```
    pub fn cost<T: Pod>(&self, len: usize) -> Result<usize, RentError> {
        self.store().cost::<T>(len).map_err(|shortage| self.handle.refuse::<T>(shortage, len))
    }

    /// As [`MemoryPool::reserve`](crate::MemoryPool::reserve).
    ///
    /// # Errors
    /// As [`try_rent`](Self::try_rent).
    pub fn reserve<T: Pod>(&self, len: usize, count: usize) -> Result<(), RentError> {
        self.handle.reserve::<T>(len, count)
    }

    /// As [`MemoryPool::trim`](crate::MemoryPool::trim).
    pub fn trim(&self) -> usize {
        self.store().trim()
    }

    /// As [`MemoryPool::sweep`](crate::MemoryPool::sweep).
    pub fn sweep(&self) -> usize {
        self.store().sweep()
    }

    /// As [`MemoryPool::stats`](crate::MemoryPool::stats).
    pub fn stats(&self) -> PoolStats {
        PoolStats::of(self.store())
    }

    /// As [`MemoryPool::outstanding`](crate::MemoryPool::outstanding).
    pub fn outstanding(&self) -> Vec<OutstandingRent> {
        outstanding::list(self.store())
    }

    /// As [`MemoryPool::leak_guard`](crate::MemoryPool::leak_guard).
    pub fn leak_guard(&self) -> LeakGuard {
        LeakGuard::new(self.store())
    }

    #[inline(always)]
    fn store(&self) -> &Arc<raw::Store> {
        &self.handle.store
    }

    /// For a rent that was refused at first: takes back what is idle everywhere.
    #[cold]
    fn try_again<T: Pod + Send>(
        &self,
        shortage: Shortage,
        len: usize,
        site: Site,
    ) -> Result<MemoryOwner<T>, RentError> {
        self.check_worth_waiting::<T>(shortage, len)?;
        let rented = self.store().rent_by_force(len, site);
        rented.map(MemoryOwner).map_err(|shortage| self.handle.refuse::<T>(shortage, len))
    }

    /// The error of a rent that no wait would help.
    fn check_worth_waiting<T: Pod>(&self, shortage: Shortage, len: usize) -> Result<(), RentError> {
        let Shortage::Exhausted = shortage else { return Err(self.handle.refuse::<T>(shortage, len)) };
        match self.store().over_budget::<T>(len) {
            Some(asked) => Err(RentError::OverBudget { asked, budget: self.store().balance().budget }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for BoundedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let balance = self.store().balance();
        f.debug_struct("BoundedPool")
            .field("budget", &balance.budget)
            .field("held", &balance.held)
            .field("waiting", &balance.waiting)
            .finish()
    }
}

/// A rent that may have to wait; see [`BoundedPool::rent`].
#[must_use = "a rent does nothing until it is awaited"]
pub struct Rent<'a, T> {
    pool: &'a BoundedPool,
    len: usize,
    site: Site,
    queued: Option<Queued<T>>,
}

impl<'a, T> Rent<'a, T> {
    #[inline]
    fn new(pool: &'a BoundedPool, len: usize, site: Site) -> Rent<'a, T> {
        Rent { pool, len, site, queued: None }
    }

    /// Takes up a place in the queue of that pool again.
    pub(crate) fn resume(pool: &'a BoundedPool, queued: Queued<T>) -> Rent<'a, T> {
        let (len, site) = queued.asked();
        Rent { pool, len, site, queued: Some(queued) }
    }

    /// The place in the queue, if there is one.
    pub(crate) fn suspend(self) -> Option<Queued<T>> {
        self.queued
    }
}

impl<T: Pod + Send> Rent<'_, T> {
    /// Joins the queue, unless no wait would help.
    #[cold]
    fn queue_up(&mut self, shortage: Shortage) -> Result<(), RentError> {
        self.pool.check_worth_waiting::<T>(shortage, self.len)?;
        let queued = self.pool.store().enqueue(self.len, self.site);
        self.queued = Some(queued.map_err(|shortage| self.pool.handle.refuse::<T>(shortage, self.len))?);
        Ok(())
    }

    #[cold]
    fn poll_queued(&mut self, waker: &Waker) -> Poll<Result<MemoryOwner<T>, RentError>> {
        let Some(queued) = &mut self.queued else { return Poll::Pending };
        let turn = queued.poll(waker);
        if turn.is_ready() {
            self.queued = None;
        }
        turn.map(|rented| {
            rented.map(MemoryOwner).map_err(|shortage| self.pool.handle.refuse::<T>(shortage, self.len))
        })
    }
}

impl<T> Unpin for Rent<'_, T> {}

impl<T: Pod + Send> Future for Rent<'_, T> {
    type Output = Result<MemoryOwner<T>, RentError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.queued.is_none() {
            match self.pool.store().rent(self.len, self.site) {
                Ok(owned) => return Poll::Ready(Ok(MemoryOwner(owned))),
                Err(shortage) => {
                    if let Err(error) = self.queue_up(shortage) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        self.poll_queued(context.waker())
    }
}

impl<T> fmt::Debug for Rent<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rent").field("len", &self.len).field("queued", &self.queued.is_some()).finish()
    }
}
