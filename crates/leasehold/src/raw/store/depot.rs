//! Idle blocks of one class that no thread keeps to itself.

use crate::raw::block::Block;
use crate::sync::{Mutex, lock};

/// On cache lines of its own.
#[repr(align(128))]
pub(super) struct Depot(Mutex<Idle>);

struct Idle {
    /// The longest idle first.
    blocks: Vec<&'static Block>,
    /// The fewest there were since the last sweep: so many have not been needed.
    unused: usize,
    /// Rents that no thread's cache served.
    rents: u64,
}

impl Depot {
    pub(super) fn new() -> Depot {
        Depot(Mutex::new(Idle { blocks: Vec::new(), unused: 0, rents: 0 }))
    }

    /// Hands up to `count` blocks to `receive`, those that came last. Returns how many.
    pub(super) fn take(&self, count: usize, receive: impl FnOnce(&[&'static Block])) -> usize {
        let mut idle = lock(&self.0);
        let left = idle.blocks.len().saturating_sub(count);
        let taken = idle.blocks.len() - left;
        receive(&idle.blocks[left..]);
        idle.blocks.truncate(left);
        idle.unused = idle.unused.min(left);
        taken
    }

    /// Counts a rent that no thread's cache served.
    pub(super) fn count_rent(&self) {
        lock(&self.0).rents += 1;
    }

    pub(super) fn put(&self, blocks: impl IntoIterator<Item = &'static Block>) {
        lock(&self.0).blocks.extend(blocks);
    }

    /// Up to `count` blocks, those that have been idle longest.
    pub(super) fn take_oldest(&self, count: usize) -> Vec<&'static Block> {
        let mut idle = lock(&self.0);
        let count = count.min(idle.blocks.len());
        idle.unused = idle.unused.saturating_sub(count);
        idle.blocks.drain(..count).collect()
    }

    /// Everything.
    pub(super) fn empty(&self) -> Vec<&'static Block> {
        let mut idle = lock(&self.0);
        idle.unused = 0;
        std::mem::take(&mut idle.blocks)
    }

    /// What has not been needed since the last call.
    pub(super) fn sweep(&self) -> Vec<&'static Block> {
        let mut idle = lock(&self.0);
        let unused = idle.unused;
        let swept = idle.blocks.drain(..unused).collect();
        idle.unused = idle.blocks.len();
        swept
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).blocks.len()
    }

    pub(super) fn rents(&self) -> u64 {
        lock(&self.0).rents
    }

    pub(super) fn blocks(&self) -> Vec<&'static Block> {
        lock(&self.0).blocks.clone()
    }
}
