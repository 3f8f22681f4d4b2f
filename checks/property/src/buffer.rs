//! The oracle: what is known about each buffer and each lease.

use std::ops::Range;
use std::sync::atomic::Ordering;

use crate::source::Seen;

/// A buffer, from its making to its release.
pub struct Buffer {
    pub contents: Vec<u32>,
    pub writable: bool,
    pub released: bool,
    pub shares: usize,
    pub leases: Vec<Lease>,
    pub seen: Seen,
    pub tells_release: bool,
    pub tells_pins: bool,
    pub drops_elements: bool,
    pins_begun: usize,
    pins_ended: usize,
}

/// How a lease stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Running,
    /// Over, with a revocation that waits for the owner.
    Draining,
    /// Over, with nobody who waits.
    Abandoned,
    /// Over, and the owner was given back or the buffer released.
    Ended,
}

pub struct Lease {
    pub state: State,
    pub exclusive: bool,
    /// Parts that have not come back, those that were forgotten included.
    pub parts: usize,
    /// Spans of each worker, those that were forgotten included.
    pub spans: [usize; 2],
    /// Pins, those that were forgotten included.
    pub pins: usize,
}

/// Which lease of which buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseId {
    pub buffer: usize,
    pub lease: usize,
}

impl Buffer {
    pub fn new(made: (Vec<u32>, Seen), writable: bool, tells: [bool; 3]) -> Buffer {
        let [tells_release, tells_pins, drops_elements] = tells;
        Buffer {
            contents: made.0,
            writable,
            released: false,
            shares: 0,
            leases: Vec::new(),
            seen: made.1,
            tells_release,
            tells_pins,
            drops_elements,
            pins_begun: 0,
            pins_ended: 0,
        }
    }

    pub fn begin(&mut self, exclusive: bool) -> usize {
        self.leases.push(Lease {
            state: State::Running,
            exclusive,
            parts: usize::from(exclusive),
            spans: [0; 2],
            pins: 0,
        });
        self.leases.len() - 1
    }

    pub fn pinned(&mut self, lease: usize) {
        let lease = &mut self.leases[lease];
        if lease.pins == 0 {
            self.pins_begun += 1;
        }
        lease.pins += 1;
    }

    pub fn unpinned(&mut self, lease: usize) {
        self.leases[lease].pins -= 1;
        if self.leases[lease].pins == 0 {
            self.pins_ended += 1;
        }
        self.settle(lease);
    }

    pub fn span_ended(&mut self, lease: usize, worker: usize) {
        self.leases[lease].spans[worker] -= 1;
        self.settle(lease);
    }

    /// The last one out releases what nobody waits for.
    pub fn settle(&mut self, lease: usize) {
        let lease = &mut self.leases[lease];
        if lease.state == State::Abandoned && lease.is_empty() {
            lease.state = State::Ended;
            self.released = true;
        }
    }

    /// The lessor is dropped.
    pub fn abandon(&mut self, lease: usize) {
        let at_once = self.leases[lease].is_reclaimable();
        self.leases[lease].state = if at_once { State::Ended } else { State::Abandoned };
        self.released = at_once;
    }

    /// Whether what the source was seen to do is what it should have done by now.
    pub fn check(&self) {
        let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::SeqCst);
        if self.tells_release {
            assert_eq!(count(&self.seen.releases), usize::from(self.released), "releases");
        }
        if self.drops_elements {
            let expected = if self.released { self.contents.len() } else { 0 };
            assert_eq!(count(&self.seen.drops), expected, "drops of elements");
        }
        if self.tells_pins {
            let [begun, ended] = &*self.seen.pins;
            assert_eq!((count(begun), count(ended)), (self.pins_begun, self.pins_ended), "pins told");
        }
    }

    pub fn slice(&self, range: &Range<usize>) -> &[u32] {
        &self.contents[range.clone()]
    }
}

impl Lease {
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Parts count while the lease goes on; afterwards nobody asks for them.
    pub fn part_made(&mut self) {
        self.parts += usize::from(self.is_running());
    }

    pub fn part_ended(&mut self) {
        self.parts -= usize::from(self.is_running());
    }

    pub fn span_count(&self) -> usize {
        self.spans.iter().sum()
    }

    /// Whether nobody is inside.
    pub fn is_empty(&self) -> bool {
        self.span_count() == 0 && self.pins == 0
    }

    /// Whether every part of an exclusive lease has come back. Spans that were forgotten do not count then: they cannot
    /// be used any more.
    pub fn is_returned(&self) -> bool {
        self.exclusive && self.parts == 0
    }

    pub fn is_reclaimable(&self) -> bool {
        self.is_returned() || self.is_empty()
    }
}
