//! Pages of address space that belong to someone.

use std::alloc::Layout;
use std::io;
use std::mem::ManuallyDrop;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use super::system::{check, page_size};

/// A range of whole pages that nobody else knows, unmapped when it is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: a shared reference gives a pointer, and what is done with it is its user's affair.
unsafe impl Sync for Mapping {}

/// What may be done with the bytes of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    None,
    #[cfg(target_os = "linux")]
    Read,
    ReadWrite,
}

impl Access {
    fn protection(self) -> libc::c_int {
        match self {
            Access::None => libc::PROT_NONE,
            #[cfg(target_os = "linux")]
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

impl Mapping {
    /// Zeroed memory, wherever there is room. The size is rounded up to whole pages.
    pub(super) fn anonymous(size: usize, access: Access, flags: libc::c_int) -> io::Result<Mapping> {
        let size = whole_pages(size)?;
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: without a wish for an address it lies where nothing else is.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, access.protection(), flags, -1, 0) };
        Ok(Mapping { start: mapped(start)?, size })
    }

    /// As [`anonymous`](Self::anonymous), beginning at a multiple of the layout's alignment.
    pub(super) fn aligned(layout: Layout, access: Access) -> io::Result<Mapping> {
        let slack = layout.align().saturating_sub(page_size());
        let size = layout.size().checked_add(slack).ok_or(io::ErrorKind::OutOfMemory)?;
        let whole = Mapping::anonymous(size, access, 0)?;
        let skip = whole.start.align_offset(layout.align());
        let size = whole.size - slack;
        Ok(whole.cut(skip, size))
    }

    /// The part of `size` bytes from `skip` on; what is before and behind it goes back to the system.
    pub(super) fn cut(self, skip: usize, size: usize) -> Mapping {
        let page = page_size();
        assert!(skip.is_multiple_of(page) && size.is_multiple_of(page) && skip + size <= self.size);
        let rest = self.size - skip - size;
        let start = self.into_start();
        // SAFETY: within the mapping, as was just checked.
        let middle = unsafe { start.add(skip) };
        // SAFETY: likewise, or its end.
        let end = unsafe { middle.add(size) };
        // SAFETY: the first of three parts of what was one mapping of ours.
        drop(unsafe { Mapping::from_raw(start, skip) });
        // SAFETY: the last of them.
        drop(unsafe { Mapping::from_raw(end, rest) });
        // SAFETY: the one between.
        unsafe { Mapping::from_raw(middle, size) }
    }

    /// # Safety
    /// - The pages from `start` on, `size` bytes rounded up to whole pages, are mapped or none, and the caller's to unmap.
    /// - Nobody uses what is in them, except through the mapping.
    pub(super) unsafe fn from_raw(start: NonNull<u8>, size: usize) -> Mapping {
        Mapping { start, size: size.next_multiple_of(page_size()) }
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Leaves the pages mapped, for [`from_raw`](Self::from_raw) to take up again.
    pub(super) fn into_start(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }

    /// Makes `size` bytes from `skip` on readable and writable.
    pub(super) fn open(&mut self, skip: usize, size: usize) -> io::Result<()> {
        assert!(skip + size <= self.size);
        // SAFETY: within the mapping.
        let start = unsafe { self.start.add(skip) };
        // SAFETY: the pages are ours, and making them accessible takes nothing from anyone.
        check(unsafe { libc::mprotect(start.as_ptr().cast(), size, Access::ReadWrite.protection()) })
    }

    /// Gives the memory back to the system and keeps the addresses, where nothing can be accessed any more.
    pub(super) fn vacate(&mut self) -> io::Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        self.replace(Access::None, flags, -1)
    }

    /// Leaves a gap there in children that the process forks.
    #[cfg(target_os = "linux")]
    pub(super) fn keep_from_children(&self) -> io::Result<()> {
        // SAFETY: the pages are ours, and nothing about them changes in this process.
        check(unsafe { libc::madvise(self.start.as_ptr().cast(), self.size, libc::MADV_DONTFORK) })
    }

    /// Puts zeroed memory of the process's own in the place of what is there.
    #[cfg(target_os = "linux")]
    pub(super) fn replace_by_zeros(&mut self) -> io::Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        self.replace(Access::ReadWrite, flags, -1)
    }

    /// Puts the beginning of a file in the place of what is there. What is written reaches the file.
    #[cfg(target_os = "linux")]
    pub(super) fn replace_by_file(&mut self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.replace(Access::ReadWrite, libc::MAP_SHARED, file.as_raw_fd())
    }

    /// Puts the beginning of a file, to be read only, in the place of what is there.
    #[cfg(target_os = "linux")]
    pub(super) fn replace_by_read_only(&mut self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.replace(Access::Read, libc::MAP_PRIVATE, file.as_raw_fd())
    }

    fn replace(&mut self, access: Access, flags: libc::c_int, file: libc::c_int) -> io::Result<()> {
        let (start, flags) = (self.start.as_ptr().cast(), flags | libc::MAP_FIXED);
        // SAFETY: it replaces pages that are ours alone (`from_raw`) and nothing else.
        let start = unsafe { libc::mmap(start, self.size, access.protection(), flags, file, 0) };
        mapped(start).map(drop)
    }

    /// The first `size` bytes of a file, whole pages, twice: what is written to one image is in the other.
    #[cfg(all(target_os = "linux", not(miri)))]
    pub(super) fn mirrored(file: BorrowedFd<'_>, size: usize) -> io::Result<Mapping> {
        let both = size.checked_mul(2).ok_or(io::ErrorKind::OutOfMemory)?;
        let whole = Mapping::anonymous(both, Access::None, 0)?;
        assert!(size.is_multiple_of(page_size()), "the second image begins at a page");
        for image in [0, size] {
            // SAFETY: the mapping has room for two.
            let start = unsafe { whole.start.add(image) }.as_ptr().cast();
            let (protection, flags) = (Access::ReadWrite.protection(), libc::MAP_SHARED | libc::MAP_FIXED);
            // SAFETY: it replaces pages of the fresh mapping, which nobody uses yet, and nothing else.
            let start = unsafe { libc::mmap(start, size, protection, flags, file.as_raw_fd(), 0) };
            mapped(start)?;
        }
        Ok(whole)
    }

    /// A range of a file, to be read only. The offset is a multiple of the page size.
    #[cfg(target_os = "linux")]
    pub(super) fn read_only(file: BorrowedFd<'_>, offset: u64, size: usize) -> io::Result<Mapping> {
        let size = whole_pages(size)?;
        let offset = offset.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (Access::Read.protection(), libc::MAP_PRIVATE);
        // SAFETY: without a wish for an address it lies where nothing else is.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, file.as_raw_fd(), offset) };
        Ok(Mapping { start: mapped(start)?, size })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.size == 0 {
            return;
        }
        // It fails only where it would split a mapping and the process has as many as it may have: the pages leak.
        // SAFETY: the pages are ours, and nobody uses them any more (`from_raw`).
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// `size` rounded up to pages.
pub(super) fn whole_pages(size: usize) -> io::Result<usize> {
    size.checked_next_multiple_of(page_size()).ok_or(io::ErrorKind::OutOfMemory.into())
}

/// What `mmap` returned, or the error that it has left behind.
fn mapped(start: *mut libc::c_void) -> io::Result<NonNull<u8>> {
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory.into())
}
