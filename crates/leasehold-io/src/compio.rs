//! The traits of `compio-buf`.
#![expect(unsafe_code, reason = "the trait has an unsafe method, and a view that says less than we know")]

use std::mem::MaybeUninit;

use compio_buf::{IoBuf, IoBufMut, SetLen};

use crate::buffer::Buffer;
use crate::stable::{Stable, StableMut};

impl<B: Stable> IoBuf for Buffer<B> {
    fn as_init(&self) -> &[u8] {
        self.filled()
    }
}

impl<B: StableMut> SetLen for Buffer<B> {
    /// # Safety
    /// None of the trait's conditions is needed: all bytes are initialised, and a length that is too large panics.
    unsafe fn set_len(&mut self, len: usize) {
        self.set_filled(len);
    }
}

impl<B: StableMut> IoBufMut for Buffer<B> {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let bytes: *mut [u8] = self.bytes_mut();
        // SAFETY: the same bytes, borrowed for as long, as a type of the same layout. Who gets them writes initialised bytes:
        // the trait's users do with them what they do with those of its own implementation for `[u8]`.
        unsafe { &mut *(bytes as *mut [MaybeUninit<u8>]) }
    }
}
