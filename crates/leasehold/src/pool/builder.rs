//! What a pool can be told before it is made.

use std::sync::Arc;
use std::time::Duration;

use super::{BoundedPool, Handle, MemoryPool};
#[cfg(unix)]
use crate::backing::GuardPages;
use crate::backing::{Backing, Heap};
use crate::raw::{ALIGNMENT, Settings, Store};

/// Makes pools; see [`MemoryPool::builder`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use leasehold::MemoryPool;
///
/// let pool = MemoryPool::builder()
///     .alignment(1 << 12)
///     .decay(Duration::from_secs(60))
///     .build_bounded(64 << 20);
/// assert_eq!(pool.stats().budget, Some(64 << 20));
/// ```
#[must_use]
pub struct PoolBuilder {
    settings: Settings,
    /// The quarantine of the guard pages that are the backing.
    #[cfg(unix)]
    guarded: Option<usize>,
}

/// The strictest alignment that a pool can give: a huge page.
const LARGEST_ALIGNMENT: usize = 2 << 20;

impl PoolBuilder {
    pub(super) fn new() -> PoolBuilder {
        PoolBuilder {
            settings: Settings {
                backing: Arc::new(Heap),
                alignment: ALIGNMENT,
                budget: usize::MAX,
                idle_limit: 256 << 20,
                decay: 10_000,
                zero_on_return: false,
                poison: false,
                quarantine: 0,
                exact: false,
            },
            #[cfg(unix)]
            guarded: None,
        }
    }

    /// Where the memory comes from; the [`Heap`] if nothing is said. With a backing that gives whole pages, no buffer is
    /// smaller than one. Takes the place of guard pages that were asked for before.
    pub fn backing(mut self, backing: impl Backing) -> PoolBuilder {
        #[cfg(unix)]
        {
            self.guarded = None;
            self.settings.exact = false;
        }
        self.settings.backing = Arc::new(backing);
        self
    }

    /// The alignment of every buffer, in bytes; 64 if nothing is said, and never less.
    ///
    /// On the heap, large buffers of the default alignment begin at varying places of a page, because the first lines of
    /// buffers that all begin at a page compete for a few places in the processor's cache.
    ///
    /// # Panics
    /// When it is no power of two, or more than 2 MiB.
    pub fn alignment(mut self, bytes: usize) -> PoolBuilder {
        assert!(
            bytes.is_power_of_two() && bytes <= LARGEST_ALIGNMENT,
            "an alignment is a power of two of at most 2 MiB, not {bytes}"
        );
        self.settings.alignment = bytes.max(ALIGNMENT);
        self
    }

    /// Bytes that wait in stock, at most; 256 MiB if nothing is said. What comes back beyond that is let go at once. What
    /// threads keep to themselves does not count.
    pub fn idle_limit(mut self, bytes: usize) -> PoolBuilder {
        self.settings.idle_limit = bytes;
        self
    }

    /// After how long idle memory is let go: once to twice this time after it was last needed, on occasion of a rent.
    /// Ten seconds if nothing is said; [`Duration::ZERO`] for never.
    pub fn decay(mut self, after: Duration) -> PoolBuilder {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.settings.decay = if after.is_zero() { 0 } else { millis.max(1) };
        self
    }

    /// Whether buffers are overwritten with zeros when they come back, before anybody else can rent them or the system
    /// gets them. Costs the time to do so; buffers then come and go through a lock.
    pub fn zero_on_return(mut self, zero: bool) -> PoolBuilder {
        self.settings.zero_on_return = zero;
        self
    }

    /// Looks for writes where no tenant is, as pointers make that outlived their buffer: through FFI, a device, or `unsafe`
    /// code.
    ///
    /// Whatever a rent did not ask for, up to the end of its buffer, is filled with a pattern and looked at when it comes
    /// back; and what has come back is filled, and looked at when it is next rented or let go. Costs two passes over the
    /// memory of each rent.
    ///
    /// Between buffers is nothing to look at: a rent of exactly a size class has no slack, and a write behind it, or one that
    /// leaps over the slack of another, is not found. [`guard_pages`](Self::guard_pages) finds those, and together with it
    /// this finds what overruns a rent by less than the 63 bytes at most that are left before the guard.
    ///
    /// # Panics
    /// Not here, but where a violation is found: in the drop of an owner, or in a rent. The message names the line that
    /// rented the buffer last. While the thread panics already it is printed instead.
    pub fn poison(mut self, poison: bool) -> PoolBuilder {
        self.settings.poison = poison;
        self
    }

    /// As [`poison`](Self::poison), and keeps the last `bytes` that came back out of circulation, so that a late write hits
    /// them and not the next tenant. With [`guard_pages`](Self::guard_pages) they are inaccessible meanwhile, and their guards
    /// count.
    pub fn quarantine(mut self, bytes: usize) -> PoolBuilder {
        self.settings.quarantine = bytes;
        self
    }

    /// Gives each rent pages of its own with an inaccessible one before and after, so that the process dies at the very
    /// access that runs past the end, by more than the buffer's alignment leaves over; what is returned becomes
    /// inaccessible for as long as less than `quarantine` bytes follow it. Every rent and return is a system call or
    /// several.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::builder().guard_pages(1 << 20).build();
    /// let owner = pool.rent::<u8>(100);
    /// assert_eq!(owner.capacity(), 128);
    /// ```
    #[cfg(unix)]
    pub fn guard_pages(mut self, quarantine: usize) -> PoolBuilder {
        self.guarded = Some(quarantine);
        self.settings.exact = true;
        self
    }

    /// A pool without a budget.
    pub fn build(self) -> MemoryPool {
        MemoryPool { handle: Arc::new(Handle { store: Store::new(self.settle()) }) }
    }

    /// A pool that never holds more than `budget` bytes, rented and idle, and whose rents wait for their turn.
    pub fn build_bounded(mut self, budget: usize) -> BoundedPool {
        self.settings.budget = budget;
        BoundedPool::new(Handle { store: Store::new(self.settle()) })
    }

    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no guard pages"))]
    fn settle(mut self) -> Settings {
        #[cfg(unix)]
        if let Some(quarantine) = self.guarded {
            let quarantine = quarantine.max(self.settings.quarantine);
            self.settings.backing = Arc::new(GuardPages::new().quarantine(quarantine));
        }
        self.settings
    }
}

impl std::fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("backing", &self.settings.backing.name())
            .field("alignment", &self.settings.alignment)
            .finish_non_exhaustive()
    }
}
