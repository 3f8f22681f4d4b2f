//! What runtimes that complete take.

use std::fmt;

use crate::stable::{Stable, StableMut};

/// Memory and how much of it is filled: what the buffer traits of completion-based runtimes want to know.
///
/// With the features `compio-buf` and `monoio` it has the traits of those crates: `IoBuf`, over the filled part, for every
/// [`Stable`] memory, and `monoio`'s `IoBufMut`, over all of it, for every [`StableMut`]; that of `compio-buf` is had by what
/// `into_room` makes of it, since it needs a promise. Such a runtime takes the buffer for the time of an operation and gives
/// it back with the result.
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
/// use leasehold_io::Buffer;
///
/// let mut buffer = Buffer::empty(MemoryPool::shared().rent::<u8>(4096)); // to read into
/// assert_eq!((buffer.filled().len(), buffer.capacity()), (0, 4096));
/// buffer.set_filled(10); // as a runtime does when ten bytes have come
/// let (mut owner, filled) = buffer.into_parts();
/// owner.truncate(filled);
///
/// let buffer = Buffer::full(owner); // to write from
/// assert_eq!(buffer.filled().len(), 10);
/// ```
pub struct Buffer<B> {
    memory: B,
    filled: usize,
}

impl<B: Stable> Buffer<B> {
    /// Memory to read into, of which nothing is filled.
    pub fn empty(memory: B) -> Buffer<B> {
        Buffer { memory, filled: 0 }
    }

    /// Memory to write from, all of which is filled.
    pub fn full(memory: B) -> Buffer<B> {
        Buffer { filled: memory.bytes().len(), memory }
    }

    /// The filled bytes: the first ones.
    pub fn filled(&self) -> &[u8] {
        let (filled, _) = self.memory.bytes().split_at(self.filled);
        filled
    }

    /// All bytes that there is room for.
    pub fn capacity(&self) -> usize {
        self.memory.bytes().len()
    }

    /// Says how many of the bytes are filled. All bytes of the memory are initialised, so this only moves the border.
    ///
    /// # Panics
    /// When there are not that many.
    #[track_caller]
    pub fn set_filled(&mut self, len: usize) {
        let capacity = self.capacity();
        assert!(len <= capacity, "{len} bytes cannot be filled in a buffer of {capacity}");
        self.filled = len;
    }

    /// The memory, and how much of it is filled.
    pub fn into_parts(self) -> (B, usize) {
        (self.memory, self.filled)
    }
}

impl<B: StableMut> Buffer<B> {
    /// All bytes, the filled ones first.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }
}

/// Says where the memory is and how much is filled, never what is in it.
impl<B: Stable> fmt::Debug for Buffer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("address", &self.memory.bytes().as_ptr())
            .field("filled", &self.filled)
            .field("capacity", &self.capacity())
            .finish()
    }
}
