//! The oracle: what is known about each budget, each rent and each task that waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

/// Bytes in the smallest buffer for `len`: whole cache lines up to 256 bytes, then four sizes per doubling.
pub fn class_of(len: usize) -> usize {
    let lines = len.max(1).next_multiple_of(64);
    if lines <= 256 {
        return lines;
    }
    let mut power = 256;
    while 2 * power < lines {
        power *= 2;
    }
    lines.next_multiple_of(power / 4)
}

/// A budget: that of the pool, or a share of one.
pub struct Account {
    pub budget: usize,
    /// What it is a share of.
    pub parent: Option<usize>,
    /// Handles of the pool: the one that is kept, and those of tasks.
    pub handles: usize,
    /// Bytes of rents that have not come back.
    pub rented: usize,
    pub rents: usize,
    /// Bytes promised to tasks that have not been polled since.
    pub promised: usize,
    /// Bytes set aside for shares, and how many there are.
    pub shared: usize,
    pub shares: usize,
    /// Tasks that wait, in the order of arrival.
    pub queue: VecDeque<usize>,
    /// Tasks that ever had to wait.
    pub waited: u64,
    /// Whether its bytes are the parent's again.
    pub ended: bool,
}

impl Account {
    pub fn new(budget: usize, parent: Option<usize>) -> Account {
        Account {
            budget,
            parent,
            handles: 1,
            rented: 0,
            rents: 0,
            promised: 0,
            shared: 0,
            shares: 0,
            queue: VecDeque::new(),
            waited: 0,
            ended: false,
        }
    }

    /// Bytes that are not to be had, however hard one tries.
    pub fn used(&self) -> usize {
        self.rented + self.promised + self.shared
    }

    /// Whether who comes now gets so much.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.queue.is_empty() && self.used() + bytes <= self.budget
    }
}

/// A buffer, from its rent until it is back.
pub struct Rented {
    pub account: usize,
    pub bytes: usize,
    pub address: usize,
    /// What its tenant has written.
    pub tag: u8,
    pub spans: usize,
    pub pins: usize,
    /// Leases so far.
    pub leases: usize,
    /// Over, with nobody who wants it back.
    pub abandoned: bool,
    /// Whether the last lease goes on.
    pub running: bool,
    pub back: bool,
}

impl Rented {
    pub fn new(account: usize, bytes: usize, address: usize, tag: u8) -> Rented {
        let (spans, pins, leases) = (0, 0, 0);
        let (abandoned, running, back) = (false, false, false);
        Rented { account, bytes, address, tag, spans, pins, leases, abandoned, running, back }
    }

    pub fn goes_on(&self, lease: usize) -> bool {
        self.running && self.leases == lease
    }

    /// Whether nobody is inside.
    pub fn is_empty(&self) -> bool {
        self.spans + self.pins == 0
    }
}

/// How a task stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Never polled.
    Fresh,
    /// In the queue.
    Waiting,
    /// Served, and not polled since.
    Granted,
}

/// A waker that counts how often it was called.
#[derive(Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    pub fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
