//! Anonymous mappings, with huge pages where the system has some.

use std::alloc::Layout;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::mapping::{Access, Mapping};
use super::system::page_size;
use super::{Backing, BackingError, check};

/// Pages straight from the operating system, huge ones for large blocks.
///
/// Each block is a mapping of its own, so its memory goes back to the system the moment it is released, and never
/// shares a page with anything else. Making one takes microseconds, and a process has some ten thousand mappings to
/// spend: this is for pools of large blocks.
///
/// Clones count together, so that one can stay behind when the other has gone into a pool.
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::{Backing, HugePages, Pages};
///
/// let pages = Pages::new().huge(HugePages::Reserved);
/// let layout = Layout::from_size_align(4 << 20, 64)?;
/// let memory = pages.allocate(layout)?;
/// let granted = pages.granted();
/// assert_eq!(granted.reserved + granted.advised + granted.plain, 1);
/// // SAFETY: it came from there, with this layout, and nobody uses it.
/// unsafe { pages.release(memory, layout) };
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "mmap")]
#[derive(Clone, Debug, Default)]
pub struct Pages {
    huge: HugePages,
    granted: Arc<Counts>,
}

/// Which huge pages a [`Pages`] tries to get for blocks of 2 MiB or more. They make a large block cheaper to fault in and
/// to walk through, since one entry of the translation buffer covers 512 times as much.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum HugePages {
    /// None.
    Never,
    /// Transparent ones: the block is aligned to 2 MiB, and the system is advised to use huge pages for it. It does so
    /// when it has some at the time of the first touch, or later.
    #[default]
    Advised,
    /// Those that the administrator has set aside (`vm.nr_hugepages`), for blocks that are multiples of 2 MiB. When there are
    /// none left, as [`Advised`](Self::Advised). A process that forks must not write to such blocks in the child.
    Reserved,
}

/// What became of the blocks that a [`Pages`] has given so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Granted {
    /// On huge pages that were set aside.
    pub reserved: usize,
    /// On 2 MiB boundaries, with the advice to use huge pages.
    pub advised: usize,
    /// On ordinary pages.
    pub plain: usize,
}

#[derive(Debug, Default)]
struct Counts {
    reserved: AtomicUsize,
    advised: AtomicUsize,
    plain: AtomicUsize,
}

impl Pages {
    /// Mappings with [`HugePages::Advised`].
    pub fn new() -> Pages {
        Pages::default()
    }

    /// Which huge pages to try for.
    #[must_use]
    pub fn huge(self, huge: HugePages) -> Pages {
        Pages { huge, ..self }
    }

    /// What became of the blocks so far, those of clones included. Counts what was granted, not what is still out.
    pub fn granted(&self) -> Granted {
        // Relaxed: statistics.
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let Counts { reserved, advised, plain } = &*self.granted;
        Granted { reserved: read(reserved), advised: read(advised), plain: read(plain) }
    }

    /// The mapping for a block, and where to count it.
    fn map(&self, layout: Layout) -> io::Result<(Mapping, &AtomicUsize)> {
        if self.huge == HugePages::Never || layout.size() < HUGE_PAGE {
            return Ok((Mapping::aligned(layout, Access::ReadWrite)?, &self.granted.plain));
        }
        if self.huge == HugePages::Reserved
            && let Some(mapping) = reserved(layout.size())
        {
            return Ok((mapping, &self.granted.reserved));
        }
        let layout = layout.align_to(HUGE_PAGE).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping::aligned(layout, Access::ReadWrite)?;
        let advised = advise(&mapping);
        Ok((mapping, if advised { &self.granted.advised } else { &self.granted.plain }))
    }
}

// SAFETY: 1: anonymous pages are zero; 2: `Mapping::aligned`, or a reserved huge page, than which no alignment is
// stricter; 3, 4: a fresh mapping that is known to the caller only; 5: the system takes calls from any thread; 6: `check`.
unsafe impl Backing for Pages {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        check(layout, self.granularity())?;
        let (mapping, count) =
            self.map(layout).map_err(|error| BackingError::mapping(layout.size(), error))?;
        // Relaxed: a statistic.
        count.fetch_add(1, Ordering::Relaxed);
        Ok(mapping.into_start())
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise: mapped above, and nobody uses it.
        drop(unsafe { Mapping::from_raw(memory, layout.size()) });
    }

    fn granularity(&self) -> usize {
        page_size()
    }

    fn name(&self) -> &'static str {
        "pages"
    }
}

/// A mapping of huge pages that were set aside, if there are enough left.
#[cfg(target_os = "linux")]
fn reserved(size: usize) -> Option<Mapping> {
    if !size.is_multiple_of(HUGE_PAGE) {
        return None;
    }
    Mapping::anonymous(size, Access::ReadWrite, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB).ok()
}

#[cfg(not(target_os = "linux"))]
fn reserved(_: usize) -> Option<Mapping> {
    None
}

/// Whether the system takes the advice to use huge pages.
#[cfg(target_os = "linux")]
fn advise(mapping: &Mapping) -> bool {
    // SAFETY: the pages are ours; the advice changes no contents.
    let status =
        unsafe { libc::madvise(mapping.start().as_ptr().cast(), mapping.size(), libc::MADV_HUGEPAGE) };
    status == 0
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &Mapping) -> bool {
    false
}

/// The huge page of every machine on which the system knows one by this size.
const HUGE_PAGE: usize = 2 << 20;
