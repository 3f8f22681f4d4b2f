//! Values of any type that lend a slice.

use std::ptr::NonNull;

use super::{MemoryManager, MemoryManagerMut};

/// Lends what a value shows of itself.
pub struct Foreign<O>(pub O);

// SAFETY: the manager is at its final address when it is asked, and nobody touches it before it is dropped, so its slice
// can be seen as borrowed until then: 1, 2, 3: a slice holds its elements, in place and unwritten, while it is borrowed;
// 4: no hooks.
unsafe impl<T: Send + 'static, O: AsRef<[T]> + Send + 'static> MemoryManager<T> for Foreign<O> {
    fn memory(&mut self) -> NonNull<[T]> {
        NonNull::from(self.0.as_ref())
    }
}

/// Lends what a value shows of itself for writing.
pub struct ForeignMut<O>(pub O);

// SAFETY: as for `Foreign`; the slice can be seen as borrowed exclusively until the manager is dropped.
unsafe impl<T: Send + 'static, O: AsMut<[T]> + Send + 'static> MemoryManager<T> for ForeignMut<O> {
    fn memory(&mut self) -> NonNull<[T]> {
        NonNull::from(self.0.as_mut())
    }
}

// SAFETY: 5, 6: the slice can be seen as borrowed exclusively.
unsafe impl<T: Send + 'static, O: AsMut<[T]> + Send + 'static> MemoryManagerMut<T> for ForeignMut<O> {}
