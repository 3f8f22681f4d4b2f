//! Memory from an allocator that is not the program's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::marker::PhantomData;
use std::ptr::NonNull;

use mimalloc::MiMalloc;
use tikv_jemallocator::Jemalloc;

/// An allocator without a state of its own.
pub trait Stateless: GlobalAlloc {
    const ALLOCATOR: Self;
}

impl Stateless for System {
    const ALLOCATOR: Self = System;
}

impl Stateless for MiMalloc {
    const ALLOCATOR: Self = MiMalloc;
}

impl Stateless for Jemalloc {
    const ALLOCATOR: Self = Jemalloc;
}

/// Bytes straight from `A`.
pub struct Bytes<A: Stateless> {
    ptr: NonNull<u8>,
    layout: Layout,
    _allocator: PhantomData<A>,
}

// SAFETY: the memory is nobody else's, and an allocator takes it back in any thread.
#[expect(unsafe_code, reason = "an allocator that is not the global one is called by hand")]
unsafe impl<A: Stateless> Send for Bytes<A> {}

impl<A: Stateless> Bytes<A> {
    /// `len` bytes that nobody has written yet.
    ///
    /// # Panics
    /// When `len` is zero, or there is no memory.
    #[inline(always)]
    #[expect(unsafe_code, reason = "an allocator that is not the global one is called by hand")]
    pub fn new(len: usize) -> Bytes<A> {
        let layout = Layout::array::<u8>(len).ok().filter(|layout| layout.size() > 0);
        let layout = layout.expect("the sizes of a bench are small, and not zero");
        // SAFETY: the size is not zero.
        let ptr = unsafe { A::ALLOCATOR.alloc(layout) };
        Bytes { ptr: NonNull::new(ptr).expect("there is memory"), layout, _allocator: PhantomData }
    }

    #[inline(always)]
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}

impl<A: Stateless> Drop for Bytes<A> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "an allocator that is not the global one is called by hand")]
    fn drop(&mut self) {
        // SAFETY: it came from there with this layout.
        unsafe { A::ALLOCATOR.dealloc(self.ptr.as_ptr(), self.layout) };
    }
}
