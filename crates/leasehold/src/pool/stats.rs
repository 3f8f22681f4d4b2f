//! What a pool has done.

use crate::raw::{self, ClassCount, Store};

/// The figures of a pool; see [`MemoryPool::stats`](crate::MemoryPool::stats).
///
/// They are put together from what each thread counted for itself, so they are exact when nobody rents meanwhile, and close
/// otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolStats {
    /// Bytes that the pool may hold, rented and idle; `None` without a budget.
    pub budget: Option<usize>,
    /// Bytes of the buffers that are rented, or revoked and not drained.
    pub rented_bytes: usize,
    /// Bytes that nobody uses, in stock and with threads.
    pub idle_bytes: usize,
    /// The most bytes that the pool ever held.
    pub peak_bytes: usize,
    /// Rents that wait for memory.
    pub waiting: usize,
    /// Rents that ever had to wait.
    pub waited: u64,
    /// Barriers that interrupted other threads, of all pools and leases of the process.
    pub heavy_barriers: u64,
    /// Every size of which there ever was a buffer.
    pub classes: Vec<ClassStats>,
}

/// The figures of the buffers of one size.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes in a buffer.
    pub bytes: usize,
    /// Buffers that are rented, or revoked and not drained.
    pub rented: usize,
    /// Buffers that nobody uses.
    pub idle: usize,
    /// Rents so far.
    pub rents: u64,
    /// Buffers that had to be made for them, or were reserved.
    pub misses: u64,
    /// Buffers that threads have returned beyond those that they had rented, summed over the threads: the balance as it is
    /// now, not a count of returns. Two threads that return as many of each other's buffers as of their own rents show
    /// zero, and a thread that rents what others return shows less again. So many buffers at least were returned by another
    /// thread than the one that rented them. Buffers above 1 MiB are not counted.
    pub returned_elsewhere: u64,
}

impl ClassStats {
    /// Rents that were served with a buffer that was there already.
    pub fn hits(&self) -> u64 {
        self.rents.saturating_sub(self.misses)
    }
}

impl PoolStats {
    pub(super) fn of(store: &Store) -> PoolStats {
        let balance = store.balance();
        let classes: Vec<_> = store.counts().into_iter().map(ClassStats::from).collect();
        PoolStats {
            budget: (balance.budget != usize::MAX).then_some(balance.budget),
            rented_bytes: classes.iter().map(|class| class.rented * class.bytes).sum(),
            idle_bytes: classes.iter().map(|class| class.idle * class.bytes).sum(),
            peak_bytes: balance.peak,
            waiting: balance.waiting,
            waited: balance.waited,
            heavy_barriers: raw::heavy_barriers(),
            classes,
        }
    }

    /// Rents so far.
    pub fn rents(&self) -> u64 {
        self.classes.iter().map(|class| class.rents).sum()
    }

    /// Rents that were served with a buffer that was there already.
    pub fn hits(&self) -> u64 {
        self.rents().saturating_sub(self.misses())
    }

    /// Buffers that had to be made.
    pub fn misses(&self) -> u64 {
        self.classes.iter().map(|class| class.misses).sum()
    }

    /// The balance of returns by other threads than those that rented; see [`ClassStats::returned_elsewhere`].
    pub fn returned_elsewhere(&self) -> u64 {
        self.classes.iter().map(|class| class.returned_elsewhere).sum()
    }
}

#[cfg(feature = "metrics")]
impl PoolStats {
    /// Hands the figures to the recorder of the [`metrics`] crate, labelled with the name of the pool: the gauges
    /// `leasehold_pool_{rented,idle,peak,budget}_bytes`, `leasehold_pool_waiting` and `leasehold_pool_returned_elsewhere`, and the counters
    /// `leasehold_pool_{rents,misses,waited}_total` and `leasehold_heavy_barriers_total`. Call it as often as the figures are
    /// collected.
    ///
    /// # Examples
    /// ```
    /// leasehold::MemoryPool::shared().stats().record("shared");
    /// ```
    pub fn record(&self, pool: &str) {
        let gauge = |name, value: usize| metrics::gauge!(name, "pool" => pool.to_owned()).set(value as f64);
        gauge("leasehold_pool_rented_bytes", self.rented_bytes);
        gauge("leasehold_pool_idle_bytes", self.idle_bytes);
        gauge("leasehold_pool_peak_bytes", self.peak_bytes);
        gauge("leasehold_pool_waiting", self.waiting);
        metrics::gauge!("leasehold_pool_returned_elsewhere", "pool" => pool.to_owned())
            .set(self.returned_elsewhere() as f64);
        if let Some(budget) = self.budget {
            gauge("leasehold_pool_budget_bytes", budget);
        }
        let counter = |name, value| metrics::counter!(name, "pool" => pool.to_owned()).absolute(value);
        counter("leasehold_pool_rents_total", self.rents());
        counter("leasehold_pool_misses_total", self.misses());
        counter("leasehold_pool_waited_total", self.waited);
        metrics::counter!("leasehold_heavy_barriers_total").absolute(self.heavy_barriers);
    }
}

impl From<ClassCount> for ClassStats {
    fn from(count: ClassCount) -> ClassStats {
        let ClassCount { bytes, rented, idle, rents, misses, foreign } = count;
        ClassStats { bytes, rented, idle, rents, misses, returned_elsewhere: foreign }
    }
}
