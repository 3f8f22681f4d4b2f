//! The traits of `compio-buf`.
#![expect(
    unsafe_code,
    reason = "a trait has an unsafe method, and another lends initialised bytes as if they were not"
)]

use std::fmt;
use std::mem::MaybeUninit;

use compio_buf::{IoBuf, IoBufMut, SetLen};

use crate::buffer::Buffer;
use crate::stable::{Stable, StableMut};

impl<B: Stable> IoBuf for Buffer<B> {
    fn as_init(&self) -> &[u8] {
        self.filled()
    }
}

/// A [`Buffer`] that a runtime of compio's reads into.
///
/// The trait for that, `IoBufMut`, lends all bytes as `MaybeUninit` to whoever asks, in safe code. Written through that
/// loan, an uninitialised byte would lie in memory that safe code goes on to read: in the filled part, or in the owner that
/// comes back. Nobody can tell afterwards. So a buffer gets the trait only when somebody [answers](Buffer::into_room) for
/// those who read into it. It costs nothing: no byte is cleared and none is copied.
///
/// ```compile_fail
/// use compio_buf::IoBufMut;
/// use leasehold::MemoryOwner;
/// use leasehold_io::Buffer;
///
/// let mut buffer = Buffer::empty(MemoryOwner::from(vec![1u8; 4]));
/// buffer.as_uninit()[0] = std::mem::MaybeUninit::uninit(); // a buffer does not have this
/// ```
///
/// # Examples
/// ```
/// use compio_buf::{IoBuf, IoBufMut};
/// use leasehold::MemoryPool;
/// use leasehold_io::Buffer;
///
/// // SAFETY: only `extend_from_slice` writes through it, and that writes the bytes of the slice.
/// let mut room = unsafe { Buffer::empty(MemoryPool::shared().rent::<u8>(4096)).into_room() };
/// room.extend_from_slice(b"hello")?; // as a runtime does, or the kernel for it
/// assert_eq!(room.as_init(), b"hello");
/// let (owner, filled) = room.into_buffer().into_parts();
/// assert_eq!(&owner[..filled], b"hello");
/// # Ok::<_, compio_buf::ReserveError>(())
/// ```
pub struct Room<B>(Buffer<B>);

impl<B: StableMut> Buffer<B> {
    /// The buffer for a runtime of compio's to read into.
    ///
    /// # Safety
    /// Who is lent the bytes by [`as_uninit`](IoBufMut::as_uninit), until [`Room::into_buffer`] or the drop of the room,
    /// writes initialised bytes only. Compio's own files and sockets do: they give the bytes to the kernel. A type with an
    /// `AsyncRead` of its own has to be looked at.
    ///
    /// # Examples
    /// See [`Room`].
    pub unsafe fn into_room(self) -> Room<B> {
        Room(self)
    }
}

impl<B> Room<B> {
    /// The buffer, with what was filled.
    pub fn into_buffer(self) -> Buffer<B> {
        self.0
    }
}

impl<B: Stable> IoBuf for Room<B> {
    fn as_init(&self) -> &[u8] {
        self.0.filled()
    }
}

impl<B: StableMut> SetLen for Room<B> {
    /// # Safety
    /// None of the trait's conditions is needed: all bytes are initialised, and a length that is too large panics.
    unsafe fn set_len(&mut self, len: usize) {
        self.0.set_filled(len);
    }
}

impl<B: StableMut> IoBufMut for Room<B> {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let bytes: *mut [u8] = self.0.bytes_mut();
        // SAFETY: the same bytes, borrowed for as long, as a type of the same layout. That they stay initialised was promised
        // where the room was made.
        unsafe { &mut *(bytes as *mut [MaybeUninit<u8>]) }
    }
}

/// Says where the memory is and how much is filled, never what is in it.
impl<B: Stable> fmt::Debug for Room<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Room").field(&self.0).finish()
    }
}
