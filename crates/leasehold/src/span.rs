//! Short, synchronous views.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::raw::{Held, HeldMut};

/// A view of leased memory for reading, in this thread and this scope.
///
/// As long as it lives the memory stays valid and is not written, whatever the lessor does. It cannot be sent, so on a
/// multi-threaded runtime the compiler refuses to hold it across an `await`; pin the memory where that is
/// needed. Forgetting a span keeps its buffer reserved for ever; that is a leak, nothing worse.
///
/// # Examples
/// ```
/// let (lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// let span = memory.span().unwrap();
/// drop(lessor);
/// assert_eq!(span[..], [1, 2, 3], "a span outlives its lease");
/// drop(span);
/// assert!(memory.span().is_err());
/// ```
#[must_use = "the view ends when the span is dropped"]
pub struct Span<'a, T>(pub(crate) Held<'a, T>);

impl<T> Deref for Span<'_, T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T> AsRef<[T]> for Span<'_, T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

/// Says how long the span is, never what is in it.
impl<T> fmt::Debug for Span<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A view of leased memory for writing, in this thread and this scope. See [`Span`].
///
/// # Examples
/// ```
/// let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![3, 1, 2]).lease();
/// memory.span_mut().unwrap().sort();
/// assert_eq!(memory.span().unwrap()[..], [1, 2, 3]);
/// ```
#[must_use = "the view ends when the span is dropped"]
pub struct SpanMut<'a, T>(pub(crate) HeldMut<'a, T>);

impl<T> Deref for SpanMut<'_, T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        self.0.as_slice()
    }
}

impl<T> DerefMut for SpanMut<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }
}

impl<T> AsRef<[T]> for SpanMut<'_, T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> AsMut<[T]> for SpanMut<'_, T> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

/// Says how long the span is, never what is in it.
impl<T> fmt::Debug for SpanMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanMut").field("len", &self.len()).finish_non_exhaustive()
    }
}
