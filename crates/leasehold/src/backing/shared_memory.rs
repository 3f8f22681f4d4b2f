//! Memory that other processes can be given.

use std::alloc::{Layout, handle_alloc_error};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mapping::{Access, Mapping};
use super::system::page_size;
use super::{Backing, BackingError, check, memfd};

/// Anonymous files in memory (`memfd`), one for each block, which can be frozen and handed to another process without a
/// copy. Linux only.
///
/// While a block is in the pool nobody else can reach its file. Freezing makes it read-only for ever, which the
/// kernel guarantees by seals, and gives the file descriptor: see [`Sealed`](crate::Sealed).
///
/// Clones are one backing: one goes into the pool, another stays behind to freeze with. Each block takes a file
/// descriptor (`ulimit -n`) and a mapping, so this is for pools of large blocks. A child that the process forks does
/// not have the memory: pages that two pools took for their own would be shared by both.
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::{Backing, SharedMemory};
///
/// let shared = SharedMemory::new();
/// let layout = Layout::from_size_align(shared.granularity(), 64)?;
/// let memory = shared.allocate(layout)?;
/// // SAFETY: it came from there, with this layout, and nobody uses it.
/// unsafe { shared.release(memory, layout) };
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "memfd")]
#[derive(Clone, Default)]
pub struct SharedMemory {
    blocks: Arc<Mutex<Blocks>>,
}

/// The files of the blocks that are out and not frozen, by address.
type Blocks = HashMap<usize, (OwnedFd, Layout)>;

impl SharedMemory {
    /// A backing of its own.
    pub fn new() -> SharedMemory {
        SharedMemory::default()
    }

    /// Makes a block read-only for ever, here and wherever its file gets to. What is in it outside of `visible` is zero from
    /// now on, since it may be another tenant's.
    ///
    /// # Errors
    /// What the operating system says. The block is as it was, except for what is not visible.
    ///
    /// Refuses a block that this backing has not given, or not in this size.
    ///
    /// # Safety
    /// - If this backing gave a block of `size` bytes at `memory`, the caller holds it.
    /// - Until it is [thawed](Self::thaw_block) it is not released or written, and while this call lasts not read.
    pub(super) unsafe fn freeze_block(
        &self,
        memory: NonNull<u8>,
        size: usize,
        visible: Range<usize>,
    ) -> io::Result<(OwnedFd, Layout)> {
        let (file, layout) = self.take(memory, size).ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: the caller's promise: the block is ours until the end of this call.
        let mut mapping = ManuallyDrop::new(unsafe { Mapping::from_raw(memory, size) });
        match make_read_only(&mut mapping, file.as_fd(), visible) {
            Ok(()) => Ok((file, layout)),
            Err(error) => {
                // The contents are in the file, whatever has become of the mapping.
                share(&mut mapping, file.as_fd()).unwrap_or_else(|_| handle_alloc_error(layout));
                self.blocks().insert(address(memory), (file, layout));
                Err(error)
            }
        }
    }

    /// Puts zeroed, writable memory in the place of a frozen block. Those who have its file keep what is in it.
    ///
    /// When there is no file to be had it is memory that cannot be frozen again.
    ///
    /// # Errors
    /// What the operating system says. The block must never be used again.
    ///
    /// # Safety
    /// - `memory` was [frozen](Self::freeze_block), which gave this `layout`, and not thawed since.
    /// - Nobody reads it any more.
    pub(super) unsafe fn thaw_block(&self, memory: NonNull<u8>, layout: Layout) -> io::Result<()> {
        // SAFETY: the caller's promise: the block is ours until the end of this call.
        let mut mapping = ManuallyDrop::new(unsafe { Mapping::from_raw(memory, layout.size()) });
        let shared = memfd::create(layout.size()).and_then(|file| {
            share(&mut mapping, file.as_fd())?;
            Ok(file)
        });
        match shared {
            Ok(file) => drop(self.blocks().insert(address(memory), (file, layout))),
            Err(_) => mapping.replace_by_zeros()?,
        }
        Ok(())
    }

    /// The file of a block of this size.
    fn take(&self, memory: NonNull<u8>, size: usize) -> Option<(OwnedFd, Layout)> {
        match self.blocks().entry(address(memory)) {
            Entry::Occupied(block) if block.get().1.size() == size => Some(block.remove()),
            _ => None,
        }
    }

    fn map(&self, layout: Layout) -> io::Result<NonNull<u8>> {
        let file = memfd::create(layout.size())?;
        let mut mapping = Mapping::aligned(layout, Access::None)?;
        share(&mut mapping, file.as_fd())?;
        self.blocks().insert(address(mapping.start()), (file, layout));
        Ok(mapping.into_start())
    }

    #[cfg(all(test, not(miri)))]
    pub(super) fn file(&self, memory: NonNull<u8>) -> Option<OwnedFd> {
        self.blocks().get(&address(memory)).map(|(file, _)| file.try_clone().expect("a descriptor is left"))
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: 1: a new file is zero as far as it goes; 2: `Mapping::aligned`; 3: the file and the mapping are fresh, and the
// file is given away by `freeze_block` only; 4: it changes by `freeze_block` and `thaw_block` only, whose callers hold
// the block; 5: the system takes calls from any thread, and the list of files is locked; 6: `check`.
unsafe impl Backing for SharedMemory {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        check(layout, self.granularity())?;
        self.map(layout).map_err(|error| BackingError::mapping(layout.size(), error))
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        // First: when it is unmapped another block may come to lie there.
        let file = self.blocks().remove(&address(memory));
        // SAFETY: the caller's promise: mapped above, and nobody uses it.
        drop(unsafe { Mapping::from_raw(memory, layout.size()) });
        drop(file);
    }

    fn granularity(&self) -> usize {
        page_size()
    }

    fn name(&self) -> &'static str {
        "shared memory"
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").field("blocks", &self.blocks().len()).finish()
    }
}

fn address(memory: NonNull<u8>) -> usize {
    memory.addr().get()
}

/// Maps the file there, for reading and writing.
fn share(mapping: &mut Mapping, file: BorrowedFd<'_>) -> io::Result<()> {
    mapping.replace_by_file(file)?;
    // A mapping that a forked child inherits would let it write here, and keep the file from being sealed.
    mapping.keep_from_children()
}

/// Maps the file there, for reading, and sees to it that nobody can write to it any more.
fn make_read_only(mapping: &mut Mapping, file: BorrowedFd<'_>, visible: Range<usize>) -> io::Result<()> {
    memfd::erase(file, 0..visible.start)?;
    memfd::erase(file, visible.end..mapping.size())?;
    // The kernel does not seal a file that someone has mapped for writing.
    mapping.replace_by_read_only(file)?;
    memfd::seal(file)
}
