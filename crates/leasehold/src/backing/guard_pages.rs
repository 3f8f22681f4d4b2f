//! Blocks between pages that cannot be touched.

use std::alloc::Layout;
use std::collections::VecDeque;
use std::io;
use std::process;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use super::mapping::{Access, Mapping, whole_pages};
use super::system::page_size;
use super::{Backing, BackingError, check};

/// A diagnostic: each block lies between two inaccessible pages, so that an overrun through a raw pointer ends the process
/// at the instruction that makes it.
///
/// ```text
///   page        whole pages that hold the block                       page
/// +-----------+------------+--------------------------+-------------+-----------+
/// | no access | canary     | block                    | canary      | no access |
/// +-----------+------------+--------------------------+-------------+-----------+
///                          ^ aligned                    less than the alignment
/// ```
///
/// The block ends where the page behind it begins, as far as its alignment allows: with a size that is a multiple of the
/// alignment, which is at most a page, the first byte too far is fatal. What is left between them, and the rest of
/// the first page, holds a pattern that is looked at when the block is released; if it was written, the process says so
/// and aborts.
///
/// With a [`quarantine`](Self::quarantine) released blocks stay inaccessible for a while, so that a use after the release is
/// fatal too. A pool that keeps idle blocks to itself does not release them, and hides such a use.
///
/// Every block takes at least three pages of address space, up to three mappings, and microseconds.
///
/// # Examples
/// ```
/// use std::alloc::Layout;
/// use leasehold::{Backing, GuardPages};
///
/// let guarded = GuardPages::new().quarantine(1 << 20);
/// let layout = Layout::from_size_align(128, 64)?;
/// let memory = guarded.allocate(layout)?;
/// let end = memory.addr().get() + 128;
/// assert_eq!(end % 4096, 0); // a write to `end` would end the process
/// // SAFETY: it came from there, with this layout, and nobody uses it.
/// unsafe { guarded.release(memory, layout) };
/// assert!(guarded.quarantined() > 0); // so would now a read of `memory`
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "electric fence")]
#[derive(Debug, Default)]
pub struct GuardPages {
    limit: usize,
    quarantine: Mutex<Quarantine>,
}

/// Blocks that were released and must not be touched, the oldest first.
#[derive(Debug, Default)]
struct Quarantine {
    blocks: VecDeque<Mapping>,
    bytes: usize,
}

impl GuardPages {
    /// Without quarantine.
    pub fn new() -> GuardPages {
        GuardPages::default()
    }

    /// Keeps what was released last inaccessible, up to so many bytes of address space, guard pages included. Takes no memory
    /// but what the system needs to remember the mappings.
    #[must_use]
    pub fn quarantine(self, bytes: usize) -> GuardPages {
        GuardPages { limit: bytes, ..self }
    }

    /// Bytes of address space that are in quarantine.
    pub fn quarantined(&self) -> usize {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Makes the block inaccessible, and lets go of those that have been so for longest.
    fn confine(&self, mut block: Mapping) {
        if block.size() > self.limit || block.vacate().is_err() {
            return;
        }
        let mut surplus = Vec::new();
        let mut quarantine = self.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        quarantine.bytes += block.size();
        quarantine.blocks.push_back(block);
        while quarantine.bytes > self.limit {
            let Some(oldest) = quarantine.blocks.pop_front() else { break };
            quarantine.bytes -= oldest.size();
            surplus.push(oldest);
        }
        drop(quarantine);
        drop(surplus);
    }
}

// SAFETY: 1: anonymous pages are zero, and the block has no canary in it; 2: `Form` places it so; 3, 4: a fresh mapping that
// is known to the caller only; 5: the system takes calls from any thread, and the quarantine is locked; 6: `check`.
unsafe impl Backing for GuardPages {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        check(layout, self.granularity())?;
        let failed = |error| BackingError::mapping(layout.size(), error);
        let form = Form::of(layout).map_err(failed)?;
        let mapping = form.map(layout).map_err(failed)?;
        // SAFETY: the block lies within the mapping.
        let memory = unsafe { mapping.into_start().add(form.front()) };
        form.canaries(memory, layout).into_iter().for_each(Canary::sing);
        Ok(memory)
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        let Ok(form) = Form::of(layout) else { return };
        if !form.canaries(memory, layout).into_iter().all(Canary::is_alive) {
            die(memory, layout);
        }
        // SAFETY: `allocate` has added as much.
        let start = unsafe { memory.sub(form.front()) };
        // SAFETY: the caller's promise: mapped above, and nobody uses it.
        self.confine(unsafe { Mapping::from_raw(start, form.size()) });
    }

    fn name(&self) -> &'static str {
        "guard pages"
    }
}

/// Where a block lies between its guard pages.
#[derive(Clone, Copy)]
struct Form {
    page: usize,
    /// Bytes in the whole pages that hold the block.
    body: usize,
    /// Bytes of the body before the block.
    lead: usize,
}

impl Form {
    fn of(layout: Layout) -> io::Result<Form> {
        let page = page_size();
        let body = whole_pages(layout.size())?;
        // A multiple of a smaller alignment can end with the page; of a larger one it has to begin with it.
        let lead = body.saturating_sub(layout.size().next_multiple_of(layout.align()));
        let lead = if layout.align() > page { 0 } else { lead };
        body.checked_add(2 * page).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Form { page, body, lead })
    }

    /// Bytes from the beginning of the first guard page to the block.
    fn front(self) -> usize {
        self.page + self.lead
    }

    /// Bytes from the beginning of the first guard page to the end of the last.
    fn size(self) -> usize {
        self.page + self.body + self.page
    }

    /// Everything, with the body accessible and aligned.
    fn map(self, layout: Layout) -> io::Result<Mapping> {
        let alignment = layout.align().max(self.page);
        let size = self.size().checked_add(alignment).ok_or(io::ErrorKind::OutOfMemory)?;
        let whole = Mapping::anonymous(size, Access::None, 0)?;
        let first = whole.start().addr().get();
        let body = (first + self.page).next_multiple_of(alignment);
        let mut mapping = whole.cut(body - self.page - first, self.size());
        mapping.open(self.page, self.body)?;
        Ok(mapping)
    }

    /// What is accessible before and behind the block.
    fn canaries(self, memory: NonNull<u8>, layout: Layout) -> [Canary; 2] {
        let rest = self.body - self.lead - layout.size();
        // SAFETY: the body begins that far before the block.
        let before = unsafe { memory.sub(self.lead) };
        // SAFETY: the end of the block.
        let behind = unsafe { memory.add(layout.size()) };
        [Canary { start: before, size: self.lead }, Canary { start: behind, size: rest }]
    }
}

/// Bytes beside a block that nobody has a reason to write. Made by [`Form::canaries`] only.
#[derive(Clone, Copy)]
struct Canary {
    start: NonNull<u8>,
    size: usize,
}

impl Canary {
    const NOTE: u8 = 0xC5;

    fn sing(self) {
        // SAFETY: within the accessible pages of a block, and outside of the block.
        unsafe { self.start.write_bytes(Canary::NOTE, self.size) };
    }

    fn is_alive(self) -> bool {
        // SAFETY: as above, and initialised by `sing`.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) };
        bytes.iter().all(|&byte| byte == Canary::NOTE)
    }
}

/// Ends the process: memory that belongs to nobody was written.
#[cold]
fn die(memory: NonNull<u8>, layout: Layout) -> ! {
    let (size, address) = (layout.size(), memory.as_ptr());
    eprintln!("leasehold: the bytes next to a block of {size} bytes at {address:?} were overwritten");
    process::abort()
}
