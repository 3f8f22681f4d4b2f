//! The one promise that this crate makes on behalf of whoever runs it: files in use stay as they are.

use std::{fs::File, io};

use leasehold::{FileMapping, SharedOwner};

/// Maps a file that its users leave alone while it is being read.
///
/// Nothing can hold the rest of the world to that. What text comes out of a mapping is checked each time it
/// is looked at, and weights are plain numbers, so a file that is edited all the same gives an error or wrong
/// vectors; one that is cut ends the process with `SIGBUS`, as with every program that maps its input.
/// For inputs there are ways around it (`Access`).
#[expect(unsafe_code, reason = "no program can lock others out of a file, so mapping one is a promise")]
pub(crate) fn map(file: &File) -> io::Result<SharedOwner<u8>> {
    // SAFETY: `Model` passes on to its users, in its documentation, that models must not be written to or cut while
    // in use.
    unsafe { FileMapping::open(file) }
}

/// Maps a part of such a file; the part lies within it.
#[expect(unsafe_code, reason = "as for `map`")]
pub(crate) fn map_range(file: &File, offset: u64, len: usize) -> io::Result<SharedOwner<u8>> {
    // SAFETY: `Source` passes on the same for inputs, and asks for no more than the file's length.
    unsafe { FileMapping::open_range(file, offset, len) }
}
