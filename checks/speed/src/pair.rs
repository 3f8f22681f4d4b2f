//! Two threads at work, each on a processor of its own.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::clock::{Clock, OnProcessor, processors};
use crate::table::{Sample, repeat};

/// Operations between two looks at the flag that ends a busy thread.
const STRIDE: u64 = 64;

/// What a busy thread has done so far.
#[derive(Debug, Default)]
pub struct Busy {
    operations: AtomicU64,
    ended: AtomicBool,
}

impl Busy {
    /// Repeats `operation` on the second processor until [`end`](Self::end) is called.
    pub fn repeat(&self, mut operation: impl FnMut() -> u64) {
        while !self.ended.load(Ordering::Relaxed) {
            let done = repeat(STRIDE, &mut operation);
            self.operations.fetch_add(done, Ordering::Relaxed);
        }
    }

    /// As [`repeat`](Self::repeat), for operations that take long.
    pub fn repeat_long(&self, mut operation: impl FnMut() -> u64) {
        while !self.ended.load(Ordering::Relaxed) {
            self.operations.fetch_add(operation(), Ordering::Relaxed);
        }
    }

    /// Operations done so far.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Waits until the thread is at work.
    pub fn wait_until_at_work(&self) {
        let before = self.operations();
        let mut spins = 0;
        while self.operations() == before {
            spin(&mut spins);
        }
    }

    /// Ends the thread's work.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Measures `times` calls of `operation` while another thread repeats `other`. `None` when there is no second
/// processor, or when the other thread did not get it.
pub fn beside(
    times: u64,
    mut operation: impl FnMut() -> u64,
    other: impl FnMut() -> u64 + Send,
) -> Option<Sample> {
    if processors() < 2 {
        return None;
    }
    let busy = Busy::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _second = OnProcessor::nth(1);
            busy.repeat(other);
        });
        let _first = OnProcessor::nth(0);
        let mut measured = None;
        // Twice, the first time to warm up.
        for times in [times / 4, times] {
            busy.wait_until_at_work();
            let before = busy.operations();
            let mut done = 0;
            let sample = Sample::of(0, Clock::wall, || done = repeat(times, &mut operation));
            assert!(done >= times, "every call of the operation does at least one");
            let undisturbed = busy.operations() - before >= done / 2;
            measured = undisturbed.then_some(Sample { operations: done, ..sample });
        }
        busy.end();
        measured
    })
}

/// Waits a little: on the processor at first, then beside it.
pub(crate) fn spin(spins: &mut u32) {
    *spins += 1;
    if *spins < 20_000 {
        spin_loop();
    } else {
        thread::yield_now();
    }
}
