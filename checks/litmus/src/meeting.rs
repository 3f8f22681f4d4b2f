//! Two threads that do something at the same moment, again and again.

use std::fmt;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// On a line of its own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Line<T>(pub(crate) T);

/// Where two threads wait for each other. Each has its own counter of arrivals.
#[derive(Default)]
pub(crate) struct Meeting {
    arrivals: [Line<AtomicU64>; 2],
}

impl Meeting {
    /// Waits until both threads have come here for the `nth` time.
    pub(crate) fn arrive(&self, side: usize, nth: u64) {
        self.arrivals[side].0.store(nth, Ordering::Release);
        let mut spins = 0;
        while self.arrivals[1 - side].0.load(Ordering::Acquire) < nth {
            spins += 1;
            if spins < 2_000 { spin_loop() } else { thread::yield_now() }
        }
    }
}

/// Numbers without pattern (a xorshift generator).
pub(crate) struct Luck(u64);

impl Luck {
    pub(crate) fn new(seed: u64) -> Luck {
        Luck(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Does nothing for up to `bound` turns of a loop, so that the moments of two threads shift against each other.
    pub(crate) fn linger(&mut self, bound: u64) {
        for _ in 0..self.below(bound) {
            black_box(());
        }
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rounds after which it is enough.
    pub rounds: u64,
    /// Time after which it is enough, if that comes first.
    pub time: Duration,
    /// Violations after which it is enough: a control has made its point.
    pub violations: u64,
}

/// What happened.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How often the two threads met.
    pub rounds: u64,
    /// How often what must not be was.
    pub violations: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violations in {} rounds", self.violations, self.rounds)
    }
}

/// Runs `batch`, which returns the violations among so many rounds, until one of the limits is reached.
pub(crate) fn until(limits: Limits, mut batch: impl FnMut(u64) -> u64) -> Outcome {
    const BATCH: u64 = 2_000;
    let end = Instant::now() + limits.time;
    let mut outcome = Outcome::default();
    while outcome.rounds < limits.rounds && outcome.violations < limits.violations && Instant::now() < end {
        outcome.violations += batch(BATCH);
        outcome.rounds += BATCH;
    }
    outcome
}
