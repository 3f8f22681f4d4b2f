//! Writing into pooled blocks, as much as comes.

use std::fmt;
use std::io;
use std::panic::Location;

use bytemuck::Pod;

use crate::error::RentError;
use crate::owner::MemoryOwner;
use crate::pool::AnyPool;
use crate::raw::{Rest, Site};
use crate::sequence::Sequence;
use crate::shared::SharedOwner;

/// Elements in the first block of a contiguous writer, and in each block of a segmented one, in bytes.
const BLOCK_BYTES: usize = 4096;

/// A buffer that grows while it is written, over blocks of a pool, and is then frozen without being copied.
///
/// [`reserve`](Self::reserve) gives room to write into, [`commit`](Self::commit) says how much of it was used.
///
/// A **contiguous** writer keeps everything in one block. When that is full it rents one twice as large and copies: at most
/// two copies of each element, in the mean over the growth. Frozen, it is a [`SharedOwner`].
///
/// A **segmented** writer never moves what is written; it goes on in another block. Frozen, it is a [`Sequence`].
///
/// # A conversation in one buffer
/// `split` hands out what was written so far as a shared owner, and goes on writing behind it, *in the same block*. So a
/// text that grows, and of which others read the beginning already, stays one buffer: slices that follow each other
/// join again with [`SharedOwner::try_join`]. When all that was handed out has been dropped, the block is used again
/// from its beginning.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, MemoryWriter};
///
/// let mut writer = MemoryWriter::<u8>::contiguous(MemoryPool::shared());
/// let room = writer.reserve(100);
/// room[..5].copy_from_slice(b"hello");
/// writer.commit(5);
///
/// let hello = writer.split();
/// writer.push_slice(b" world");
/// let world = writer.split();
/// assert_eq!((&hello[..], &world[..]), (&b"hello"[..], &b" world"[..]));
/// assert_eq!(hello.try_join(world).unwrap(), b"hello world"[..]);
/// ```
#[doc(alias = "IBufferWriter")]
#[doc(alias = "ArrayBufferWriter")]
#[doc(alias = "BytesMut")]
pub struct MemoryWriter<T, L: Growth<T> = Contiguous> {
    pool: AnyPool,
    block: Option<Rest<T>>,
    /// Elements at the front of the block that are written, and not handed out.
    written: usize,
    /// Elements that a block has at least.
    block_len: usize,
    growth: L,
}

/// How a [`MemoryWriter`] grows: [`Contiguous`] or [`Segmented`].
pub trait Growth<T>: sealed::Growth<T> {}

/// One block, which is replaced by a larger one; see [`MemoryWriter`].
#[derive(Debug)]
pub struct Contiguous(());

/// One block after the other; see [`MemoryWriter`].
pub struct Segmented<T> {
    /// What is in blocks that are full.
    full: Sequence<T>,
}

impl<T: Pod + Send> MemoryWriter<T> {
    /// A writer of one slice. Rents nothing before something is written.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, MemoryWriter};
    ///
    /// let mut writer = MemoryWriter::contiguous(MemoryPool::shared());
    /// writer.extend(0..10_000u32);
    /// assert_eq!(writer.freeze()[9_999], 9_999);
    /// ```
    pub fn contiguous(pool: impl Into<AnyPool>) -> Self {
        MemoryWriter::new(pool.into(), Contiguous(()))
    }

    /// A writer of segments, each of which stays where it is. Rents nothing before something is written.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, MemoryWriter};
    ///
    /// let mut writer = MemoryWriter::segmented(MemoryPool::shared());
    /// writer.extend(0..10_000u32);
    /// let sequence = writer.freeze();
    /// assert_eq!((sequence.len(), sequence[9_999]), (10_000, 9_999));
    /// assert!(sequence.as_single().is_none());
    /// ```
    pub fn segmented(pool: impl Into<AnyPool>) -> MemoryWriter<T, Segmented<T>> {
        MemoryWriter::new(pool.into(), Segmented { full: Sequence::new() })
    }

    /// What was written and not handed out.
    pub fn written(&self) -> &[T] {
        self.block.as_ref().map_or(&[], |block| &block.as_slice()[..self.written])
    }

    /// As [`written`](Self::written), to be changed.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, MemoryWriter};
    ///
    /// let mut writer = MemoryWriter::contiguous(MemoryPool::shared());
    /// writer.push_slice(&[0u8; 2]); // a length that is not known yet
    /// writer.push_slice(b"body");
    /// let len = writer.len() as u16 - 2;
    /// writer.written_mut()[..2].copy_from_slice(&len.to_be_bytes());
    /// assert_eq!(writer.freeze(), b"\0\x04body"[..]);
    /// ```
    pub fn written_mut(&mut self) -> &mut [T] {
        let written = self.written;
        self.block.as_mut().map_or(&mut [], |block| &mut block.as_mut_slice()[..written])
    }

    /// Forgets all but the first `len` elements of what was written and not handed out.
    pub fn truncate(&mut self, len: usize) {
        self.written = self.written.min(len);
    }

    /// Hands out what was written, and goes on behind it in the same block. Copies nothing; costs one atomic addition.
    ///
    /// # Examples
    /// See [`MemoryWriter`].
    #[track_caller]
    pub fn split(&mut self) -> SharedOwner<T> {
        let written = std::mem::take(&mut self.written);
        match &mut self.block {
            Some(block) if written > 0 => SharedOwner(block.split_to(written)),
            _ => nothing(),
        }
    }

    /// Ends the writing and hands out what was written. Copies nothing.
    ///
    /// If nothing was handed out before, or all of it was dropped, the result can become a
    /// [`MemoryOwner`] with [`SharedOwner::try_into_owner`].
    #[track_caller]
    pub fn freeze(self) -> SharedOwner<T> {
        match self.block {
            Some(block) => SharedOwner(block.into_shared(self.written)),
            None => nothing(),
        }
    }
}

impl<T: Pod + Send> MemoryWriter<T, Segmented<T>> {
    /// Hands out what was written, and goes on behind it in the same block. Copies nothing.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, MemoryWriter};
    ///
    /// let mut writer = MemoryWriter::segmented(MemoryPool::shared());
    /// writer.push_slice(b"to be ");
    /// let mut first = writer.split();
    /// writer.push_slice(b"or not");
    /// first.append(writer.split());
    /// assert_eq!(first.as_single(), Some(&b"to be or not"[..]));
    /// ```
    pub fn split(&mut self) -> Sequence<T> {
        let mut sequence = std::mem::take(&mut self.growth.full);
        let written = std::mem::take(&mut self.written);
        if let Some(block) = self.block.as_mut().filter(|_| written > 0) {
            sequence.push(SharedOwner(block.split_to(written)));
        }
        sequence
    }

    /// Ends the writing and hands out what was written. Copies nothing.
    pub fn freeze(self) -> Sequence<T> {
        let mut sequence = self.growth.full;
        if let Some(block) = self.block {
            sequence.push(SharedOwner(block.into_shared(self.written)));
        }
        sequence
    }
}

impl<T: Pod + Send, L: Growth<T>> MemoryWriter<T, L> {
    fn new(pool: AnyPool, growth: L) -> Self {
        let block_len = (BLOCK_BYTES / size_of::<T>().max(1)).max(1);
        MemoryWriter { pool, block: None, written: 0, block_len, growth }
    }

    /// Sets how many elements a block has at least, from the next one on. 4 KiB unless it is called.
    #[must_use]
    pub fn block_len(mut self, elements: usize) -> Self {
        self.block_len = elements.max(1);
        self
    }

    /// Elements that were written and not handed out.
    pub fn len(&self) -> usize {
        self.growth.full_len() + self.written
    }

    /// Whether nothing was written since something was handed out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Room for `len` elements, or more: at least one. They are initialised, with what a former tenant left.
    ///
    /// What is written there counts once it is [committed](Self::commit). Whatever else is called in between, it may be lost.
    ///
    /// # Panics
    /// When the pool's memory is not to be had; see [`try_reserve`](Self::try_reserve).
    ///
    /// # Examples
    /// See [`MemoryWriter`].
    #[doc(alias = "GetSpan")]
    #[track_caller]
    pub fn reserve(&mut self, len: usize) -> &mut [T] {
        self.reserve_or_panic(len, Location::caller())
    }

    /// As [`reserve`](Self::reserve), with an error in place of the panic.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had. The writer is as it was.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, MemoryWriter, RentError};
    ///
    /// let pool = MemoryPool::builder().build_bounded(4096);
    /// let mut writer = MemoryWriter::<u8>::contiguous(&pool);
    /// writer.push_slice(b"to be");
    /// assert!(matches!(writer.try_reserve(5000), Err(RentError::OverBudget { .. })));
    /// assert_eq!(writer.written(), b"to be");
    /// ```
    #[track_caller]
    pub fn try_reserve(&mut self, len: usize) -> Result<&mut [T], RentError> {
        self.reserve_at(len, Location::caller())
    }

    /// Makes the first `len` elements of what was reserved part of what is written.
    ///
    /// # Panics
    /// When there is not that much room.
    ///
    /// # Examples
    /// See [`MemoryWriter`].
    #[doc(alias = "Advance")]
    #[track_caller]
    pub fn commit(&mut self, len: usize) {
        let room = self.room();
        assert!(len <= room, "{len} elements committed where there was room for {room}");
        self.written += len;
    }

    /// Appends a copy of a slice.
    ///
    /// # Panics
    /// As [`reserve`](Self::reserve).
    #[track_caller]
    pub fn push_slice(&mut self, slice: &[T]) {
        self.push_slice_at(slice, Location::caller());
    }

    /// Elements that can be written before the writer needs another block.
    pub fn room(&self) -> usize {
        self.block.as_ref().map_or(0, |block| block.len() - self.written)
    }

    fn push_slice_at(&mut self, slice: &[T], site: Site) {
        if !slice.is_empty() {
            self.reserve_or_panic(slice.len(), site)[..slice.len()].copy_from_slice(slice);
            self.written += slice.len();
        }
    }

    fn reserve_or_panic(&mut self, len: usize, site: Site) -> &mut [T] {
        match self.reserve_at(len, site) {
            Ok(room) => room,
            Err(error) => panic!("{error} (for a writer at {site})"),
        }
    }

    fn reserve_at(&mut self, len: usize, site: Site) -> Result<&mut [T], RentError> {
        if self.room() < len.max(1) {
            L::grow(self, len.max(1), site)?;
        }
        let written = self.written;
        Ok(self.block.as_mut().map_or(&mut [], |block| &mut block.as_mut_slice()[written..]))
    }

    /// Takes back what was handed out of the block and dropped since. Moves what is written to the front; not
    /// if that is more than what it makes room for.
    fn reclaim(&mut self) {
        let Some(block) = &mut self.block else { return };
        let before = block.whole_len() - block.len();
        if before > 0 && before >= self.written && block.reclaim() {
            block.as_mut_slice().copy_within(before..before + self.written, 0);
        }
    }
}

impl<T> sealed::Growth<T> for Contiguous {
    fn full_len(&self) -> usize {
        0
    }

    #[cold]
    fn grow(writer: &mut MemoryWriter<T>, len: usize, site: Site) -> Result<(), RentError>
    where
        T: Pod + Send,
    {
        writer.reclaim();
        if writer.room() >= len {
            return Ok(());
        }
        let written = writer.written();
        // As large again as what it takes, so that growing by one element at a time copies each no more than twice.
        let too_large = RentError::TooLarge { len, element_size: size_of::<T>() };
        let needed = written.len().checked_add(len).ok_or(too_large)?;
        let larger = needed.max(written.len().saturating_mul(2)).max(writer.block_len);
        let mut larger: MemoryOwner<T> = writer.pool.try_rent_at(larger, site)?;
        larger[..written.len()].copy_from_slice(written);
        writer.block = Some(Rest::new(larger.0));
        Ok(())
    }
}

impl<T: Pod + Send> sealed::Growth<T> for Segmented<T> {
    fn full_len(&self) -> usize {
        self.full.len()
    }

    #[cold]
    fn grow(writer: &mut MemoryWriter<T, Segmented<T>>, len: usize, site: Site) -> Result<(), RentError> {
        if writer.written == 0 {
            writer.reclaim();
            if writer.room() >= len {
                return Ok(());
            }
        }
        let next: MemoryOwner<T> = writer.pool.try_rent_at(len.max(writer.block_len), site)?;
        let full = writer.block.replace(Rest::new(next.0));
        let written = std::mem::take(&mut writer.written);
        if let Some(full) = full.filter(|_| written > 0) {
            writer.growth.full.push(SharedOwner(full.into_shared(written)));
        }
        Ok(())
    }
}

impl<T> Growth<T> for Contiguous {}

impl<T: Pod + Send> Growth<T> for Segmented<T> {}

/// A shared owner of no elements.
#[track_caller]
fn nothing<T: Pod + Send>() -> SharedOwner<T> {
    SharedOwner::from(Vec::new())
}

impl<T: Pod + Send, L: Growth<T>> Extend<T> for MemoryWriter<T, L> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        let (elements, site) = (elements.into_iter(), Location::caller());
        let mut elements = elements.peekable();
        while elements.peek().is_some() {
            let least = elements.size_hint().0.clamp(1, self.block_len);
            let room = self.reserve_or_panic(least, site);
            let written = room.iter_mut().zip(&mut elements).map(|(slot, element)| *slot = element).count();
            self.written += written;
        }
    }
}

impl<'a, T: Pod + Send, L: Growth<T>> Extend<&'a T> for MemoryWriter<T, L> {
    #[track_caller]
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, elements: I) {
        self.extend(elements.into_iter().copied());
    }
}

/// Takes all that is given. Fails as [`MemoryWriter::try_reserve`] does, as out of memory.
impl<L: Growth<u8>> io::Write for MemoryWriter<u8, L> {
    #[track_caller]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let site = Location::caller();
        if !bytes.is_empty() {
            let room = self.reserve_at(bytes.len(), site);
            let room = room.map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
            room[..bytes.len()].copy_from_slice(bytes);
            self.written += bytes.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says how much was written, never what.
impl<T: Pod + Send, L: Growth<T>> fmt::Debug for MemoryWriter<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWriter").field("len", &self.len()).field("room", &self.room()).finish()
    }
}

/// Says how much is in blocks that are full, never what.
impl<T> fmt::Debug for Segmented<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segmented").field("full", &self.full).finish()
    }
}

mod sealed {
    use bytemuck::Pod;

    use super::MemoryWriter;
    use crate::error::RentError;
    use crate::raw::Site;

    pub trait Growth<T>: Sized {
        /// Elements in blocks that are full.
        fn full_len(&self) -> usize;

        /// Makes room for `len` elements more.
        fn grow(writer: &mut MemoryWriter<T, Self>, len: usize, site: Site) -> Result<(), RentError>
        where
            Self: super::Growth<T>,
            T: Pod + Send;
    }
}
