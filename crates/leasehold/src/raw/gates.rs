//! The asymmetric fence as models have it, which is what the kernel promises and no more.
//!
//! A thread has a gate. Its light fence is an exchange on its gate, and a heavy fence is one on each gate. So of a light fence
//! and a heavy one, whichever comes later sees what came before the other; and two light fences order nothing between their
//! threads, since neither is an instruction.

use std::cell::Cell;
use std::sync::atomic::AtomicUsize as Counter;

use loom::sync::atomic::{AtomicUsize, Ordering};

/// Threads of a model, at the most.
const THREADS: usize = 3;

struct Gates {
    taken: Counter,
    gates: [AtomicUsize; THREADS],
}

loom::lazy_static! {
    static ref GATES: Gates =
        Gates { taken: Counter::new(0), gates: std::array::from_fn(|_| AtomicUsize::new(0)) };
}

loom::thread_local! {
    static MINE: Cell<usize> = Cell::new(GATES.taken.fetch_add(1, Ordering::Relaxed));
}

/// To be called when a model begins: what makes a lazy static happens before all that use it.
#[cfg(test)]
pub(super) fn set_up() {
    crate::sync::set_up();
    GATES.gates[0].load(Ordering::Relaxed);
}

pub(super) fn light() {
    GATES.gates[MINE.with(Cell::get)].fetch_add(1, Ordering::AcqRel);
}

#[cfg(not(leasehold_fences))]
pub(super) fn heavy() {
    for gate in &GATES.gates {
        gate.fetch_add(1, Ordering::AcqRel);
    }
    // The call ends with a full fence of its own thread.
    loom::sync::atomic::fence(Ordering::SeqCst);
}
