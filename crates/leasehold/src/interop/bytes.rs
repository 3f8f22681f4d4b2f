//! `Bytes` to and from owners, `Buf` for sequences, `BufMut` for writers.

use std::io::IoSlice;

use bytes::buf::UninitSlice;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::handle::MemoryHandle;
use crate::owner::MemoryOwner;
use crate::sequence::{Sequence, SequenceReader};
use crate::shared::SharedOwner;
use crate::writer::{Growth, MemoryWriter};

/// Copies nothing; the buffer goes back when the last `Bytes` of it is dropped. Costs one small allocation.
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use leasehold::MemoryPool;
///
/// let pool = MemoryPool::new();
/// let mut owner = pool.rent::<u8>(5);
/// owner.copy_from_slice(b"hello");
/// let bytes = Bytes::from(owner);
/// assert_eq!(bytes.slice(1..3), "el");
/// drop(bytes);
/// assert!(pool.outstanding().is_empty());
/// ```
impl From<MemoryOwner<u8>> for Bytes {
    fn from(owner: MemoryOwner<u8>) -> Bytes {
        Bytes::from_owner(owner)
    }
}

/// Copies nothing; the `Bytes` counts as one shared owner, however often it is cloned. Costs one small allocation.
impl From<SharedOwner<u8>> for Bytes {
    fn from(owner: SharedOwner<u8>) -> Bytes {
        Bytes::from_owner(owner)
    }
}

/// Copies nothing; the pin ends when the last `Bytes` of it is dropped. Until then the buffer does not go back, also when
/// the lease is revoked. Costs one small allocation.
impl From<MemoryHandle<u8>> for Bytes {
    fn from(pin: MemoryHandle<u8>) -> Bytes {
        Bytes::from_owner(pin)
    }
}

/// Copies nothing; the `Bytes` is dropped with the last shared owner. Costs one small allocation.
///
/// A [`Sequence`] takes `Bytes` as segments in the same way.
///
/// # Examples
/// ```
/// use bytes::Bytes;
/// use leasehold::{Sequence, SharedOwner};
///
/// let bytes = Bytes::from(vec![1, 2, 3]);
/// let owner = SharedOwner::from(bytes.clone());
/// assert_eq!(owner.as_ptr(), bytes.as_ptr());
///
/// let mut sequence = Sequence::from(owner);
/// sequence.push(bytes.slice(1..));
/// assert_eq!(sequence, [1, 2, 3, 2, 3][..]);
/// ```
impl From<Bytes> for SharedOwner<u8> {
    #[track_caller]
    fn from(bytes: Bytes) -> SharedOwner<u8> {
        SharedOwner::from_owner(bytes)
    }
}

/// Takes the bytes that are there as they are. Room behind them is neither seen nor lost: it goes with the buffer.
impl From<BytesMut> for MemoryOwner<u8> {
    #[track_caller]
    fn from(bytes: BytesMut) -> MemoryOwner<u8> {
        MemoryOwner::from_owner(bytes)
    }
}

/// A sequence as a `Buf`. Taking from the front lets go of the segments that are used up.
///
/// [`copy_to_bytes`](Buf::copy_to_bytes) copies only what lies in more than one segment. It is a type of its own because
/// `Buf` has a `reader` too, which would hide [`Sequence::reader`].
///
/// # Examples
/// ```
/// use bytes::Buf;
/// use leasehold::{Sequence, SequenceBuf};
///
/// let mut buf = SequenceBuf(Sequence::from_iter([vec![0, 0, 1], vec![2, 7, 8]]));
/// assert_eq!(buf.get_u32(), 0x102);
/// let address = buf.chunk().as_ptr();
/// assert_eq!(buf.copy_to_bytes(2).as_ptr(), address);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SequenceBuf(pub Sequence<u8>);

impl From<Sequence<u8>> for SequenceBuf {
    fn from(sequence: Sequence<u8>) -> SequenceBuf {
        SequenceBuf(sequence)
    }
}

impl Buf for SequenceBuf {
    fn remaining(&self) -> usize {
        self.0.len()
    }

    fn chunk(&self) -> &[u8] {
        self.0.first_segment()
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        fill(target, self.0.segments())
    }

    #[track_caller]
    fn advance(&mut self, len: usize) {
        self.0.advance(len);
    }

    #[track_caller]
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        to_bytes(&self.0.split_to(len))
    }
}

/// Leaves the sequence as it is. [`copy_to_bytes`](Buf::copy_to_bytes) copies only what lies in more than one segment.
///
/// # Examples
/// ```
/// use bytes::Buf;
///
/// let sequence = leasehold::Sequence::from_iter([vec![0, 0, 1], vec![2, 7]]);
/// let mut reader = sequence.reader();
/// assert_eq!((reader.get_u32(), reader.remaining_len()), (0x102, 1));
/// ```
impl Buf for SequenceReader<'_, u8> {
    fn remaining(&self) -> usize {
        self.remaining_len()
    }

    fn chunk(&self) -> &[u8] {
        self.unread()
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [IoSlice<'a>]) -> usize {
        fill(target, self.unread_segments())
    }

    #[track_caller]
    fn advance(&mut self, len: usize) {
        if let Err(error) = SequenceReader::advance(self, len) {
            panic!("{error}");
        }
    }

    #[track_caller]
    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        match self.read_sequence(len) {
            Ok(sequence) => to_bytes(&sequence),
            Err(error) => panic!("{error}"),
        }
    }
}

fn fill<'a>(target: &mut [IoSlice<'a>], segments: impl Iterator<Item = &'a [u8]>) -> usize {
    target.iter_mut().zip(segments).map(|(slice, segment)| *slice = IoSlice::new(segment)).count()
}

/// One segment as it is, several copied.
fn to_bytes(sequence: &Sequence<u8>) -> Bytes {
    let mut owners = sequence.owners();
    match (owners.next(), owners.next()) {
        (None, _) => Bytes::new(),
        (Some(only), None) => Bytes::from(only),
        _ => {
            let mut bytes = vec![0; sequence.len()];
            sequence.copy_to_slice(&mut bytes);
            bytes.into()
        }
    }
}

/// Writes into the blocks of the writer, which grows as it needs to.
///
/// As the trait has no errors, growth panics where [`try_reserve`](MemoryWriter::try_reserve) fails.
///
/// # Examples
/// ```
/// use bytes::BufMut;
/// use leasehold::{MemoryPool, MemoryWriter};
///
/// let mut writer = MemoryWriter::contiguous(MemoryPool::shared());
/// writer.put_u16(0x102);
/// writer.put(&b"body"[..]);
/// assert_eq!(writer.freeze(), b"\x01\x02body"[..]);
/// ```
// SAFETY: what `chunk_mut` shows is where `advance_mut` counts: the room behind what is written.
unsafe impl<L: Growth<u8>> BufMut for MemoryWriter<u8, L> {
    fn remaining_mut(&self) -> usize {
        isize::MAX as usize - self.len()
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        UninitSlice::new(self.reserve(1))
    }

    #[track_caller]
    unsafe fn advance_mut(&mut self, len: usize) {
        self.commit(len);
    }

    #[track_caller]
    fn put_slice(&mut self, slice: &[u8]) {
        self.push_slice(slice);
    }
}
