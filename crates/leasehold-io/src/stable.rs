//! Memory that may be given to the kernel.

use leasehold::{MemoryHandle, MemoryHandleMut, MemoryOwner, Sequence, SharedOwner};

/// Bytes that stay where they are and readable for as long as their holder lives, wherever that moves.
///
/// An owner, a shared owner, and a pin. A bare lease is none: it can be revoked while the kernel reads.
/// The trait is sealed, since unsafe code relies on it.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
/// use leasehold_io::Stable;
///
/// fn address(memory: &impl Stable) -> *const u8 {
///     memory.bytes().as_ptr()
/// }
/// let owner = MemoryOwner::from(b"hello".to_vec());
/// let before = address(&owner);
/// assert_eq!(address(&Box::new(owner).into_shared()), before);
/// ```
pub trait Stable: sealed::Sealed + Send + Unpin + 'static {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The ring that has registered these bytes, and under which number.
    #[doc(hidden)]
    fn registration(&self) -> Option<(u64, u16)> {
        None
    }
}

/// [`Stable`] bytes that nobody else reads or writes.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
/// use leasehold_io::StableMut;
///
/// let (_lessor, memory) = MemoryOwner::from(vec![0; 4]).lease();
/// let mut pinned = memory.pin().unwrap();
/// pinned.bytes_mut().fill(1);
/// ```
pub trait StableMut: Stable {
    /// The bytes.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Several pieces of [`Stable`] bytes, to be written one after the other: a sequence, or a vector of stable memory.
///
/// # Examples
/// ```
/// use leasehold::{MemoryOwner, Sequence};
/// use leasehold_io::StableSegments;
///
/// fn count(pieces: &impl StableSegments) -> usize {
///     pieces.segments().count()
/// }
/// assert_eq!(count(&Sequence::from_iter([b"to".to_vec(), b" be".to_vec()])), 2);
/// assert_eq!(count(&vec![MemoryOwner::from(b"or not".to_vec())]), 1);
/// ```
pub trait StableSegments: sealed::Sealed + Send + Unpin + 'static {
    /// The pieces, in order.
    fn segments(&self) -> impl Iterator<Item = &[u8]>;
}

/// It owns its segments, and while it is not changed they are what it shows.
impl StableSegments for Sequence<u8> {
    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        Sequence::segments(self)
    }
}

impl<B: Stable> StableSegments for Vec<B> {
    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(B::bytes)
    }
}

impl Stable for MemoryOwner<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl StableMut for MemoryOwner<u8> {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Stable for SharedOwner<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Stable for MemoryHandle<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Stable for MemoryHandleMut<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl StableMut for MemoryHandleMut<u8> {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

pub(crate) mod sealed {
    use leasehold::{MemoryHandle, MemoryHandleMut, MemoryOwner, Sequence, SharedOwner};

    pub trait Sealed {}

    impl Sealed for MemoryOwner<u8> {}
    impl Sealed for SharedOwner<u8> {}
    impl Sealed for MemoryHandle<u8> {}
    impl Sealed for MemoryHandleMut<u8> {}
    impl Sealed for Sequence<u8> {}
    impl<B: super::Stable> Sealed for Vec<B> {}
}
