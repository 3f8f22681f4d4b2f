//! The right to get a leased buffer back.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::{HeldByThisThread, InUse};
use crate::owner::MemoryOwner;
use crate::raw::{self, Draining, Lease, Owned, Shared};
use crate::shared::SharedOwner;

/// What a lease gave out, and what its end gives back.
///
/// Implemented by [`Exclusive`], [`ReadOnly`] and [`SharedReadOnly`] only.
pub trait LeaseKind<T>: sealed::Kind<T> {}

mod sealed {
    use crate::raw::Hold;

    pub trait Kind<T> {
        type Hold: Hold<Item = T>;
        /// The owner that the end of the lease gives back.
        type Owner;

        fn owner(hold: Self::Hold) -> Self::Owner;
    }
}

macro_rules! lease_kind {
    ($(#[$doc:meta])* $kind:ident, $hold:ident -> $owner:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $kind {}

        impl<T: Send + 'static> LeaseKind<T> for $kind {}

        impl<T: Send + 'static> sealed::Kind<T> for $kind {
            type Hold = $hold<T>;
            type Owner = $owner<T>;

            fn owner(hold: $hold<T>) -> $owner<T> {
                $owner(hold)
            }
        }
    };
}

lease_kind! {
    /// A lease with one consumer, who may write. Begun by [`MemoryOwner::lease`].
    Exclusive, Owned -> MemoryOwner
}
lease_kind! {
    /// A lease with many consumers, who only read. Begun by [`MemoryOwner::lease_read_only`].
    ReadOnly, Owned -> MemoryOwner
}
lease_kind! {
    /// A lease of memory that may be read-only itself. Begun by [`SharedOwner::try_lease_read_only`].
    SharedReadOnly, Shared -> SharedOwner
}

/// What the owner becomes while a lease is out: the right to get the buffer back.
///
/// Dropping it revokes the lease and leaves the buffer to be disposed of by whoever is the last to let go of it.
///
/// | call | when consumers are inside | gives |
/// | --- | --- | --- |
/// | [`try_reclaim`](Self::try_reclaim) | refuses, nothing changes | the owner |
/// | [`revoke`](Self::revoke) | they finish, nobody else enters | the owner, later |
/// | [`returned`](Self::returned) | waits for the consumer to give up its handle | then `try_reclaim` succeeds |
/// | `drop` | they finish, nobody else enters | nothing |
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// let reader = std::thread::spawn(move || memory.span().map(|span| span.iter().sum::<i32>()));
/// let sum = reader.join().unwrap();
/// assert_eq!(sum.unwrap(), 6);
/// let owner = lessor.revoke().wait().unwrap();
/// assert!(memory.span().is_err());
/// # drop(owner);
/// ```
#[must_use = "dropping the lessor revokes the lease"]
pub struct Lessor<T, K: LeaseKind<T> = Exclusive> {
    lease: Lease<K::Hold>,
}

impl<T, K: LeaseKind<T>> Lessor<T, K> {
    pub(crate) fn new(lease: Lease<K::Hold>) -> Self {
        Lessor { lease }
    }

    /// Elements in the leased buffer.
    pub fn len(&self) -> usize {
        self.lease.len()
    }

    /// Whether the leased buffer has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the lease if no consumer is inside at the moment. The handles that are left turn stale.
    ///
    /// A consumer that arrives while this looks around is let in, and counts as being inside.
    ///
    /// # Errors
    /// [`InUse`] says how many spans and pins are left and hands the lessor back. Nothing has changed then.
    ///
    /// # Examples
    /// ```
    /// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    /// let pin = memory.pin().unwrap();
    /// let in_use = lessor.try_reclaim().unwrap_err();
    /// assert_eq!(in_use.pins, 1);
    /// assert!(memory.span().is_ok(), "a refused attempt changes nothing");
    /// drop(pin);
    /// assert!(in_use.lessor.try_reclaim().is_ok());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_reclaim(self) -> Result<K::Owner, InUse<Self>> {
        match self.lease.try_end(Location::caller()) {
            Ok(hold) => Ok(K::owner(hold)),
            Err((lease, raw::InUse { spans, pins })) => Err(InUse { lessor: Lessor { lease }, spans, pins }),
        }
    }

    /// Ends the lease now: from here on no span or pin succeeds. The owner comes back when the last one is gone.
    ///
    /// # Examples
    /// ```
    /// # let runtime = |future| leasehold_doc_block_on(future);
    /// # fn leasehold_doc_block_on<F: Future>(future: F) -> F::Output {
    /// #     let mut future = std::pin::pin!(future);
    /// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     loop { if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) { return output } }
    /// # }
    /// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    /// let revocation = lessor.revoke();
    /// assert!(memory.span().is_err());
    /// # runtime(async {
    /// let owner = revocation.await.unwrap();
    /// assert_eq!(owner[..], [1, 2, 3]);
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn revoke(self) -> Revocation<T, K> {
        Revocation { state: Some(self.lease.end(Location::caller())) }
    }

    /// Ends many leases now, with at most one heavy barrier for all of them.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{Lessor, MemoryOwner};
    ///
    /// let (lessors, memories): (Vec<_>, Vec<_>) =
    ///     (0..64).map(|i| MemoryOwner::from(vec![i; 8]).lease_read_only()).unzip();
    /// let revocations = Lessor::revoke_all(lessors);
    /// assert!(memories.iter().all(|memory| memory.span().is_err()));
    /// assert!(revocations.into_iter().all(|revocation| revocation.try_take().is_ok()));
    /// ```
    #[track_caller]
    pub fn revoke_all(lessors: impl IntoIterator<Item = Self>) -> Vec<Revocation<T, K>> {
        let leases = lessors.into_iter().map(|lessor| lessor.lease).collect();
        let draining = Lease::end_all(leases, Location::caller());
        draining.into_iter().map(|draining| Revocation { state: Some(Err(draining)) }).collect()
    }
}

impl<T: Send + 'static> Lessor<T, Exclusive> {
    /// Whether the consumer has given up every part of the memory.
    ///
    /// # Examples
    /// ```
    /// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    /// assert!(!lessor.is_returned());
    /// drop(memory);
    /// assert!(lessor.is_returned());
    /// ```
    pub fn is_returned(&self) -> bool {
        self.lease.is_returned()
    }

    /// Waits until the consumer has given up every part of the memory, without hurrying it.
    /// [`try_reclaim`](Self::try_reclaim) then succeeds, without any barrier.
    ///
    /// # Errors
    /// [`HeldByThisThread`] when the thread that polls holds a span of the buffer itself.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    ///
    /// # Examples
    /// ```
    /// # fn leasehold_doc_block_on<F: Future>(future: F) -> F::Output {
    /// #     let mut future = std::pin::pin!(future);
    /// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     loop { if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) { return output } }
    /// # }
    /// # leasehold_doc_block_on(async {
    /// let (mut lessor, mut memory) = leasehold::MemoryOwner::from(vec![0; 3]).lease();
    /// std::thread::spawn(move || memory.span_mut().unwrap().fill(7));
    /// lessor.returned().await.unwrap();
    /// assert_eq!(lessor.try_reclaim().unwrap()[..], [7, 7, 7]);
    /// # });
    /// ```
    pub fn returned(&mut self) -> Returned<'_, T> {
        Returned { lessor: self, waiting: false }
    }
}

impl<T, K: LeaseKind<T>> fmt::Debug for Lessor<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lessor").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Waits for the consumer of an exclusive lease; see [`Lessor::returned`].
#[must_use = "futures do nothing unless awaited"]
pub struct Returned<'a, T: Send + 'static> {
    lessor: &'a mut Lessor<T, Exclusive>,
    /// Whether a waker has been left with the buffer.
    waiting: bool,
}

impl<T: Send + 'static> Future for Returned<'_, T> {
    type Output = Result<(), HeldByThisThread<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.waiting = !self.lessor.lease.poll_returned(context.waker());
        if !self.waiting {
            return Poll::Ready(Ok(()));
        }
        let lease = &self.lessor.lease;
        match lease.spans_of_this_thread() {
            0 => Poll::Pending,
            spans => Poll::Ready(Err(HeldByThisThread { waiting: (), spans })),
        }
    }
}

impl<T: Send + 'static> Drop for Returned<'_, T> {
    fn drop(&mut self) {
        if self.waiting {
            self.lessor.lease.stop_waiting();
        }
    }
}

/// A lease that has been ended and whose buffer may still be in use by those who were inside; see
/// [`Lessor::revoke`].
///
/// It is a future of the owner. Dropping it leaves the buffer to be disposed of by the last one out.
///
/// # Cancel safety
/// Dropping the future drops the right to the owner with it, so poll it by reference (`&mut revocation`) where
/// the wait may be given up and taken up again.
///
/// # Examples
/// ```
/// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// let span = memory.span().unwrap();
/// let revocation = lessor.revoke();
/// let revocation = revocation.try_take().unwrap_err();
/// assert_eq!(span[..], [1, 2, 3], "a span stays valid");
/// drop(span);
/// assert!(revocation.try_take().is_ok());
/// ```
#[must_use = "dropping a revocation gives the buffer up"]
pub struct Revocation<T, K: LeaseKind<T> = Exclusive> {
    /// `None` once the owner has been handed out.
    state: Option<Result<K::Hold, Draining<K::Hold>>>,
}

// The hold is never pinned: it is moved out when the future is ready.
impl<T, K: LeaseKind<T>> Unpin for Revocation<T, K> {}

impl<T, K: LeaseKind<T>> Revocation<T, K> {
    /// The owner, if nobody is inside any more.
    ///
    /// # Errors
    /// Hands the revocation back.
    pub fn try_take(mut self) -> Result<K::Owner, Self> {
        match self.poll_hold() {
            Ok(hold) => Ok(K::owner(hold)),
            Err(draining) => Err(Revocation { state: Some(Err(draining)) }),
        }
    }

    /// Blocks until the last one is out. A pin that this thread holds itself is not noticed, since it could be sent to
    /// another thread; the wait then never ends.
    ///
    /// # Errors
    /// [`HeldByThisThread`] when this thread holds a span of the buffer itself, with the revocation to wait on again.
    ///
    /// # Panics
    /// When the revocation, as a future, has completed.
    pub fn wait(mut self) -> Result<K::Owner, HeldByThisThread<Self>> {
        let draining = match self.poll_hold() {
            Ok(hold) => return Ok(K::owner(hold)),
            Err(draining) => draining,
        };
        raw::until_drained(draining).map(K::owner).map_err(held)
    }

    fn poll_hold(&mut self) -> Result<K::Hold, Draining<K::Hold>> {
        match self.state.take().expect("a revocation is not used after it has completed") {
            Ok(hold) => Ok(hold),
            Err(draining) => draining.try_take(),
        }
    }
}

fn held<T, K: LeaseKind<T>>(draining: Draining<K::Hold>) -> HeldByThisThread<Revocation<T, K>> {
    let spans = draining.spans_of_this_thread();
    HeldByThisThread { waiting: Revocation { state: Some(Err(draining)) }, spans }
}

impl<T, K: LeaseKind<T>> Future for Revocation<T, K> {
    type Output = Result<K::Owner, HeldByThisThread<Revocation<T, K>>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let draining = match self.poll_hold() {
            Ok(hold) => return Poll::Ready(Ok(K::owner(hold))),
            Err(draining) => draining,
        };
        if draining.poll(context.waker()) {
            let hold = draining.try_take().ok().expect("a drained block stays so");
            return Poll::Ready(Ok(K::owner(hold)));
        }
        if draining.spans_of_this_thread() > 0 {
            return Poll::Ready(Err(held(draining)));
        }
        self.state = Some(Err(draining));
        Poll::Pending
    }
}

impl<T, K: LeaseKind<T>> fmt::Debug for Revocation<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation").finish_non_exhaustive()
    }
}
