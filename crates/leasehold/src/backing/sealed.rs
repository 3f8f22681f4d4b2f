//! Memory that can never change, in whatever process.

use std::alloc::Layout;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use bytemuck::Pod;

use super::mapping::Mapping;
use super::system::page_size;
use super::{SharedMemory, memfd};
use crate::{MemoryManager, SharedOwner};

/// Frozen shared memory: readable here and in every process that has its file, writable nowhere and never again.
///
/// Comes from freezing a buffer of a [`SharedMemory`] pool, or from [opening](Self::open) a file that another process has
/// sent. The kernel enforces that the contents stay (`F_SEAL_WRITE`, `F_SEAL_SHRINK`, `F_SEAL_GROW`), so reading them is safe
/// even when the sender is not to be trusted.
///
/// To send it, give the receiver the file descriptor, over a Unix socket or as an inherited one, together with
/// [`offset`](Self::offset) and the number of elements.
///
/// # Examples
/// The receiving side:
/// ```no_run
/// use std::os::fd::AsFd;
/// use leasehold::Sealed;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The parent has started us with the file as our standard input.
/// let file = std::io::stdin().as_fd().try_clone_to_owned()?;
/// let numbers = Sealed::<u32>::open(file, 1000)?;
/// println!("{}", numbers.iter().sum::<u32>());
/// let shared = numbers.into_shared(); // as any other buffer
/// # Ok(())
/// # }
/// ```
pub struct Sealed<T> {
    elements: NonNull<T>,
    len: usize,
    /// Bytes from the beginning of the file to the first element.
    offset: u64,
    file: OwnedFd,
    /// Keeps the elements mapped.
    _hold: Hold,
    _elements: PhantomData<T>,
}

// SAFETY: the memory is never written, so it moves as the elements do; what a frozen block holds is `Send`.
unsafe impl<T: Send> Send for Sealed<T> {}
// SAFETY: a shared reference gives the elements and the file; what a frozen block holds is only dropped.
unsafe impl<T: Sync> Sync for Sealed<T> {}

enum Hold {
    /// There are no elements.
    Nothing,
    Mapping {
        _mapping: Mapping,
    },
    Frozen {
        _frozen: Frozen,
    },
}

/// A block of a backing that is still out.
struct Frozen {
    backing: SharedMemory,
    memory: NonNull<u8>,
    layout: Layout,
    /// Who holds the block, and lets go of it when it is writable again.
    holder: Option<Box<dyn Send>>,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // SAFETY: frozen when this was made, and the elements go with it.
        let thawed = unsafe { self.backing.thaw_block(self.memory, self.layout) };
        if thawed.is_err() {
            // The holder would hand out memory that cannot be written: both are lost.
            mem::forget(self.holder.take());
        }
    }
}

impl<T: Pod> Sealed<T> {
    /// Maps the first `len` elements of a file that another process has sealed and sent.
    ///
    /// # Errors
    /// [`UnfitFile`] hands the file back: it is not sealed against every change, too short, or not in memory.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{Sealed, UnfitReason};
    ///
    /// let file = std::fs::File::open("Cargo.toml")?; // which anyone may edit
    /// let error = Sealed::<u8>::open(file.into(), 10).unwrap_err();
    /// assert!(matches!(error.reason, UnfitReason::NotSealed));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn open(file: OwnedFd, len: usize) -> Result<Sealed<T>, UnfitFile> {
        Sealed::open_at(file, 0, len)
    }

    /// As [`open`](Self::open), from `offset` bytes on, which must be a multiple of the elements' alignment.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at(file: OwnedFd, offset: u64, len: usize) -> Result<Sealed<T>, UnfitFile> {
        match map::<T>(file.as_fd(), offset, len) {
            Ok((elements, _hold)) => {
                Ok(Sealed { elements, len, offset, file, _hold, _elements: PhantomData })
            }
            Err(reason) => Err(UnfitFile { file, reason }),
        }
    }

    /// Freezes a block of `size` bytes and shows `len` elements from byte `offset` on; the rest is erased. When this is
    /// dropped the block is writable again, with zeros, and the holder is dropped.
    ///
    /// # Errors
    /// Hands the holder back, of a block that is as it was: it is not from this backing (`Unsupported`), or the operating
    /// system says why.
    ///
    /// # Safety
    /// - If `backing` gave a block of `size` bytes at `memory`, it is the holder's: nobody else uses it, and it is not
    ///   released before the holder is dropped.
    /// - The elements lie within those bytes, aligned.
    pub(crate) unsafe fn freeze<H: Send + 'static>(
        backing: &SharedMemory,
        memory: NonNull<u8>,
        size: usize,
        (offset, len): (usize, usize),
        holder: H,
    ) -> Result<Sealed<T>, (H, io::Error)> {
        let visible = offset..offset + len * size_of::<T>();
        // SAFETY: the caller's promise; thawed when the hold is dropped.
        let (file, layout) = match unsafe { backing.freeze_block(memory, size, visible) } {
            Ok(frozen) => frozen,
            Err(error) => return Err((holder, error)),
        };
        let frozen = Frozen { backing: backing.clone(), memory, layout, holder: Some(Box::new(holder)) };
        // SAFETY: within the block.
        let elements = unsafe { memory.add(offset) }.cast();
        let (offset, _hold) = (offset as u64, Hold::Frozen { _frozen: frozen });
        Ok(Sealed { elements, len, offset, file, _hold, _elements: PhantomData })
    }
}

impl<T> Sealed<T> {
    /// Bytes from the beginning of the file to the first element: what the receiver needs for [`open_at`](Self::open_at).
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl<T: Pod + Send> Sealed<T> {
    /// A buffer like any other that is only read. The file stays open until the last owner is dropped; to send it later, clone
    /// the descriptor before.
    #[track_caller]
    pub fn into_shared(self) -> SharedOwner<T> {
        SharedOwner::from_manager(self)
    }
}

impl<T> Deref for Sealed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: mapped as long as the hold, initialised, aligned, and sealed: nobody can write to it.
        unsafe { std::slice::from_raw_parts(self.elements.as_ptr(), self.len) }
    }
}

impl<T> AsFd for Sealed<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

// SAFETY: 1: `map` has seen that the file is long enough, or `freeze` was promised that the block is, and any bits are a `T`;
// 2: the seals; 3: mapped until dropped, and a sealed file cannot shrink; 4: no hooks.
unsafe impl<T: Pod + Send> MemoryManager<T> for Sealed<T> {
    fn memory(&mut self) -> NonNull<[T]> {
        NonNull::slice_from_raw_parts(self.elements, self.len)
    }
}

/// Says where the memory is and how long, never what is in it.
impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sealed { elements, len, offset, file, .. } = self;
        f.debug_struct("Sealed")
            .field("address", elements)
            .field("len", len)
            .field("offset", offset)
            .field("file", file)
            .finish_non_exhaustive()
    }
}

/// Maps `len` elements from `offset` on, if nobody can ever change them.
fn map<T: Pod>(file: BorrowedFd<'_>, offset: u64, len: usize) -> Result<(NonNull<T>, Hold), UnfitReason> {
    if !memfd::is_sealed(file) {
        return Err(UnfitReason::NotSealed);
    }
    if !memfd::is_in_memory(file)? {
        return Err(UnfitReason::NotInMemory);
    }
    if !offset.is_multiple_of(align_of::<T>() as u64) {
        return Err(UnfitReason::Misaligned);
    }
    let size = len.checked_mul(size_of::<T>()).ok_or(UnfitReason::TooShort)?;
    let end = offset.checked_add(size as u64).ok_or(UnfitReason::TooShort)?;
    let file_len = fs::File::from(file.try_clone_to_owned()?).metadata()?.len();
    if end > file_len {
        return Err(UnfitReason::TooShort);
    }
    if size == 0 {
        return Ok((NonNull::dangling(), Hold::Nothing));
    }
    // Mappings begin with a page.
    let skip = offset % page_size() as u64;
    let bytes = (size as u64 + skip).try_into().map_err(|_| UnfitReason::TooShort)?;
    let mapping = Mapping::read_only(file, offset - skip, bytes)?;
    // SAFETY: less than a page, and the mapping is longer by as much.
    let elements = unsafe { mapping.start().add(skip as usize) };
    Ok((elements.cast(), Hold::Mapping { _mapping: mapping }))
}

/// A file cannot be opened as sealed memory. Comes back with the reason.
///
/// # Examples
/// See [`Sealed::open`].
#[derive(Debug)]
pub struct UnfitFile {
    /// The file, as it was.
    pub file: OwnedFd,
    /// Why.
    pub reason: UnfitReason,
}

/// What keeps a file from being read as sealed memory.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnfitReason {
    /// Someone could still write to it, shorten it or lengthen it.
    NotSealed,
    /// It is no file in memory, or one on huge pages, which may be missing when they are touched.
    NotInMemory,
    /// It ends before the elements do.
    TooShort,
    /// The elements would not lie where their type wants them.
    Misaligned,
    /// What the operating system says.
    System(io::Error),
}

impl From<io::Error> for UnfitReason {
    fn from(error: io::Error) -> UnfitReason {
        UnfitReason::System(error)
    }
}

impl fmt::Display for UnfitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            UnfitReason::NotSealed => "the file is not sealed against every change",
            UnfitReason::NotInMemory => "the file is not made of ordinary pages in memory",
            UnfitReason::TooShort => "the file ends before the elements do",
            UnfitReason::Misaligned => "the elements would not be aligned",
            UnfitReason::System(_) => "the file cannot be mapped",
        })
    }
}

impl Error for UnfitFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            UnfitReason::System(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests;
