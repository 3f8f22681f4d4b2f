//! Blocks held without a lease: by one owner, or read-only by many.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, forget};
use std::ops::RangeBounds;
use std::ptr::NonNull;

use bytemuck::Pod;

use super::block::{Block, Site, Source, allocate};
use super::source::{self, release};
use super::window::{Miscast, OutOfRange, Window};
use crate::manager::{MemoryManager, MemoryManagerMut};
use crate::sync::Ordering;

/// The exclusive hold of a block whose memory is writable (R2). Dropping it releases the block.
pub struct Owned<T> {
    pub(super) window: Window<T>,
    pub(super) block: &'static Block,
    /// Owns elements of `T`, as far as the drop checker and variance are concerned.
    _elements: PhantomData<T>,
}

// SAFETY: the hold is exclusive and unbound to a thread; moving it moves the elements.
unsafe impl<T: Send> Send for Owned<T> {}
// SAFETY: a shared reference gives out shared references to elements only.
unsafe impl<T: Sync> Sync for Owned<T> {}

/// The elements stay where they are when the owner moves.
impl<T> Unpin for Owned<T> {}

impl<T: Send + 'static> Owned<T> {
    pub(crate) fn from_vec(vec: Vec<T>, site: Site) -> Owned<T> {
        let mut vec = ManuallyDrop::new(vec);
        let len = vec.len();
        let source = source::vec(&mut vec);
        // SAFETY: a vector's pointer is never null.
        let ptr = unsafe { NonNull::new_unchecked(source.base.cast()) };
        // SAFETY: the vector's elements stay where they are until `source` rebuilds and drops it.
        let window = unsafe { Window::new(ptr, len) };
        // SAFETY: the vector is forgotten, so `source` is the only one to answer for it.
        unsafe { Owned::begin(window, source, site) }
    }

    /// Where the block's memory begins and how many bytes it has, if it is a pool's.
    #[cfg(target_os = "linux")]
    pub(crate) fn pooled_block(&self) -> Option<(NonNull<u8>, usize)> {
        // SAFETY: the hold is exclusive (R2).
        let source = unsafe { self.block.source() };
        let base = NonNull::new(source.base.cast::<u8>())?;
        source.kind().pooled.then_some((base, source.room))
    }

    pub(crate) fn from_static(slice: &'static mut [T], site: Site) -> Owned<T> {
        // SAFETY: the slice is borrowed exclusively and for ever.
        unsafe { Owned::borrow(NonNull::from(slice), site) }
    }

    pub(crate) fn from_manager<M: MemoryManagerMut<T>>(manager: M, site: Site) -> Owned<T> {
        let (window, source) = source::managed_mut(manager);
        // SAFETY: the manager promises exclusive, writable memory until it is dropped, which `source` does.
        unsafe { Owned::begin(window, source, site) }
    }

    /// An owner of borrowed memory.
    ///
    /// # Safety
    /// Nobody else touches the slice, nor does its borrow end, before the last use of the owner and all that came of it.
    pub(super) unsafe fn borrow(slice: NonNull<[T]>, site: Site) -> Owned<T> {
        // SAFETY: the elements stay for as long as the caller promises.
        let window = unsafe { Window::new(slice.cast(), slice.len()) };
        // SAFETY: the caller's promise; there is nothing to release.
        unsafe { Owned::begin(window, source::nothing(slice, true), site) }
    }

    /// # Safety
    /// - `len` initialised, writable elements are at `ptr`, exclusively for the owner, until `release` is called.
    /// - `release(ptr, len)` may be called from any thread.
    pub(crate) unsafe fn from_raw_parts(
        ptr: NonNull<T>,
        len: usize,
        release: impl FnOnce(NonNull<T>, usize) + Send + 'static,
        site: Site,
    ) -> Owned<T> {
        // SAFETY: the caller's first promise.
        let window = unsafe { Window::new(ptr, len) };
        let source = source::release_with(ptr, len, release);
        // SAFETY: the caller's promises.
        unsafe { Owned::begin(window, source, site) }
    }

    /// # Safety
    /// `window` is exclusively the owner's, and writable, until `source` is released.
    unsafe fn begin(window: Window<T>, source: Source, site: Site) -> Owned<T> {
        let block = allocate();
        // SAFETY: a fresh block is exclusively ours, and `source` is valid by the caller's promise.
        unsafe { block.settle(source) };
        // SAFETY: as above.
        unsafe { Owned::resume(window, block, Some(site)) }
    }

    /// The hold of a block whose source is in place already.
    ///
    /// # Safety
    /// The caller hands over the exclusive hold of `block` (R2), and `window` lies in its writable memory.
    #[inline]
    pub(super) unsafe fn resume(window: Window<T>, block: &'static Block, site: Option<Site>) -> Owned<T> {
        if let Some(site) = site {
            block.stamp_created(site);
        }
        Owned { window, block, _elements: PhantomData }
    }

    /// Elements that the block has room for.
    pub(crate) fn capacity(&self) -> usize {
        // SAFETY: we hold the block exclusively.
        source::capacity::<T>(unsafe { self.block.source() })
    }

    pub(crate) fn narrow(&mut self, range: impl RangeBounds<usize>) -> Result<(), OutOfRange> {
        self.window = self.window.narrow(range)?;
        Ok(())
    }

    pub(crate) fn into_shared(self) -> Shared<T> {
        let (window, block) = self.into_parts();
        // SAFETY: we held the block exclusively and hand that on.
        unsafe { Shared::begin(window, block) }
    }

    #[inline]
    pub(super) fn into_parts(self) -> (Window<T>, &'static Block) {
        let parts = (self.window, self.block);
        forget(self);
        parts
    }

    /// The same bytes as elements of another type. The source lets go of what it has taken, whatever it is seen as.
    pub(crate) fn cast<U: Pod + Send>(self) -> Result<Owned<U>, (Owned<T>, Miscast)>
    where
        T: Pod,
    {
        match self.window.cast() {
            Ok(window) => {
                let (_, block) = self.into_parts();
                // SAFETY: the hold is ours to hand over; any bytes of a `T` are a `U`, and what is written as `U` is a `T`.
                Ok(unsafe { Owned::resume(window, block, None) })
            }
            Err(miscast) => Err((self, miscast)),
        }
    }
}

impl<T> Owned<T> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the hold is exclusive, and borrowed for as long as the slice lives.
        unsafe { self.window.as_slice() }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the hold is exclusive and mutably borrowed for as long as the slice lives; owned memory is writable.
        unsafe { self.window.as_mut_slice() }
    }

    pub(crate) fn created(&self) -> Option<Site> {
        self.block.created()
    }
}

impl<T> Drop for Owned<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the hold is exclusive and ends here.
        unsafe { release(self.block) };
    }
}

/// A counted, read-only hold of a block. The last one releases it.
pub struct Shared<T> {
    pub(super) window: Window<T>,
    pub(super) block: &'static Block,
    _elements: PhantomData<T>,
}

// SAFETY: clones on several threads read the same elements (Sync), and the last one drops them (Send).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: a shared reference can be cloned, so the same holds.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

/// As for [`Owned`].
impl<T> Unpin for Shared<T> {}

impl<T: Send + 'static> Shared<T> {
    pub(crate) fn from_static(slice: &'static [T], site: Site) -> Shared<T> {
        // SAFETY: the slice is borrowed for ever, and nobody writes a shared slice.
        unsafe { Shared::borrow(NonNull::from(slice), site) }
    }

    pub(crate) fn from_manager<M: MemoryManager<T>>(manager: M, site: Site) -> Shared<T> {
        let (window, source) = source::managed(manager);
        // SAFETY: the manager promises unwritten memory until it is dropped, which `source` does.
        unsafe { Shared::begin_with(window, source, site) }
    }

    /// A share of borrowed memory.
    ///
    /// # Safety
    /// Nobody writes the slice, nor does its borrow end, before the last use of the share and all that came of it.
    pub(super) unsafe fn borrow(slice: NonNull<[T]>, site: Site) -> Shared<T> {
        // SAFETY: the elements stay for as long as the caller promises.
        let window = unsafe { Window::new(slice.cast(), slice.len()) };
        // SAFETY: the caller's promise; there is nothing to release.
        unsafe { Shared::begin_with(window, source::nothing(slice, false), site) }
    }

    /// # Safety
    /// Nobody writes to `window` until `source` is released.
    unsafe fn begin_with(window: Window<T>, source: Source, site: Site) -> Shared<T> {
        let block = allocate();
        // SAFETY: a fresh block is exclusively ours.
        unsafe { block.settle(source) };
        block.stamp_created(site);
        // SAFETY: as above.
        unsafe { Shared::begin(window, block) }
    }

    /// # Safety
    /// The caller hands over the exclusive hold of `block` (R2), and `window` lies in its memory.
    pub(super) unsafe fn begin(window: Window<T>, block: &'static Block) -> Shared<T> {
        // Relaxed: whoever else gets to see the count gets it through a clone that was passed on.
        block.shares.store(1, Ordering::Relaxed);
        Shared { window, block, _elements: PhantomData }
    }

    /// The exclusive hold, if there is no other share and the memory is writable.
    pub(crate) fn try_into_owned(self) -> Result<Owned<T>, (Shared<T>, bool)> {
        // SAFETY: we hold a share, so nobody replaces the source.
        let writable = unsafe { self.block.source() }.kind().writable;
        if !writable || !self.is_unique() {
            return Err((self, writable));
        }
        let (window, block) = self.into_parts();
        // SAFETY: ours was the only share and nobody can clone it, so the hold is exclusive; the memory is writable.
        Ok(unsafe { Owned::resume(window, block, None) })
    }

    pub(super) fn into_parts(self) -> (Window<T>, &'static Block) {
        let parts = (self.window, self.block);
        forget(self);
        parts
    }

    /// The same bytes as elements of another type.
    pub(crate) fn cast<U: Pod + Send>(self) -> Result<Shared<U>, (Shared<T>, Miscast)>
    where
        T: Pod,
    {
        match self.window.cast() {
            Ok(window) => {
                let (_, block) = self.into_parts();
                Ok(Shared { window, block, _elements: PhantomData })
            }
            Err(miscast) => Err((self, miscast)),
        }
    }

    /// One share in place of two, of which the second covers what follows the first. Costs one atomic subtraction.
    pub(crate) fn try_join(mut self, next: Shared<T>) -> Result<Shared<T>, (Shared<T>, Shared<T>)> {
        if !self.is_followed_by(next.block, next.window) {
            return Err((self, next));
        }
        // SAFETY: both are parts of the block's memory, and the second begins where the first ends.
        self.window = unsafe { self.window.joined(next.window) };
        Ok(self)
    }

    /// Whether the window lies in our block, behind ours. Of elements without a size nobody knows.
    pub(super) fn is_followed_by(&self, block: &'static Block, next: Window<T>) -> bool {
        size_of::<T>() != 0 && std::ptr::eq(self.block, block) && self.window.is_followed_by(next)
    }
}

impl<T> Shared<T> {
    pub(super) fn is_unique(&self) -> bool {
        // Acquire: pairs with the Release in `drop`: what former shares read comes before what we may write.
        self.block.shares.load(Ordering::Acquire) == 1
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: our share keeps the block, and nobody writes while there are shares.
        unsafe { self.window.as_slice() }
    }

    pub(crate) fn narrow(&mut self, range: impl RangeBounds<usize>) -> Result<(), OutOfRange> {
        self.window = self.window.narrow(range)?;
        Ok(())
    }

    pub(crate) fn shares(&self) -> usize {
        self.block.shares.load(Ordering::Relaxed)
    }
}

impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: a new share is made from an existing one, which keeps the block.
        let shares = self.block.shares.fetch_add(1, Ordering::Relaxed);
        if shares > isize::MAX as usize {
            // As `Arc`: so many can only have been forgotten.
            std::process::abort();
        }
        Shared { window: self.window, block: self.block, _elements: PhantomData }
    }
}

impl<T> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `is_unique`: our reads come before the release of the memory.
        if self.block.shares.fetch_sub(1, Ordering::Release) == 1 {
            // For its Acquire. A fence would do, but ThreadSanitizer does not know fences.
            self.is_unique();
            // SAFETY: ours was the last share, so the hold is exclusive and ends here.
            unsafe { release(self.block) };
        }
    }
}
