//! A pool with a budget or without one.

use bytemuck::Pod;

use super::{BoundedPool, MemoryPool};
use crate::error::RentError;
use crate::owner::MemoryOwner;
use crate::raw::Site;

/// A pool with a budget or without one: what a writer or a pipe rents its blocks from.
///
/// Made from either pool, or from a reference to one; both are handles, and cloned at the cost of one atomic addition.
///
/// # Examples
/// ```
/// use leasehold::{AnyPool, MemoryPool};
///
/// assert!(matches!(AnyPool::from(MemoryPool::shared()), AnyPool::Unbounded(_)));
/// assert!(matches!(AnyPool::from(MemoryPool::builder().build_bounded(1 << 20)), AnyPool::Bounded(_)));
/// ```
#[derive(Clone, Debug)]
pub enum AnyPool {
    /// Without a budget.
    Unbounded(MemoryPool),
    /// With a budget: who finds it used up waits, or is refused.
    Bounded(BoundedPool),
}

impl AnyPool {
    /// As the pools' own, for somebody at `site`.
    pub(crate) fn try_rent_at<T: Pod + Send>(
        &self,
        len: usize,
        site: Site,
    ) -> Result<MemoryOwner<T>, RentError> {
        match self {
            AnyPool::Unbounded(pool) => pool.try_rent_at(len, site),
            AnyPool::Bounded(pool) => pool.try_rent_at(len, site),
        }
    }
}

impl From<MemoryPool> for AnyPool {
    fn from(pool: MemoryPool) -> AnyPool {
        AnyPool::Unbounded(pool)
    }
}

impl From<&MemoryPool> for AnyPool {
    fn from(pool: &MemoryPool) -> AnyPool {
        AnyPool::Unbounded(pool.clone())
    }
}

impl From<BoundedPool> for AnyPool {
    fn from(pool: BoundedPool) -> AnyPool {
        AnyPool::Bounded(pool)
    }
}

impl From<&BoundedPool> for AnyPool {
    fn from(pool: &BoundedPool) -> AnyPool {
        AnyPool::Bounded(pool.clone())
    }
}
