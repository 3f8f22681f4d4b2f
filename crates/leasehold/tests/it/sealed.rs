//! Files that another process has sent: only what can never change is mapped.
#![expect(unsafe_code, reason = "files in memory are made by hand")]

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use leasehold::{Sealed, UnfitReason};

const ALL: libc::c_int = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

/// A file in memory with these contents and seals.
fn file(contents: &[u8], flags: libc::c_uint, seals: libc::c_int) -> OwnedFd {
    // SAFETY: the name is a string that ends.
    let file = unsafe { libc::memfd_create(c"test".as_ptr(), flags | libc::MFD_ALLOW_SEALING) };
    assert!(file >= 0);
    // SAFETY: fresh, and known to nobody else.
    let mut file = unsafe { File::from_raw_fd(file) };
    if flags & libc::MFD_HUGETLB == 0 {
        file.write_all(contents).unwrap();
    }
    // SAFETY: takes rights away from the file.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }, 0);
    file.into()
}

fn refusal<T: bytemuck::Pod>(file: OwnedFd, offset: u64, len: usize) -> UnfitReason {
    let number = file.as_raw_fd();
    let unfit = Sealed::<T>::open_at(file, offset, len).unwrap_err();
    assert_eq!(unfit.file.as_raw_fd(), number, "the file comes back");
    println!("{unfit}");
    unfit.reason
}

#[test]
fn a_sealed_file_is_read_in_place() {
    let contents: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let sealed = Sealed::<u8>::open(file(&contents, 0, ALL), 10_000).unwrap();
    assert_eq!(sealed[..], contents);
    let tail = Sealed::<u8>::open_at(file(&contents, 0, ALL), 9_000, 1000).unwrap();
    assert_eq!((&tail[..], tail.offset()), (&contents[9_000..], 9_000));
    let shared = sealed.into_shared();
    let (lessor, memory) = shared.try_lease_read_only().unwrap();
    assert_eq!(memory.span().unwrap()[..], contents);
    drop(lessor);
    assert!(memory.span().is_err());
}

#[test]
fn a_file_that_someone_could_change_is_refused() {
    for missing in [libc::F_SEAL_WRITE, libc::F_SEAL_SHRINK, libc::F_SEAL_GROW] {
        assert!(matches!(refusal::<u8>(file(&[0; 10], 0, ALL & !missing), 0, 10), UnfitReason::NotSealed));
    }
    let future = libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    assert!(matches!(refusal::<u8>(file(&[0; 10], 0, future), 0, 10), UnfitReason::NotSealed));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(matches!(refusal::<u8>(reader.into(), 0, 10), UnfitReason::NotSealed));
}

#[test]
fn elements_that_are_not_there_are_refused() {
    let short = |offset, len| refusal::<u32>(file(&[0; 100], 0, ALL), offset, len);
    assert!(matches!(short(0, 26), UnfitReason::TooShort));
    assert!(matches!(short(100, 1), UnfitReason::TooShort));
    assert!(matches!(short(u64::MAX - 3, 1), UnfitReason::TooShort));
    assert!(matches!(short(0, usize::MAX), UnfitReason::TooShort));
    assert!(matches!(short(104, 0), UnfitReason::TooShort));
    assert!(matches!(short(2, 1), UnfitReason::Misaligned));
    assert_eq!(Sealed::<u32>::open_at(file(&[0; 100], 0, ALL), 100, 0).unwrap().len(), 0);
    assert_eq!(Sealed::<u32>::open(file(&[], 0, ALL), 0).unwrap().len(), 0);
    assert_eq!(Sealed::<()>::open(file(&[], 0, ALL), 5).unwrap().len(), 5);
}

#[test]
fn huge_pages_that_may_be_missing_are_refused() {
    let sealed = file(&[], libc::MFD_HUGETLB, ALL);
    assert!(matches!(refusal::<u8>(sealed, 0, 0), UnfitReason::NotInMemory));
}
