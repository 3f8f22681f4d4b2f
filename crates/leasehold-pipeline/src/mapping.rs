//! The one promise that this crate makes on behalf of whoever runs it: files in use stay as they are.

use std::{fs::File, io};

use leasehold::{FileMapping, SharedOwner};

/// Maps a file that its users leave alone while it is being read.
///
/// Nothing can hold the rest of the world to that. What text comes out of a mapping is checked each time it
/// is looked at, and weights are plain numbers, so a file that is edited all the same gives an error or wrong
/// vectors; one that is cut ends the process with `SIGBUS`, as with every program that maps its input.
#[expect(unsafe_code, reason = "no program can lock others out of a file, so mapping one is a promise")]
pub(crate) fn map(file: &File) -> io::Result<SharedOwner<u8>> {
    // SAFETY: `Source` and `Model` pass on to their users, in their documentation, that inputs and models must
    // not be written to or cut while in use.
    unsafe { FileMapping::open(file) }
}
