//! Pages of address space that belong to someone.

use std::alloc::Layout;
use std::io;
use std::ptr::{self, NonNull};

use super::system::page_size;

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

impl Mapping {
    /// Zeroed memory, wherever there is room. The size is rounded up to whole pages.
    pub(super) fn anonymous(size: usize, flags: libc::c_int) -> io::Result<Mapping> {
        let size = size.checked_next_multiple_of(page_size()).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: without a wish for an address it lies where nothing else is.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, ACCESS, flags, -1, 0) };
        mapped(start)?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, size })
    }

    /// As [`anonymous`](Self::anonymous), beginning at a multiple of the layout's alignment.
    pub(super) fn aligned(layout: Layout) -> io::Result<Mapping> {
        let slack = layout.align().saturating_sub(page_size());
        let size = layout.size().checked_add(slack).ok_or(io::ErrorKind::OutOfMemory)?;
        let whole = Mapping::anonymous(size, 0)?;
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
    /// The pages from `start` on, `size` bytes rounded up to whole pages, are mapped or have no bytes, and are the caller's to
    /// unmap.
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
        std::mem::ManuallyDrop::new(self).start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.size == 0 {
            return;
        }
        // It fails only where it would split a mapping and the process has as many as it may have: the pages leak.
        // SAFETY: the pages are ours (`from_raw`), and whoever had a pointer into them is done.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size) };
    }
}

/// The error that `mmap` has left behind, if what it returned says so.
fn mapped(start: *mut libc::c_void) -> io::Result<()> {
    if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Protection of memory to work in.
const ACCESS: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
