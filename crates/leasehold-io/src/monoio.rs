//! The buffer traits of `monoio`.
#![expect(unsafe_code, reason = "the traits are unsafe to implement")]

use monoio::buf::{IoBuf, IoBufMut};

use crate::buffer::Buffer;
use crate::stable::{Stable, StableMut};

// SAFETY: the filled bytes are initialised, and `Stable` keeps them at their address wherever the buffer moves.
unsafe impl<B: Stable> IoBuf for Buffer<B> {
    fn read_ptr(&self) -> *const u8 {
        self.filled().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.filled().len()
    }
}

// SAFETY: as above, and `StableMut` lets nobody else at them.
unsafe impl<B: StableMut> IoBufMut for Buffer<B> {
    fn write_ptr(&mut self) -> *mut u8 {
        self.bytes_mut().as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.capacity()
    }

    /// # Safety
    /// None of the trait's conditions is needed: all bytes are initialised, and a position that is too large panics.
    unsafe fn set_init(&mut self, pos: usize) {
        self.set_filled(pos);
    }
}
