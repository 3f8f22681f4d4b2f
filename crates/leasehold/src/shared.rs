//! Read-only ownership by many.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, RangeBounds};
use std::panic::Location;

use crate::error::{NotAdjacent, NotExclusive, OutOfRange};
use crate::lessor::{Lessor, SharedReadOnly};
use crate::manager::{Foreign, MemoryManager};
use crate::memory::ReadOnlyMemory;
use crate::owner::MemoryOwner;
use crate::raw::{self, Shared};

/// A buffer owned by many, who only read. The last one to be dropped disposes of it.
///
/// Cloning is one atomic addition, reading is free, and a slice of it keeps the whole buffer alive.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let text = MemoryOwner::from(String::from("to be or not to be")).into_shared();
/// let word = text.slice(6..8);
/// let reader = std::thread::spawn(move || assert_eq!(word, b"or"[..]));
/// assert_eq!(text.len(), 18);
/// reader.join().unwrap();
/// ```
#[doc(alias = "Bytes")]
pub struct SharedOwner<T>(pub(crate) Shared<T>);

impl<T: Send + 'static> SharedOwner<T> {
    /// Lends a static slice without copying it.
    ///
    /// # Examples
    /// ```
    /// static TABLE: [u8; 3] = [1, 2, 3];
    /// let owner = leasehold::SharedOwner::from_static(&TABLE);
    /// assert_eq!(owner.as_ptr(), TABLE.as_ptr());
    /// ```
    #[track_caller]
    pub fn from_static(slice: &'static [T]) -> Self
    where
        T: Sync,
    {
        SharedOwner(Shared::from_static(slice, Location::caller()))
    }

    /// Takes the memory of a manager.
    ///
    /// # Examples
    /// See [`MemoryManager`].
    #[track_caller]
    pub fn from_manager<M: MemoryManager<T>>(manager: M) -> Self {
        SharedOwner(Shared::from_manager(manager, Location::caller()))
    }

    /// Takes a value that lends a slice: a buffer of another library, a table in an `Arc`. Copies nothing.
    ///
    /// It is asked for its slice once, and dropped with the last shared owner. Costs one small allocation.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use leasehold::SharedOwner;
    ///
    /// let names = Arc::new(String::from("Ada, Grace"));
    /// struct Text(Arc<String>);
    /// impl AsRef<[u8]> for Text {
    ///     fn as_ref(&self) -> &[u8] {
    ///         self.0.as_bytes()
    ///     }
    /// }
    /// let owner = SharedOwner::from_owner(Text(Arc::clone(&names)));
    /// assert_eq!(owner.as_ptr(), names.as_ptr());
    /// drop(owner);
    /// assert_eq!(Arc::strong_count(&names), 1);
    /// ```
    #[track_caller]
    pub fn from_owner<O: AsRef<[T]> + Send + 'static>(owner: O) -> Self {
        SharedOwner::from_manager(Foreign(owner))
    }

    /// The part of the buffer that `range` names, sharing it. Costs one atomic addition.
    ///
    /// # Panics
    /// If the range does not lie within this slice.
    ///
    /// # Examples
    /// ```
    /// let owner = leasehold::SharedOwner::from(vec![1, 2, 3, 4]);
    /// assert_eq!(owner.slice(1..3).slice(1..), [3][..]);
    /// ```
    #[inline]
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let mut slice = self.0.clone();
        match slice.narrow(range) {
            Ok(()) => SharedOwner(slice),
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
    /// let owner = leasehold::SharedOwner::from(vec![1, 2, 3, 4]);
    /// assert!(owner.slice(1..3).try_slice(1..3).is_err());
    /// ```
    pub fn try_slice(&self, range: impl RangeBounds<usize>) -> Result<Self, OutOfRange> {
        let mut slice = self.0.clone();
        slice.narrow(range).map_err(OutOfRange::new)?;
        Ok(SharedOwner(slice))
    }

    /// The slices before and from `mid`.
    ///
    /// # Panics
    /// If `mid` is beyond the end.
    ///
    /// # Examples
    /// ```
    /// let (head, body) = leasehold::SharedOwner::from(vec![1, 2, 3]).split_at(1);
    /// assert_eq!((head.len(), body.len()), (1, 2));
    /// ```
    #[track_caller]
    pub fn split_at(self, mid: usize) -> (Self, Self) {
        let left = self.slice(..mid);
        (left, self.slice(mid..))
    }

    /// One shared owner in place of two, of which the second covers what follows the first in the same block. Copies nothing.
    ///
    /// Slices of a growing text join to one, however it was handed out; see [`MemoryWriter`](crate::MemoryWriter).
    ///
    /// # Errors
    /// [`NotAdjacent`] hands both back. Slices of elements without a size are never joined.
    ///
    /// # Examples
    /// ```
    /// use leasehold::SharedOwner;
    ///
    /// let (left, right) = SharedOwner::from(vec![1, 2, 3]).split_at(1);
    /// let error = right.try_join(left).unwrap_err();
    /// let whole = error.second.try_join(error.first).unwrap();
    /// assert_eq!((whole.owners(), &whole[..]), (1, &[1, 2, 3][..]));
    /// ```
    pub fn try_join(self, next: Self) -> Result<Self, NotAdjacent<Self>> {
        self.0
            .try_join(next.0)
            .map(SharedOwner)
            .map_err(|(first, second)| NotAdjacent { first: SharedOwner(first), second: SharedOwner(second) })
    }

    /// The exclusive owner of what this slice covers, if it is the only shared owner.
    ///
    /// # Errors
    /// [`NotExclusive`] hands the shared owner back: there are others, or the memory is read-only.
    ///
    /// # Examples
    /// ```
    /// let shared = leasehold::MemoryOwner::from(vec![1, 2, 3]).into_shared();
    /// let mut owner = shared.try_into_owner().unwrap();
    /// owner[0] = 10;
    /// ```
    pub fn try_into_owner(self) -> Result<MemoryOwner<T>, NotExclusive<Self>> {
        self.0.try_into_owned().map(MemoryOwner).map_err(|(shared, writable)| {
            let shared = SharedOwner(shared);
            if writable { NotExclusive::Shared(shared) } else { NotExclusive::ReadOnly(shared) }
        })
    }

    /// Begins a read-only lease of a buffer of which this is the only shared owner. Works for read-only memory too.
    ///
    /// # Errors
    /// [`NotExclusive`] hands the shared owner back when there are others: they could not be revoked.
    ///
    /// # Examples
    /// ```
    /// let table = leasehold::SharedOwner::from_static(&[1, 2, 3]);
    /// let (lessor, memory) = table.try_lease_read_only().unwrap();
    /// assert_eq!(memory.span().unwrap()[1], 2);
    /// let table = lessor.try_reclaim().unwrap();
    /// # drop(table);
    /// ```
    #[expect(clippy::type_complexity, reason = "both ends of a lease, or what was given")]
    #[track_caller]
    pub fn try_lease_read_only(
        self,
    ) -> Result<(Lessor<T, SharedReadOnly>, ReadOnlyMemory<T>), NotExclusive<Self>> {
        let (lease, view) = raw::lease_shared(self.0, Location::caller())
            .map_err(|shared| NotExclusive::Shared(SharedOwner(shared)))?;
        Ok((Lessor::new(lease), ReadOnlyMemory(view)))
    }

    /// How many shared owners there are, at some moment during the call.
    ///
    /// # Examples
    /// ```
    /// let one = leasehold::SharedOwner::from(vec![1, 2, 3]);
    /// let two = one.clone();
    /// assert_eq!(two.owners(), 2);
    /// ```
    pub fn owners(&self) -> usize {
        self.0.shares()
    }
}

impl<T> Clone for SharedOwner<T> {
    /// Costs one atomic addition.
    #[inline]
    fn clone(&self) -> Self {
        SharedOwner(self.0.clone())
    }
}

impl<T> Deref for SharedOwner<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T> AsRef<[T]> for SharedOwner<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> std::borrow::Borrow<[T]> for SharedOwner<T> {
    fn borrow(&self) -> &[T] {
        self
    }
}

/// Whatever makes an owner makes a shared one.
impl<T: Send + 'static, S> From<S> for SharedOwner<T>
where
    MemoryOwner<T>: From<S>,
{
    #[track_caller]
    fn from(source: S) -> Self {
        MemoryOwner::from(source).into_shared()
    }
}

impl<T: Send + 'static> FromIterator<T> for SharedOwner<T> {
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        MemoryOwner::from_iter(elements).into_shared()
    }
}

impl<T: PartialEq> PartialEq for SharedOwner<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for SharedOwner<T> {}

impl<T: PartialEq> PartialEq<[T]> for SharedOwner<T> {
    fn eq(&self, other: &[T]) -> bool {
        **self == *other
    }
}

impl<T: PartialOrd> PartialOrd for SharedOwner<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(other)
    }
}

impl<T: Ord> Ord for SharedOwner<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl<T: Hash> Hash for SharedOwner<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// As a slice.
impl<T: fmt::Debug> fmt::Debug for SharedOwner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
