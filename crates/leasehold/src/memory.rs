//! The consumers' handles.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeBounds;

use crate::error::{NotAdjacent, OutOfRange, Refused, Revoked};
use crate::handle::{MemoryHandle, MemoryHandleMut};
use crate::raw::{Part, View};
use crate::span::{Span, SpanMut};

/// The exclusive handle of a leased buffer, or of a part of it: storable, sendable, a factory of spans.
///
/// It is weak: the lessor can end the lease at any time, and every access says so. It is affine: there is one
/// handle for each element, so reading borrows it and writing borrows it mutably. It can be split into disjoint
/// parts that go to different threads. When every part has been dropped the lessor gets the buffer back without any
/// barrier.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (lessor, memory) = MemoryOwner::from(vec![0; 4]).lease();
/// let (mut left, mut right) = memory.split_at(2).unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| left.span_mut().unwrap().fill(1));
///     scope.spawn(|| right.span_mut().unwrap().fill(2));
/// });
/// drop((left, right));
/// assert_eq!(lessor.try_reclaim().unwrap()[..], [1, 1, 2, 2]);
/// ```
#[doc(alias = "Memory<T>")]
pub struct Memory<T: Send + 'static>(pub(crate) Part<T>);

impl<T: Send + 'static> Memory<T> {
    /// Elements that the handle covers, whether or not it still gives access.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the handle covers no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins a synchronous view for reading. Costs about a nanosecond and a half; no locked instruction.
    ///
    /// # Errors
    /// [`Revoked`] when the lease is over.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    /// assert_eq!(memory.span()?[1], 2);
    /// # Ok::<_, leasehold::Revoked>(())
    /// ```
    #[inline(always)]
    pub fn span(&self) -> Result<Span<'_, T>, Revoked> {
        match self.0.span() {
            Some(held) => Ok(Span(held)),
            None => Err(Revoked::new(self.0.origin())),
        }
    }

    /// Begins a synchronous view for writing. Costs as much as [`span`](Self::span).
    ///
    /// # Errors
    /// [`Revoked`] when the lease is over.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    /// memory.span_mut()?[1] = 20;
    /// assert_eq!(memory.span()?[..], [1, 20, 3]);
    /// # Ok::<_, leasehold::Revoked>(())
    /// ```
    #[inline(always)]
    pub fn span_mut(&mut self) -> Result<SpanMut<'_, T>, Revoked> {
        let origin = self.0.origin();
        match self.0.span_mut() {
            Some(held) => Ok(SpanMut(held)),
            None => Err(Revoked::new(origin)),
        }
    }

    /// Keeps the memory in place and reserved until the handle is dropped, for FFI, io_uring and devices. Unlike a
    /// span, the pin can be sent and stored. Costs one atomic addition.
    ///
    /// # Errors
    /// [`Revoked`] when the lease is over, with the memory.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![0u8; 3]).lease();
    /// let mut pinned = memory.pin().unwrap();
    /// let pinned = std::thread::spawn(move || { pinned.fill(7); pinned }).join().unwrap();
    /// let memory = pinned.unpin();
    /// assert_eq!(memory.span().unwrap()[..], [7, 7, 7]);
    /// ```
    pub fn pin(self) -> Result<MemoryHandleMut<T>, Refused<Self, Revoked>> {
        self.0.pin().map(MemoryHandleMut).map_err(|part| {
            let memory = Memory(part);
            Refused { reason: Revoked::new(memory.0.origin()), memory }
        })
    }

    /// The memory of the elements that `range` names. The others are out of reach until the lease ends; use
    /// [`split_at`](Self::split_at) to keep both sides.
    ///
    /// # Errors
    /// [`OutOfRange`] names the range and the length; the memory comes back.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    /// let memory = memory.slice(1..).unwrap();
    /// assert_eq!(memory.span().unwrap()[..], [2, 3]);
    /// ```
    pub fn slice(mut self, range: impl RangeBounds<usize>) -> Result<Self, Refused<Self, OutOfRange>> {
        match self.0.narrow(range) {
            Ok(()) => Ok(self),
            Err(range) => Err(Refused { memory: self, reason: OutOfRange::new(range) }),
        }
    }

    /// Two disjoint memories, before and from `mid`. Costs one atomic addition.
    ///
    /// # Errors
    /// [`OutOfRange`] when `mid` is beyond the end; the memory comes back.
    ///
    /// # Examples
    /// See [`Memory`].
    pub fn split_at(self, mid: usize) -> Result<(Self, Self), Refused<Self, OutOfRange>> {
        match self.0.split_at(mid) {
            Ok((left, right)) => Ok((Memory(left), Memory(right))),
            Err((part, range)) => Err(Refused { memory: Memory(part), reason: OutOfRange::new(range) }),
        }
    }

    /// One memory in place of two adjacent parts of the same lease.
    ///
    /// # Errors
    /// [`NotAdjacent`] hands both back.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    /// let (left, right) = memory.split_at(1).unwrap();
    /// assert_eq!(left.join(right).unwrap().len(), 3);
    /// ```
    pub fn join(self, next: Self) -> Result<Self, NotAdjacent<Self>> {
        match self.0.join(next.0) {
            Ok(joined) => Ok(Memory(joined)),
            Err((first, second)) => Err(NotAdjacent { first: Memory(first), second: Memory(second) }),
        }
    }
}

/// By identity: the same range of the same lease. Contents are compared through spans.
impl<T: Send + 'static> PartialEq for Memory<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity() == other.0.identity()
    }
}

impl<T: Send + 'static> Eq for Memory<T> {}

impl<T: Send + 'static> Hash for Memory<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity().hash(state);
    }
}

/// Says what the handle refers to, never what is in it.
impl<T: Send + 'static> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.identity().debug("Memory", f)
    }
}

/// A read-only handle of a leased buffer, or of a range of it: `Copy`, storable, sendable, a factory of spans.
///
/// It is weak: the lessor can end the lease at any time, and every access says so. Copying and slicing touch no
/// memory at all.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (lessor, memory) = MemoryOwner::from(b"hello world".to_vec()).lease_read_only();
/// let world = memory.slice(6..);
/// let reader = std::thread::spawn(move || world.span().map(|span| span.to_vec()));
/// assert_eq!(reader.join().unwrap().unwrap(), b"world");
///
/// let owner = lessor.try_reclaim().unwrap();
/// println!("{}", world.span().unwrap_err()); // where it was created, leased and revoked
/// # drop(owner);
/// ```
#[doc(alias = "ReadOnlyMemory<T>")]
pub struct ReadOnlyMemory<T: Send + 'static>(pub(crate) View<T>);

impl<T: Send + 'static> ReadOnlyMemory<T> {
    /// Elements that the handle covers, whether or not it still gives access.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the handle covers no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins a synchronous view. Costs about a nanosecond and a half; no locked instruction.
    ///
    /// The span borrows the handle, which is `Copy`: in a tail expression, bind the span to a name first.
    ///
    /// # Errors
    /// [`Revoked`] when the lease is over.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    /// assert_eq!(memory.span()?.iter().sum::<i32>(), 6);
    /// # Ok::<_, leasehold::Revoked>(())
    /// ```
    #[inline(always)]
    pub fn span(&self) -> Result<Span<'_, T>, Revoked> {
        match self.0.span() {
            Some(held) => Ok(Span(held)),
            None => Err(Revoked::new(self.0.origin())),
        }
    }

    /// Keeps the memory in place and reserved until the handle is dropped, for FFI, io_uring and devices. Unlike a
    /// span, the pin can be sent and stored. Costs one atomic addition.
    ///
    /// # Errors
    /// [`Revoked`] when the lease is over.
    ///
    /// # Examples
    /// ```
    /// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1u8, 2, 3]).lease_read_only();
    /// let pinned = memory.pin()?;
    /// drop(lessor);
    /// assert_eq!(pinned[..], [1, 2, 3], "the pin keeps the buffer");
    /// # Ok::<_, leasehold::Revoked>(())
    /// ```
    pub fn pin(&self) -> Result<MemoryHandle<T>, Revoked> {
        match self.0.pin() {
            Some(pinned) => Ok(MemoryHandle(pinned)),
            None => Err(Revoked::new(self.0.origin())),
        }
    }

    /// The handle of the elements that `range` names. Touches no memory, works on stale handles too.
    ///
    /// # Panics
    /// If the range does not lie within this handle's.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3, 4]).lease_read_only();
    /// assert_eq!(memory.slice(1..3).slice(..1).span().unwrap()[..], [2]);
    /// ```
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn slice(self, range: impl RangeBounds<usize>) -> Self {
        match self.0.narrow(range) {
            Ok(view) => ReadOnlyMemory(view),
            Err(range) => OutOfRange::panic(range),
        }
    }

    /// As [`slice`](Self::slice), with an error in place of the panic.
    ///
    /// # Errors
    /// [`OutOfRange`] names the range and the length.
    ///
    /// # Examples
    /// ```
    /// let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3, 4]).lease_read_only();
    /// assert!(memory.slice(1..3).try_slice(1..3).is_err());
    /// assert!(memory.try_slice(1..=usize::MAX).is_err());
    /// ```
    #[inline]
    pub fn try_slice(self, range: impl RangeBounds<usize>) -> Result<Self, OutOfRange> {
        self.0.narrow(range).map(ReadOnlyMemory).map_err(OutOfRange::new)
    }
}

impl<T: Send + 'static> Clone for ReadOnlyMemory<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + 'static> Copy for ReadOnlyMemory<T> {}

/// By identity: the same range of the same lease. Contents are compared through spans.
impl<T: Send + 'static> PartialEq for ReadOnlyMemory<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity() == other.0.identity()
    }
}

impl<T: Send + 'static> Eq for ReadOnlyMemory<T> {}

impl<T: Send + 'static> Hash for ReadOnlyMemory<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity().hash(state);
    }
}

/// Says what the handle refers to, never what is in it.
impl<T: Send + 'static> fmt::Debug for ReadOnlyMemory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.identity().debug("ReadOnlyMemory", f)
    }
}
