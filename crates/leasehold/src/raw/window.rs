//! A range of elements inside a block, without a word about who may look at it when.

use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};
use std::ptr::NonNull;

use bytemuck::Pod;

/// `len` initialised elements at `ptr`. Carries no right to touch them; what wraps it does.
///
/// Invariant in `T`: who writes through one handle and who reads through another must mean the same type, lifetimes
/// included.
pub struct Window<T> {
    ptr: NonNull<T>,
    len: usize,
    _invariant: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Window<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Window<T> {}

impl<T> Window<T> {
    /// # Safety
    /// `len` initialised elements stay at `ptr`, which is aligned, in one allocation, until the block's release.
    #[inline(always)]
    pub(super) unsafe fn new(ptr: NonNull<T>, len: usize) -> Window<T> {
        Window { ptr, len, _invariant: PhantomData }
    }

    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) fn as_ptr(self) -> *mut T {
        self.ptr.as_ptr()
    }

    /// The part of the window that `range`, which counts from its start, names.
    #[inline]
    pub(super) fn narrow(self, range: impl RangeBounds<usize>) -> Result<Window<T>, OutOfRange> {
        let Range { start, end } = resolve(&range, self.len)?;
        // Wrapping: the handle may be stale, and the allocation gone. Nothing is read through it then.
        let ptr = self.ptr.as_ptr().wrapping_add(start);
        // SAFETY: start <= end <= len, so it points into what is or was an allocation, or one past its end.
        let ptr = unsafe { NonNull::new_unchecked(ptr) };
        Ok(Window { ptr, len: end - start, _invariant: PhantomData })
    }

    /// Whether `other` begins where this one ends. Windows on zero-sized elements are always adjacent.
    pub(super) fn is_followed_by(self, other: Window<T>) -> bool {
        self.ptr.as_ptr().wrapping_add(self.len) == other.ptr.as_ptr()
    }

    /// The window that covers this one and the one that follows it.
    ///
    /// # Safety
    /// Both windows are parts of one window, and the second begins where the first ends.
    pub(super) unsafe fn joined(self, next: Window<T>) -> Window<T> {
        Window { len: self.len + next.len, ..self }
    }

    /// The same bytes as elements of another type, if they begin aligned for it and are a whole number of them.
    pub(super) fn cast<U: Pod>(self) -> Result<Window<U>, Miscast>
    where
        T: Pod,
    {
        let (bytes, size) = (self.len * size_of::<T>(), size_of::<U>());
        let address = self.ptr.addr().get();
        if !address.is_multiple_of(align_of::<U>()) {
            return Err(Miscast::Misaligned { address });
        }
        let len = if size == size_of::<T>() {
            Some(self.len)
        } else {
            // Of elements without a size nobody knows how many.
            let whole = if size == 0 { bytes == 0 } else { bytes.is_multiple_of(size) };
            whole.then(|| bytes.checked_div(size).unwrap_or(0))
        };
        match len {
            Some(len) => Ok(Window { ptr: self.ptr.cast(), len, _invariant: PhantomData }),
            None => Err(Miscast::Partial { bytes }),
        }
    }

    /// # Safety
    /// Until `'a` ends the block is not released and nobody writes the elements.
    #[inline(always)]
    pub(super) unsafe fn as_slice<'a>(self) -> &'a [T] {
        // SAFETY: the elements are there by the promise of `new`, and unwritten by the caller's.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    /// # Safety
    /// Until `'a` ends the block is not released, is writable, and nobody else reads or writes the elements.
    #[inline(always)]
    pub(super) unsafe fn as_mut_slice<'a>(self) -> &'a mut [T] {
        // SAFETY: the elements are there by the promise of `new`, and ours alone by the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

/// Why bytes are not elements of another type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Miscast {
    Misaligned { address: usize },
    Partial { bytes: usize },
}

/// A range that does not lie within a length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OutOfRange {
    pub(crate) start: Option<usize>,
    pub(crate) end: Option<usize>,
    pub(crate) len: usize,
}

/// `range` in numbers, if it lies within `len` elements. A bound that would overflow is none.
#[inline]
pub(crate) fn resolve(range: &impl RangeBounds<usize>, len: usize) -> Result<Range<usize>, OutOfRange> {
    let start = match range.start_bound() {
        Bound::Included(&start) => Some(start),
        Bound::Excluded(&before) => before.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.checked_add(1),
        Bound::Excluded(&end) => Some(end),
        Bound::Unbounded => Some(len),
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= len => Ok(start..end),
        _ => Err(OutOfRange { start, end, len }),
    }
}
