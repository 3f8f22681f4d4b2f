//! Files in memory and their seals.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::system::check;

/// What keeps the contents of a file as they are, for whoever has it and for ever.
const SEALS: libc::c_int = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

/// From `linux/memfd.h`: the file is not to be executed. Kernels before 6.3 do not know it.
const MFD_NOEXEC_SEAL: libc::c_uint = 8;

/// A file of so many zeros, that can be sealed.
pub(super) fn create(size: usize) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let file = create_with(flags | MFD_NOEXEC_SEAL).or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => create_with(flags),
        _ => Err(error),
    })?;
    let file = fs::File::from(file);
    file.set_len(size as u64)?;
    Ok(file.into())
}

fn create_with(flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: the name is a string that ends.
    let file = unsafe { libc::memfd_create(c"leasehold".as_ptr(), flags) };
    check(file)?;
    // SAFETY: fresh, and known to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

/// Makes a range zero, and gives the whole pages in it back to the system.
pub(super) fn erase(file: BorrowedFd<'_>, range: Range<usize>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let [start, len] = [range.start, range.len()].map(libc::off64_t::try_from);
    let (Ok(start), Ok(len)) = (start, len) else { return Err(io::ErrorKind::InvalidInput.into()) };
    // SAFETY: changes a file; whoever has it mapped answers for that.
    check(unsafe { libc::fallocate64(file.as_raw_fd(), mode, start, len) })
}

/// Fixes the contents for ever, and the seals too.
pub(super) fn seal(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes rights away from the file, and touches no memory.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS | libc::F_SEAL_SEAL) })
}

/// Whether the contents can never change. A file that knows no seals has none.
pub(super) fn is_sealed(file: BorrowedFd<'_>) -> bool {
    // SAFETY: reads what there is.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & SEALS == SEALS
}

/// Whether it is made of ordinary pages in memory: no disk, and no huge pages that may be missing when they are touched.
pub(super) fn is_in_memory(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut system = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: writes into the structure that it is given.
    check(unsafe { libc::fstatfs(file.as_raw_fd(), system.as_mut_ptr()) })?;
    // SAFETY: any bits will do for a structure of numbers.
    let system = unsafe { system.assume_init() };
    Ok(i128::from(system.f_type) == i128::from(libc::TMPFS_MAGIC))
}
