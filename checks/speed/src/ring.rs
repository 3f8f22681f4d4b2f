//! A way for things from one thread to another that costs next to nothing: batches through a short ring.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::clock::{Clock, OnProcessor, processors};
use crate::pair::spin;
use crate::table::Sample;

/// Things in a batch.
const BATCH: u64 = 64;
const SLOTS: u64 = 4;
/// Batches before the clock starts, and while it runs.
const WARM: u64 = 32;
const MEASURED: u64 = 256;

#[repr(align(128))]
struct Slot<T> {
    full: AtomicBool,
    batch: Mutex<Vec<T>>,
}

impl<T> Slot<T> {
    /// Swaps `batch` with the slot's once that is full, or empty, as wanted.
    fn swap(&self, batch: &mut Vec<T>, when_full: bool) {
        let mut spins = 0;
        while self.full.load(Ordering::Acquire) != when_full {
            spin(&mut spins);
        }
        std::mem::swap(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner), batch);
        self.full.store(!when_full, Ordering::Release);
    }
}

/// Measures how long it takes for something to be made in this thread, handed over in batches of 64, and used up in
/// another. `consume` returns 1 when it found what it expected.
pub fn handover<T: Send>(
    mut make: impl FnMut() -> T,
    mut consume: impl FnMut(T) -> u64 + Send,
) -> Option<Sample> {
    if processors() < 2 {
        return None;
    }
    let slots: [Slot<T>; SLOTS as usize] = std::array::from_fn(|_| Slot {
        full: AtomicBool::new(false),
        batch: Mutex::new(Vec::with_capacity(BATCH as usize)),
    });
    let consumed = AtomicU64::new(0);
    let slot = |turn: u64| &slots[(turn % SLOTS) as usize];
    thread::scope(|scope| {
        scope.spawn(|| {
            let _second = OnProcessor::nth(1);
            let mut batch = Vec::with_capacity(BATCH as usize);
            for turn in 0..WARM + MEASURED {
                slot(turn).swap(&mut batch, true);
                let found: u64 = batch.drain(..).map(&mut consume).sum();
                consumed.fetch_add(found, Ordering::Release);
            }
        });
        let _first = OnProcessor::nth(0);
        let mut batch = Vec::with_capacity(BATCH as usize);
        let mut send = |turns: std::ops::Range<u64>| {
            for turn in turns.clone() {
                batch.extend((0..BATCH).map(|_| make()));
                slot(turn).swap(&mut batch, false);
            }
            let mut spins = 0;
            while consumed.load(Ordering::Acquire) < turns.end * BATCH {
                spin(&mut spins);
            }
        };
        send(0..WARM);
        let sample = Sample::of(MEASURED * BATCH, Clock::wall, || send(WARM..WARM + MEASURED));
        Some(sample)
    })
}
