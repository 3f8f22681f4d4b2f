//! A workload to replay: what several threads take and give back, the same every time.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// Steps that a thread takes before it is the next one's turn.
const STEPS_IN_A_TURN: usize = 100;

/// What is taken and given back, in order.
#[derive(Clone, Debug)]
pub struct Trace {
    steps: Vec<Step>,
    slots: usize,
    peak_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take { slot: usize, len: usize },
    Give { slot: usize },
}

/// A part of the workload with sizes of its own.
struct Phase {
    /// The smallest size and the one that all stay below, as powers of two. Each doubling is as likely as any other.
    sizes: std::ops::Range<u32>,
    /// Its part of all takes.
    share: u64,
}

/// Small ones, all sizes, large ones, middling ones, all sizes again: what one phase leaves behind is of no use to the
/// next.
const PHASES: [Phase; 5] = [
    Phase { sizes: 6..12, share: 6 },
    Phase { sizes: 6..22, share: 4 },
    Phase { sizes: 18..22, share: 2 },
    Phase { sizes: 10..16, share: 6 },
    Phase { sizes: 6..22, share: 4 },
];

impl Trace {
    /// Sizes from 64 bytes to 4 MiB. Of a hundred buffers 70 live for a few takes, 25 for some hundred, and 5 until the
    /// next phase has begun.
    pub fn mixed(seed: u64, takes: u64) -> Trace {
        let shares: u64 = PHASES.iter().map(|phase| phase.share).sum();
        let mut random = Random(seed);
        let mut live = Live::default();
        let (mut now, mut end) = (0, 0);
        for Phase { sizes, share } in &PHASES {
            end += takes * share / shares;
            while now < end {
                let bits = sizes.start + random.below(u64::from(sizes.end - sizes.start)) as u32;
                let len = (1 << bits) + random.below(1 << bits) as usize;
                let lifetime = match random.below(100) {
                    0..70 => 1 + random.below(8),
                    70..95 => random.below(500),
                    _ => end - now + random.below(takes / 10),
                };
                live.take(len, now + lifetime);
                now += 1;
                live.give_until(now);
            }
        }
        live.give_until(u64::MAX);
        Trace { steps: live.steps, slots: live.lens.len(), peak_bytes: live.peak_bytes }
    }

    /// The most bytes that are out at a time, as they were asked for.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    /// Takes and gives back in `threads` threads, in turns of a hundred steps: what one thread took another gives back. No
    /// two threads are at work at a time, so that each replay does the same.
    pub fn replay<T: Send>(&self, threads: usize, take: impl Fn(usize) -> T + Sync) {
        let slots = (0..self.slots).map(|_| None).collect();
        let baton = Mutex::new(Baton { turn: 0, slots });
        let passed = Condvar::new();
        thread::scope(|scope| {
            let spawn = |me| {
                let (baton, passed, take) = (&baton, &passed, &take);
                scope.spawn(move || {
                    for (turn, steps) in self.steps.chunks(STEPS_IN_A_TURN).enumerate() {
                        if turn % threads != me {
                            continue;
                        }
                        let baton = baton.lock().unwrap_or_else(PoisonError::into_inner);
                        let mine = passed.wait_while(baton, |baton| baton.turn != turn);
                        let mut baton = mine.unwrap_or_else(PoisonError::into_inner);
                        baton.carry_out(steps, take);
                        passed.notify_all();
                    }
                })
            };
            let workers: Vec<_> = (0..threads).map(spawn).collect();
            // The scope alone does not wait for what the threads' locals do when they are destroyed.
            for worker in workers {
                worker.join().expect("a replay does not panic");
            }
        });
    }
}

/// What the threads pass on.
struct Baton<T> {
    turn: usize,
    slots: Vec<Option<T>>,
}

impl<T> Baton<T> {
    fn carry_out(&mut self, steps: &[Step], take: impl Fn(usize) -> T) {
        for step in steps {
            match *step {
                Step::Take { slot, len } => self.slots[slot] = Some(take(len)),
                Step::Give { slot } => self.slots[slot] = None,
            }
        }
        self.turn += 1;
    }
}

/// What is out while a trace is made.
#[derive(Default)]
struct Live {
    steps: Vec<Step>,
    /// The length of what is in each slot, or was.
    lens: Vec<usize>,
    free: Vec<usize>,
    /// When each is given back.
    ends: BTreeSet<(u64, usize)>,
    bytes: usize,
    peak_bytes: usize,
}

impl Live {
    fn take(&mut self, len: usize, until: u64) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.lens.push(0);
            self.lens.len() - 1
        });
        self.lens[slot] = len;
        self.ends.insert((until, slot));
        self.steps.push(Step::Take { slot, len });
        self.bytes += len;
        self.peak_bytes = self.peak_bytes.max(self.bytes);
    }

    fn give_until(&mut self, now: u64) {
        while let Some(&(end, slot)) = self.ends.first().filter(|(end, _)| *end <= now) {
            self.ends.remove(&(end, slot));
            self.steps.push(Step::Give { slot });
            self.bytes -= self.lens[slot];
            self.free.push(slot);
        }
    }
}

/// Numbers that look like chance (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}
