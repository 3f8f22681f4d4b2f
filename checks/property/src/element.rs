//! What the buffers hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold::{MemoryOwner, MemoryPool, SharedOwner};

/// Something with a number in it.
pub trait Element: Send + Sync + Sized + 'static {
    /// An element of the buffer whose drops `drops` counts.
    fn new(value: u32, drops: &Arc<AtomicUsize>) -> Self;

    /// The number.
    fn value(&self) -> u32;

    /// Replaces the number.
    fn set(&mut self, value: u32);

    /// Whether the end of an element is counted.
    const COUNTED: bool;

    /// A rented buffer, if this type can be rented.
    fn rent(_pool: &MemoryPool, _len: usize) -> Option<MemoryOwner<Self>> {
        None
    }

    /// A static table, if there is one of this type.
    fn table() -> Option<(SharedOwner<Self>, &'static [Self])> {
        None
    }
}

static TABLE: [u32; 8] = [11, 12, 13, 14, 15, 16, 17, 18];

impl Element for u32 {
    const COUNTED: bool = false;

    fn new(value: u32, _drops: &Arc<AtomicUsize>) -> u32 {
        value
    }

    fn value(&self) -> u32 {
        *self
    }

    fn set(&mut self, value: u32) {
        *self = value;
    }

    fn rent(pool: &MemoryPool, len: usize) -> Option<MemoryOwner<u32>> {
        Some(pool.rent(len))
    }

    fn table() -> Option<(SharedOwner<u32>, &'static [u32])> {
        Some((SharedOwner::from_static(&TABLE), &TABLE))
    }
}

/// A number on the heap, with a destructor that must run exactly once.
pub struct Tracked {
    value: Box<u32>,
    drops: Arc<AtomicUsize>,
}

impl Element for Tracked {
    const COUNTED: bool = true;

    fn new(value: u32, drops: &Arc<AtomicUsize>) -> Tracked {
        Tracked { value: Box::new(value), drops: Arc::clone(drops) }
    }

    fn value(&self) -> u32 {
        *self.value
    }

    fn set(&mut self, value: u32) {
        *self.value = value;
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}
