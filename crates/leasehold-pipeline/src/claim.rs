//! Files that belong to the run that holds their lock.
//!
//! The system takes a lock back when its process ends, however that ends. So a lock tells a file that is being written
//! from one that a killed run has left.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Ours, until the file is closed.
    Ours,
    /// Somebody else's, who lives.
    Others,
    /// Nobody can say: there are file systems that have no locks.
    Unknown,
}

/// Takes the lock of a file that is open for writing, where nobody has it.
pub(crate) fn claim(file: &File) -> io::Result<Claim> {
    match file.try_lock() {
        Ok(()) => Ok(Claim::Ours),
        Err(TryLockError::WouldBlock) => Ok(Claim::Others),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Claim::Unknown),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether `path` still names that file, which its run may have renamed or removed since it was opened there.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether `path` still names that file: a file that is open keeps its name here, unless it is removed.
#[cfg(not(unix))]
pub(crate) fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    fs::exists(path)
}
