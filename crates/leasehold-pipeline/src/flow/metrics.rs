//! What each stage does with its time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What one stage of a run has done so far; see [`Run::metrics`](super::Run::metrics).
///
/// Times are added up over the stage's workers. A wait counts when it is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageMetrics {
    /// Its name.
    pub name: Arc<str>,
    /// Threads that run it.
    pub workers: usize,
    /// Items that it has taken; none for a source.
    pub taken: u64,
    /// Items that it has given on.
    pub given: u64,
    /// Time at work.
    pub busy: Duration,
    /// Time without input.
    pub waiting_for_input: Duration,
    /// Time in which it could not give on what it had made.
    pub waiting_for_room: Duration,
}

/// The counters behind the figures.
///
/// All of them are statistics, so every access is relaxed.
#[derive(Debug)]
pub(super) struct Counters {
    name: Arc<str>,
    workers: usize,
    taken: AtomicU64,
    given: AtomicU64,
    busy: AtomicU64,
    starved: AtomicU64,
    blocked: AtomicU64,
}

impl Counters {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        let [taken, given, busy, starved, blocked] = [0; 5].map(AtomicU64::new);
        Self { name, workers, taken, given, busy, starved, blocked }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn took(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gave(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn worked(&self, time: Duration) {
        add(&self.busy, time);
    }

    pub(super) fn waited_for_input(&self, time: Duration) {
        add(&self.starved, time);
    }

    pub(super) fn waited_for_room(&self, time: Duration) {
        add(&self.blocked, time);
    }

    pub(super) fn read(&self) -> StageMetrics {
        let time = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Ordering::Relaxed));
        StageMetrics {
            name: Arc::clone(&self.name),
            workers: self.workers,
            taken: self.taken.load(Ordering::Relaxed),
            given: self.given.load(Ordering::Relaxed),
            busy: time(&self.busy),
            waiting_for_input: time(&self.starved),
            waiting_for_room: time(&self.blocked),
        }
    }
}

fn add(nanos: &AtomicU64, time: Duration) {
    // Five centuries fit.
    nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}
