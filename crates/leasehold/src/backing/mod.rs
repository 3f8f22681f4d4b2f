//! Where a pool's memory comes from.

#[cfg(feature = "cuda")]
pub mod cuda;
mod error;
#[cfg(target_os = "linux")]
mod freeze;
#[cfg(unix)]
mod guard_pages;
mod heap;
#[cfg(unix)]
mod locked;
#[cfg(unix)]
mod mapping;
#[cfg(target_os = "linux")]
mod memfd;
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) mod mirror;
#[cfg(unix)]
mod pages;
#[cfg(target_os = "linux")]
mod sealed;
#[cfg(target_os = "linux")]
mod shared_memory;
#[cfg(unix)]
pub(crate) mod system;

pub use error::BackingError;
#[cfg(target_os = "linux")]
pub use freeze::{FreezeError, FreezeReason};
#[cfg(unix)]
pub use guard_pages::GuardPages;
pub use heap::Heap;
#[cfg(unix)]
pub use locked::Locked;
#[cfg(unix)]
pub use pages::{Granted, HugePages, Pages};
#[cfg(target_os = "linux")]
pub use sealed::{Sealed, UnfitFile, UnfitReason};
#[cfg(target_os = "linux")]
pub use shared_memory::SharedMemory;

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;

/// Where a pool's memory comes from.
///
/// A pool asks its backing for each fresh block, and gives a block back when it does not want to keep it. It never
/// carves one allocation into several blocks, so what a backing hands out is what a tenant gets. Both calls may be slow:
/// the pool stands in front of them.
///
/// Comes with the library: [`Heap`] everywhere; on Unix `Pages`, `Locked` and `GuardPages`; on Linux `SharedMemory`;
/// with the feature `cuda` `cuda::PinnedHost`.
///
/// # Safety
/// The implementor promises, for what [`allocate`](Self::allocate) returned, until it is given to
/// [`release`](Self::release):
///
/// 1. it is `layout.size()` bytes inside one allocation, readable and writable, and zero when they are handed out;
/// 2. it begins at a multiple of `layout.align()`;
/// 3. it is the caller's alone: nobody else reads it, writes it, or hands it out again;
/// 4. it neither moves nor becomes inaccessible, whatever else the process does with the backing, short of dropping it.
///
/// And for the backing itself:
///
/// 5. both methods may be called on any thread and by several at a time; what one thread allocated another may release;
/// 6. a layout that it cannot serve, be it empty or of a size that is no multiple of the granularity, is an error.
///
/// # Examples
/// A backing that counts what another one has given:
/// ```
/// use std::alloc::Layout;
/// use std::ptr::NonNull;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use leasehold::{Backing, BackingError, Heap};
///
/// #[derive(Default)]
/// struct Counted<B> {
///     inner: B,
///     bytes: AtomicUsize,
/// }
///
/// // SAFETY: 1 to 4, 6: the memory is the inner backing's, which promises the same; 5: it and the counter are `Sync`.
/// unsafe impl<B: Backing> Backing for Counted<B> {
///     fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
///         let memory = self.inner.allocate(layout)?;
///         self.bytes.fetch_add(layout.size(), Ordering::Relaxed);
///         Ok(memory)
///     }
///
///     unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
///         self.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
///         // SAFETY: the caller's promise; the memory came from there.
///         unsafe { self.inner.release(memory, layout) }
///     }
///
///     fn granularity(&self) -> usize {
///         self.inner.granularity()
///     }
///
///     fn name(&self) -> &'static str {
///         "counted"
///     }
/// }
///
/// let backing = Counted::<Heap>::default();
/// let layout = Layout::from_size_align(4096, 64)?;
/// let memory = backing.allocate(layout)?;
/// assert_eq!(backing.bytes.load(Ordering::Relaxed), 4096);
/// // SAFETY: it came from there, with this layout, and nobody uses it.
/// unsafe { backing.release(memory, layout) };
/// assert_eq!(backing.bytes.load(Ordering::Relaxed), 0);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "Allocator")]
pub unsafe trait Backing: Send + Sync + 'static {
    /// Zeroed memory of exactly `layout`.
    ///
    /// A pool asks for sizes that are multiples of [`granularity`](Self::granularity) and never zero, and for
    /// alignments from 64 bytes to 2 MiB.
    ///
    /// # Errors
    /// [`BackingError`] when the memory is not to be had, or the layout is none that the backing serves.
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError>;

    /// Takes memory back.
    ///
    /// # Safety
    /// - `memory` came from [`allocate`](Self::allocate) of this backing, with this `layout`.
    /// - It has not been released since, and nobody uses it any more.
    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout);

    /// The sizes that the backing gives are multiples of this power of two, which is always the same: 1 for the heap, a
    /// page for mappings.
    fn granularity(&self) -> usize {
        1
    }

    /// What to call the backing in statistics.
    fn name(&self) -> &'static str {
        "custom"
    }
}

// SAFETY: 1 to 6: each call is the inner backing's, which promises the same.
unsafe impl<B: Backing + ?Sized> Backing for Arc<B> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<u8>, BackingError> {
        B::allocate(self, layout)
    }

    unsafe fn release(&self, memory: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { B::release(self, memory, layout) }
    }

    fn granularity(&self) -> usize {
        B::granularity(self)
    }

    fn name(&self) -> &'static str {
        B::name(self)
    }
}

/// Turns away the layouts that a backing of this granularity does not serve.
fn check(layout: Layout, granularity: usize) -> Result<(), BackingError> {
    let (size, alignment) = (layout.size(), layout.align());
    if size == 0 || !size.is_multiple_of(granularity) || alignment > LARGEST_ALIGNMENT {
        return Err(BackingError::Layout { size, alignment, granularity });
    }
    Ok(())
}

/// The strictest alignment that a pool may ask for.
const LARGEST_ALIGNMENT: usize = 2 << 20;
