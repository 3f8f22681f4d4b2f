//! Files in memory.

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use memmap2::{Mmap, MmapMut, MmapOptions};

use super::{MemoryManager, MemoryManagerMut};
use crate::{MemoryOwner, SharedOwner};

/// A file mapped for reading.
pub struct FileMapping(Mmap);

impl FileMapping {
    /// Maps the whole of `file`. An empty file gives an empty owner.
    ///
    /// # Errors
    /// What the operating system says, for instance because the file is a directory or a pipe.
    ///
    /// # Safety
    /// Nobody, in this or another process, writes to the file or cuts it while an owner, lease or span of it lives. A
    /// write would be a data race; a page beyond a cut ends the process with `SIGBUS`.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use leasehold::FileMapping;
    ///
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// // SAFETY: nobody edits the manifest while the tests run.
    /// let text = unsafe { FileMapping::open(&file)? };
    /// assert!(text.starts_with(b"[package]"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub unsafe fn open(file: &File) -> io::Result<SharedOwner<u8>> {
        // SAFETY: the caller's promise.
        let mapping = unsafe { Mmap::map(file) }?;
        Ok(SharedOwner::from_manager(FileMapping(mapping)))
    }

    /// Maps `len` bytes of `file` from `offset` on, which need not be a multiple of anything. For reading a large file
    /// piece by piece without copying: what is in memory is what is mapped.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Safety
    /// As [`open`](Self::open). The range lies within the file.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use leasehold::FileMapping;
    ///
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// // SAFETY: nobody edits the manifest while the tests run, and it is longer than that.
    /// let text = unsafe { FileMapping::open_range(&file, 1, 7)? };
    /// assert_eq!(text, b"package"[..]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub unsafe fn open_range(file: &File, offset: u64, len: usize) -> io::Result<SharedOwner<u8>> {
        // SAFETY: the caller's promise.
        let mapping = unsafe { MmapOptions::new().offset(offset).len(len).map(file) }?;
        Ok(SharedOwner::from_manager(FileMapping(mapping)))
    }
}

// SAFETY: 1, 3: a mapping stays in place until it is dropped; 2: the caller of `open` promised; 4: no hooks.
unsafe impl MemoryManager<u8> for FileMapping {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(&*self.0)
    }
}

/// A file mapped for reading and writing; what is written reaches the file.
pub struct FileMappingMut(MmapMut);

impl FileMappingMut {
    /// Maps the whole of `file`, which must be open for reading and writing.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Safety
    /// Nobody else, in this or another process, reads, writes or cuts the file while an owner, lease or span of it
    /// lives.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use leasehold::FileMappingMut;
    ///
    /// let path = std::env::temp_dir().join(format!("leasehold-doc-{}", std::process::id()));
    /// let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    /// file.set_len(4096)?;
    /// // SAFETY: the file was made here, and nobody else knows its name.
    /// let mut owner = unsafe { FileMappingMut::open(&file)? };
    /// owner[..5].copy_from_slice(b"hello");
    /// drop(owner);
    /// assert!(std::fs::read(&path)?.starts_with(b"hello"));
    /// # std::fs::remove_file(path)
    /// # }
    /// ```
    #[track_caller]
    pub unsafe fn open(file: &File) -> io::Result<MemoryOwner<u8>> {
        // SAFETY: the caller's promise.
        let mapping = unsafe { MmapMut::map_mut(file) }?;
        Ok(MemoryOwner::from_manager(FileMappingMut(mapping)))
    }
}

// SAFETY: 1, 3: a mapping stays in place until it is dropped; 2: the caller of `open` promised; 4: no hooks.
unsafe impl MemoryManager<u8> for FileMappingMut {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut *self.0)
    }
}

// SAFETY: 5: it is mapped for writing; 6: the caller of `open` promised.
unsafe impl MemoryManagerMut<u8> for FileMappingMut {}
