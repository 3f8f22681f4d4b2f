//! The one party that answers for a buffer.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr::NonNull;

use crate::lessor::{Exclusive, Lessor, ReadOnly};
use crate::manager::{ForeignMut, MemoryManagerMut};
use crate::memory::{Memory, ReadOnlyMemory};
use crate::raw::{self, Owned};
use crate::shared::SharedOwner;

/// A heap-stable buffer with one owner. Moving it moves the duty, dropping it disposes of the buffer.
///
/// It is a `[T]` of exact length without checks or atomics, and its elements stay at their address while it
/// moves between threads and tasks. It comes from a [`MemoryPool`](crate::MemoryPool), from a collection, or from
/// a [`MemoryManagerMut`], and can be shared ([`into_shared`](Self::into_shared)) or leased
/// ([`lease`](Self::lease), [`lease_read_only`](Self::lease_read_only)).
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let mut owner = MemoryOwner::from(vec![3, 1, 2]);
/// let address = owner.as_ptr();
/// let owner = std::thread::spawn(move || { owner.sort(); owner }).join().unwrap();
/// assert_eq!(owner[..], [1, 2, 3]);
/// assert_eq!(owner.as_ptr(), address);
/// ```
#[doc(alias = "IMemoryOwner")]
#[doc(alias = "OwnedMemory")]
pub struct MemoryOwner<T>(pub(crate) Owned<T>);

impl<T: Send + 'static> MemoryOwner<T> {
    /// Takes the memory of a manager.
    ///
    /// # Examples
    /// See [`MemoryManagerMut`].
    #[track_caller]
    pub fn from_manager<M: MemoryManagerMut<T>>(manager: M) -> Self {
        MemoryOwner(Owned::from_manager(manager, Location::caller()))
    }

    /// Takes a value that lends a slice for writing: a buffer of another library. Copies nothing.
    ///
    /// It is asked for its slice once, and dropped with the buffer. Costs one small allocation.
    ///
    /// # Examples
    /// ```
    /// use leasehold::MemoryOwner;
    ///
    /// let table: Box<[u32]> = Box::new([1, 2, 3]);
    /// let address = table.as_ptr();
    /// let mut owner = MemoryOwner::from_owner(table);
    /// owner[0] = 10;
    /// assert_eq!((owner.as_ptr(), &owner[..]), (address, &[10, 2, 3][..]));
    /// ```
    #[track_caller]
    pub fn from_owner<O: AsMut<[T]> + Send + 'static>(owner: O) -> Self {
        MemoryOwner::from_manager(ForeignMut(owner))
    }

    /// Takes a slice that was leaked or never ends.
    ///
    /// # Examples
    /// ```
    /// use leasehold::MemoryOwner;
    ///
    /// let owner = MemoryOwner::from_static(Box::leak(Box::new([0u8; 64])));
    /// assert_eq!(owner.len(), 64);
    /// ```
    #[track_caller]
    pub fn from_static(slice: &'static mut [T]) -> Self {
        MemoryOwner(Owned::from_static(slice, Location::caller()))
    }

    /// Takes memory of any origin, with the function that lets it go.
    ///
    /// # Safety
    /// - At `ptr`, aligned, are `len` initialised elements in one allocation of at most `isize::MAX` bytes.
    /// - Until `release` is called they stay there, and nobody but the owner and its handles touches them.
    /// - `release` may be called on any thread. It drops the elements if they need it.
    ///
    /// # Examples
    /// ```
    /// use std::ptr::NonNull;
    /// use leasehold::MemoryOwner;
    ///
    /// let slice: &mut [u32] = Box::leak(vec![1, 2, 3].into_boxed_slice());
    /// let (ptr, len) = (NonNull::from(&mut *slice).cast(), slice.len());
    /// // SAFETY: the box is leaked, and taken back by the release function only.
    /// let owner = unsafe {
    ///     MemoryOwner::from_raw_parts(ptr, len, |ptr: NonNull<u32>, len| {
    ///         drop(Box::from_raw(NonNull::slice_from_raw_parts(ptr, len).as_ptr()));
    ///     })
    /// };
    /// assert_eq!(owner[..], [1, 2, 3]);
    /// ```
    #[expect(unsafe_code, reason = "the caller answers for the memory; nothing is done with it here")]
    #[track_caller]
    pub unsafe fn from_raw_parts(
        ptr: NonNull<T>,
        len: usize,
        release: impl FnOnce(NonNull<T>, usize) + Send + 'static,
    ) -> Self {
        // SAFETY: the caller's promises are the same.
        MemoryOwner(unsafe { Owned::from_raw_parts(ptr, len, release, Location::caller()) })
    }

    /// Elements that the buffer has room for, visible or not.
    ///
    /// # Examples
    /// ```
    /// let owner = leasehold::MemoryPool::shared().rent::<u8>(1000);
    /// assert_eq!(owner.len(), 1000);
    /// assert!(owner.capacity() >= 1000);
    /// ```
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Makes all but the first `len` elements invisible; they are dropped with the buffer. Does nothing when there are
    /// no more than `len`.
    ///
    /// # Examples
    /// ```
    /// let mut owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    /// owner.truncate(2);
    /// assert_eq!(owner[..], [1, 2]);
    /// ```
    pub fn truncate(&mut self, len: usize) {
        // A range that is too long is no cut at all.
        let _ = self.0.narrow(..len);
    }

    /// Turns the owner into the first of many, which may only read. Costs one plain store.
    ///
    /// # Examples
    /// ```
    /// let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]).into_shared();
    /// let other = owner.clone();
    /// assert_eq!(owner.as_ptr(), other.as_ptr());
    /// ```
    pub fn into_shared(self) -> SharedOwner<T> {
        SharedOwner(self.0.into_shared())
    }

    /// Begins a lease with one consumer, who may write. Until it ends there is a lessor in place of the owner.
    ///
    /// Costs a few plain stores.
    ///
    /// # Examples
    /// ```
    /// let (lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    /// std::thread::spawn(move || memory.span_mut().unwrap()[0] = 10).join().unwrap();
    /// let owner = lessor.try_reclaim().unwrap();
    /// assert_eq!(owner[0], 10);
    /// ```
    #[inline]
    #[must_use = "dropping the lessor revokes the lease"]
    #[track_caller]
    pub fn lease(self) -> (Lessor<T, Exclusive>, Memory<T>) {
        let (lease, part) = raw::lease(self.0, Location::caller());
        (Lessor::new(lease), Memory(part))
    }

    /// Begins a lease with any number of consumers, who may only read.
    ///
    /// Costs a few plain stores, and handing out the ten-thousandth view costs nothing.
    ///
    /// # Examples
    /// ```
    /// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    /// let views: Vec<_> = (0..10_000).map(|_| memory.slice(1..)).collect();
    /// assert_eq!(views[9_999].span().unwrap()[..], [2, 3]);
    /// drop(lessor);
    /// assert!(views[9_999].span().is_err());
    /// ```
    #[inline]
    #[must_use = "dropping the lessor revokes the lease"]
    #[track_caller]
    pub fn lease_read_only(self) -> (Lessor<T, ReadOnly>, ReadOnlyMemory<T>) {
        let (lease, view) = raw::lease_read_only(self.0, Location::caller());
        (Lessor::new(lease), ReadOnlyMemory(view))
    }
}

impl<T> MemoryOwner<T> {
    /// Where the buffer was rented or the owner made. For `into()` and `collect()`, which do not say who called them, a place in
    /// the standard library; `MemoryOwner::from`, `MemoryOwner::from_iter` and the constructors know better.
    ///
    /// # Examples
    /// ```
    /// let owner = leasehold::MemoryPool::shared().rent::<u8>(16);
    /// assert!(owner.created_at().unwrap().file().ends_with(".rs"));
    ///
    /// let owner = leasehold::MemoryOwner::from_iter(0..3);
    /// assert_eq!(owner.created_at().unwrap().file(), file!());
    /// ```
    pub fn created_at(&self) -> Option<&'static Location<'static>> {
        self.0.created()
    }
}

impl<T> Deref for MemoryOwner<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T> DerefMut for MemoryOwner<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }
}

impl<T> AsRef<[T]> for MemoryOwner<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> AsMut<[T]> for MemoryOwner<T> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

/// Takes the vector's memory as it is.
impl<T: Send + 'static> From<Vec<T>> for MemoryOwner<T> {
    #[track_caller]
    fn from(vec: Vec<T>) -> Self {
        MemoryOwner(Owned::from_vec(vec, Location::caller()))
    }
}

/// Takes the box's memory as it is.
impl<T: Send + 'static> From<Box<[T]>> for MemoryOwner<T> {
    #[track_caller]
    fn from(slice: Box<[T]>) -> Self {
        MemoryOwner::from(slice.into_vec())
    }
}

/// Takes the string's memory as it is.
impl From<String> for MemoryOwner<u8> {
    #[track_caller]
    fn from(text: String) -> Self {
        MemoryOwner::from(text.into_bytes())
    }
}

/// Copies the slice. To lend a static slice without copying, see [`SharedOwner::from_static`].
impl<T: Clone + Send + 'static> From<&[T]> for MemoryOwner<T> {
    #[track_caller]
    fn from(slice: &[T]) -> Self {
        MemoryOwner::from(slice.to_vec())
    }
}

impl<T: Send + 'static> FromIterator<T> for MemoryOwner<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        MemoryOwner::from(Vec::from_iter(elements))
    }
}

/// Says where the buffer is and how long, never what is in it.
impl<T> fmt::Debug for MemoryOwner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOwner").field("address", &self.as_ptr()).field("len", &self.len()).finish()
    }
}
