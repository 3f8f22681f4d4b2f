//! What every backing promises, asked of each of them through the trait.
#![expect(unsafe_code, reason = "memory is released by hand")]

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;

use leasehold::{Backing, BackingError, Heap};

use crate::support::alone;

/// A block, given back when it is dropped.
pub struct Block<'a> {
    pub memory: NonNull<u8>,
    pub layout: Layout,
    backing: &'a dyn Backing,
}

// SAFETY: the block is its holder's alone, and may be released on any thread.
unsafe impl Send for Block<'_> {}

impl<'a> Block<'a> {
    pub fn new(backing: &'a dyn Backing, size: usize, align: usize) -> Result<Block<'a>, BackingError> {
        let layout = Layout::from_size_align(size, align).unwrap();
        Ok(Block { memory: backing.allocate(layout)?, layout, backing })
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the backing promises that many bytes, initialised and ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.layout.size()) }
    }

    pub fn range(&self) -> std::ops::Range<usize> {
        let start = self.memory.addr().get();
        start..start + self.layout.size()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // SAFETY: it came from there, with this layout; nobody uses it any more.
        unsafe { self.backing.release(self.memory, self.layout) };
    }
}

/// Whether every byte is this one. Compares whole slices, which miri does in no time.
fn all(bytes: &[u8], byte: u8) -> bool {
    bytes[0] == byte && bytes[1..] == bytes[..bytes.len() - 1]
}

/// Every backing that this system has.
#[allow(unused_mut, reason = "some systems have no more")]
fn backings() -> Vec<Box<dyn Backing>> {
    let mut backings: Vec<Box<dyn Backing>> = vec![Box::new(Heap), Box::new(Arc::new(Heap))];
    #[cfg(all(unix, not(miri)))]
    {
        use leasehold::{GuardPages, HugePages, Locked, Pages};
        for huge in [HugePages::Never, HugePages::Advised, HugePages::Reserved] {
            backings.push(Box::new(Pages::new().huge(huge)));
        }
        backings.push(Box::new(Locked));
        backings.push(Box::new(GuardPages::new()));
        backings.push(Box::new(GuardPages::new().quarantine(1 << 30)));
    }
    #[cfg(all(target_os = "linux", not(miri)))]
    backings.push(Box::new(leasehold::SharedMemory::new()));
    #[cfg(all(feature = "cuda", not(miri)))]
    match leasehold::cuda::PinnedHost::load() {
        Ok(pinned) => backings.push(Box::new(pinned)),
        Err(error) => println!("skipped: {error}"),
    }
    backings
}

/// A block, unless the process may not lock that much.
fn block<'a>(backing: &'a dyn Backing, size: usize, align: usize) -> Option<Block<'a>> {
    match Block::new(backing, size, align) {
        Ok(block) => Some(block),
        Err(error @ BackingError::LockLimit { .. }) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{}: {size} bytes at {align}: {error}", backing.name()),
    }
}

const LARGEST: usize = if cfg!(miri) { 1 << 16 } else { 64 << 20 };

#[test]
fn blocks_of_every_size_and_alignment_are_zero_aligned_and_writable() {
    for backing in backings() {
        let granule = backing.granularity();
        for shift in 0..=LARGEST.ilog2() {
            let size = (1usize << shift).next_multiple_of(granule).max(granule);
            for align in [64, 4096, 65536, 2 << 20] {
                let Some(mut block) = block(&*backing, size, align) else { continue };
                let name = backing.name();
                assert!(block.memory.addr().get().is_multiple_of(align), "{name}: {size} at {align}");
                let bytes = block.bytes();
                // Large ones once, for the time it takes.
                if align == 64 || size <= 1 << 16 {
                    assert!(all(bytes, 0), "{name}: {size} at {align}");
                }
                bytes[0] = 1;
                bytes[size - 1] = 1;
            }
        }
    }
}

#[test]
fn odd_multiples_of_the_granule_are_served() {
    for backing in backings() {
        let granule = backing.granularity();
        for granules in [1, 2, 3, 5, 7, 511, 513, 1025] {
            let Some(mut block) = block(&*backing, granules * granule, 2 << 20) else { continue };
            block.bytes().fill(0xA5);
            assert!(all(block.bytes(), 0xA5));
        }
    }
}

#[test]
fn memory_is_zero_again_when_it_is_handed_out_again() {
    for backing in backings() {
        let size = 8192usize.next_multiple_of(backing.granularity());
        for _ in 0..20 {
            let Some(mut block) = block(&*backing, size, 64) else { continue };
            assert!(all(block.bytes(), 0), "{}", backing.name());
            block.bytes().fill(0xFF);
        }
    }
}

#[test]
fn blocks_do_not_overlap() {
    for backing in backings() {
        let sizes =
            [1usize, 64, 100, 4096, 5000, 1 << 16].map(|size| size.next_multiple_of(backing.granularity()));
        let mut blocks: Vec<_> =
            sizes.iter().cycle().take(60).filter_map(|&size| block(&*backing, size, 64)).collect();
        for (index, block) in blocks.iter_mut().enumerate() {
            block.bytes().fill(index as u8);
        }
        for (index, block) in blocks.iter_mut().enumerate() {
            assert!(all(block.bytes(), index as u8), "{}", backing.name());
        }
        blocks.sort_by_key(|block| block.range().start);
        assert!(blocks.is_sorted_by(|one, next| one.range().end <= next.range().start), "{}", backing.name());
    }
}

#[test]
fn a_block_may_be_written_and_released_on_another_thread() {
    for backing in backings() {
        let size = 4096usize.next_multiple_of(backing.granularity());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..if cfg!(miri) { 2 } else { 50 } {
                        let Some(mut block) = block(&*backing, size, 64) else { return };
                        block.bytes()[size - 1] = 1;
                        scope.spawn(move || {
                            assert_eq!(block.bytes()[size - 1], 1);
                            block.bytes().fill(2);
                        });
                    }
                });
            }
        });
    }
}

#[test]
fn a_layout_that_is_not_served_is_an_error() {
    for backing in backings() {
        let refused = |size, align| {
            let error = Block::new(&*backing, size, align).map(|_| ()).unwrap_err();
            assert!(matches!(error, BackingError::Layout { .. }), "{}: {error:?}", backing.name());
            assert_eq!(error.size(), size);
        };
        refused(0, 64);
        refused(0, 1);
        refused(4 << 20, 4 << 20);
        if backing.granularity() > 1 {
            refused(1, 64);
            refused(backing.granularity() + 1, 64);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "asks for more address space than there is")]
fn more_than_there_is_is_an_error_and_loses_nothing() {
    // A sanitizer's heap ends the process instead.
    for backing in backings().iter().filter(|backing| backing.name() != "heap") {
        let size = (isize::MAX as usize - (8 << 20)) & !0xFFFF;
        for align in [64, 2 << 20] {
            let error = Block::new(&**backing, size, align).map(|_| ()).unwrap_err();
            assert_eq!(error.size(), size, "{}", backing.name());
            assert!(!matches!(error, BackingError::Layout { .. }), "{}: {error}", backing.name());
        }
        assert!(block(&**backing, backing.granularity(), 64).is_some());
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads /proc")]
#[cfg_attr(miri, ignore = "reads /proc")]
fn released_memory_goes_back_to_the_system() {
    if !alone("backing::released_memory_goes_back_to_the_system") {
        return;
    }
    const SIZE: usize = 1 << 20;
    // The heap keeps what it likes, and a driver's memory is not counted.
    for backing in backings().iter().filter(|backing| !["heap", "pinned host"].contains(&backing.name())) {
        let before = resident();
        let mut blocks: Vec<_> = (0..64).filter_map(|_| block(&**backing, SIZE, 64)).collect();
        blocks.iter_mut().for_each(|block| block.bytes().fill(1));
        let full = resident();
        let held = blocks.len() * SIZE;
        assert!(full - before >= held as isize - (1 << 20), "{}: {held}, {before} to {full}", backing.name());
        drop(blocks);
        let after = resident();
        assert!(after - before <= 4 << 20, "{}: {before} to {after}", backing.name());
    }
}

/// Bytes of this process that are in RAM.
fn resident() -> isize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: isize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes << 10
}

#[test]
#[cfg(unix)]
#[cfg_attr(miri, ignore = "maps memory")]
fn a_block_of_pages_says_which_pages_it_got() {
    use leasehold::{Granted, HugePages, Pages};
    let plain = Pages::new().huge(HugePages::Never);
    drop(Block::new(&plain, 4 << 20, 64).unwrap());
    assert_eq!((plain.granted().plain, plain.granted().advised, plain.granted().reserved), (1, 0, 0));

    let advised = Pages::new();
    drop(Block::new(&advised.clone(), 1 << 20, 64).unwrap());
    let block = Block::new(&advised, 3 << 20, 64).unwrap();
    let Granted { plain, advised, reserved, .. } = advised.granted();
    assert!(matches!((plain, advised, reserved), (1, 1, 0) | (2, 0, 0)));
    assert!(block.range().start.is_multiple_of(2 << 20), "where huge pages can be");

    let reserved = Pages::new().huge(HugePages::Reserved);
    let mut block = Block::new(&reserved, 4 << 20, 64).unwrap();
    block.bytes().fill(1);
    let Granted { plain, advised, reserved, .. } = reserved.granted();
    assert_eq!(plain + advised + reserved, 1);
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "limits the process")]
fn locking_too_much_names_the_limit_and_how_to_raise_it() {
    if !alone("backing::locking_too_much_names_the_limit_and_how_to_raise_it") || !locking_locks() {
        return;
    }
    let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: this process has nothing else to do.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
    // Who may do everything is not limited: become nobody.
    // SAFETY: as above.
    unsafe { libc::setresuid(65534, 65534, 65534) };
    let locked = leasehold::Locked;
    let blocks: Vec<_> = (0..4).map(|_| Block::new(&locked, 256 << 10, 64).unwrap()).collect();
    let error = Block::new(&locked, 256 << 10, 64).map(|_| ()).unwrap_err();
    assert!(matches!(error, BackingError::LockLimit { size: 262_144, limit: 1_048_576 }), "{error:?}");
    assert!(error.to_string().contains("ulimit -l"));
    drop(blocks);
    drop(Block::new(&locked, 1 << 20, 64).unwrap());
}

#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "reads /proc")]
fn locked_memory_is_locked_until_it_is_released() {
    if !alone("backing::locked_memory_is_locked_until_it_is_released") || !locking_locks() {
        return;
    }
    let before = locked_kibibytes();
    let block = Block::new(&leasehold::Locked, 64 << 10, 64).unwrap();
    assert_eq!(locked_kibibytes() - before, 64);
    drop(block);
    assert_eq!(locked_kibibytes(), before);
}

/// False under sanitizers, which make locking do nothing, since they have more memory mapped than could be locked.
#[cfg(target_os = "linux")]
fn locking_locks() -> bool {
    let before = locked_kibibytes();
    let bytes = [0u8; 8192];
    // SAFETY: changes no contents.
    assert_eq!(unsafe { libc::mlock(bytes.as_ptr().cast(), bytes.len()) }, 0);
    let locks = locked_kibibytes() > before;
    // SAFETY: as above.
    unsafe { libc::munlock(bytes.as_ptr().cast(), bytes.len()) };
    if !locks {
        println!("skipped: locking does nothing here");
    }
    locks
}

#[cfg(target_os = "linux")]
fn locked_kibibytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(feature = "cuda")]
#[cfg_attr(miri, ignore = "loads a library")]
fn pinned_host_memory_is_used_or_its_absence_explained() {
    use leasehold::cuda::{CudaError, PinnedHost};
    let pinned = match PinnedHost::load() {
        Ok(pinned) => pinned,
        Err(error) => {
            assert!(!matches!(error, CudaError::TooOld { .. }), "{error}");
            return println!("skipped: {error}");
        }
    };
    let other = pinned.clone();
    let mut block = Block::new(&pinned, 1 << 20, 2 << 20).unwrap();
    assert!(all(block.bytes(), 0));
    drop(Block::new(&other, 100, 64).unwrap());
    assert!(matches!(PinnedHost::on_device(1 << 20), Err(CudaError::Failed { function: "cuDeviceGet", .. })));
}
