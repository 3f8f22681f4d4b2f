//! What the operating system says about its pages.

use std::io;
use std::ptr::NonNull;

/// Bytes in a page, a power of two.
pub(crate) fn page_size() -> usize {
    // SAFETY: reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("every Unix knows the size of its pages")
}

/// Keeps the pages of a range in RAM.
///
/// # Errors
/// What the operating system says.
pub(crate) fn lock(memory: NonNull<u8>, size: usize) -> io::Result<()> {
    // SAFETY: locking changes no contents, and a range that is not mapped is an error.
    check(unsafe { libc::mlock(memory.as_ptr().cast(), size) })
}

/// Lets the pages of a range be swapped out again. It is no error that they were not locked.
pub(crate) fn unlock(memory: NonNull<u8>, size: usize) {
    // SAFETY: as for locking.
    unsafe { libc::munlock(memory.as_ptr().cast(), size) };
}

/// Bytes that the process may lock altogether; `None` when there is no limit.
pub(super) fn lock_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: writes the limits into the structure that it is given.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    #[expect(clippy::allow_attributes, reason = "the type of a limit differs between systems")]
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
    let bytes = u64::try_from(limit.rlim_cur).ok()?;
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(bytes)
}

/// The error that a system call has left behind, if its status says so.
pub(super) fn check(status: libc::c_int) -> io::Result<()> {
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
