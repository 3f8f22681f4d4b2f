//! Finds writes through pointers that outlived their buffer, or run past its end. Opt-in; costs a pass over the memory.
//!
//! What a tenant did not ask for, the slack of its size class, is filled with a pattern while the buffer is rented. What
//! comes back is filled with another, and may stay out of circulation for a while. Whoever writes where no tenant is
//! leaves a mark in one or the other.

use std::collections::{HashMap, HashSet, VecDeque};

use super::class::bytes_of;
use super::{Settings, Store, events};
use crate::raw::block::{Block, Source};
use crate::sync::{Mutex, lock};

/// Fills the slack of a buffer that is rented.
const SLACK: u8 = 0xA5;
/// Fills a buffer that nobody rents.
const IDLE: u8 = 0xD9;

pub(super) struct Watch {
    fill: Fill,
    /// Bytes that stay out of circulation.
    quarantine: usize,
    state: Mutex<State>,
}

/// What happens to the contents of what comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Nothing,
    Zeros,
    /// Patterns, which are looked at again. With zeros in place of [`IDLE`] where zeros were asked for.
    Watched(u8),
}

#[derive(Default)]
struct State {
    /// Bytes that the tenants of rented blocks asked for, by the address of the block.
    tenants: HashMap<usize, usize>,
    /// Blocks that are filled with the idle pattern, by their address.
    filled: HashSet<usize>,
    quarantined: VecDeque<(&'static Block, usize)>,
    quarantined_bytes: usize,
}

impl Watch {
    pub(super) fn new(settings: &Settings) -> Watch {
        let watched = settings.poison || settings.quarantine > 0;
        let fill = match (watched, settings.zero_on_return) {
            (true, true) => Fill::Watched(0),
            (true, false) => Fill::Watched(IDLE),
            (false, true) => Fill::Zeros,
            (false, false) => Fill::Nothing,
        };
        // Memory of one's own never comes into circulation; its quarantine is the backing's.
        let quarantine = if settings.exact { 0 } else { settings.quarantine };
        Watch { fill, quarantine, state: Mutex::new(State::default()) }
    }

    /// Whether every return has to come by here.
    pub(super) fn is_attentive(&self) -> bool {
        self.fill != Fill::Nothing
    }

    /// Looks at a block that is about to be rented for `bytes`.
    ///
    /// # Panics
    /// When it was written to while nobody rented it.
    pub(super) fn rent(&self, block: &'static Block, bytes: usize) {
        let Fill::Watched(idle) = self.fill else { return };
        let filled = lock(&self.state).filled.remove(&address(block));
        if filled && let Some(at) = find_other(block, 0, idle) {
            violation(block, "written to after it came back", at);
        }
        fill(block, bytes, SLACK);
        lock(&self.state).tenants.insert(address(block), bytes);
    }

    /// Looks at a block that comes back, and clears it. Hands back the blocks that may go into circulation.
    ///
    /// # Panics
    /// When it was written to beyond its end; the block is never used again then.
    pub(super) fn give_back(&self, block: &'static Block, class: usize) -> Vec<(&'static Block, usize)> {
        match self.fill {
            Fill::Nothing => {}
            Fill::Zeros => fill(block, 0, 0),
            Fill::Watched(idle) => {
                let bytes = lock(&self.state).tenants.remove(&address(block));
                if let Some(bytes) = bytes
                    && let Some(at) = find_other(block, bytes, SLACK)
                {
                    violation(block, "written to beyond its end", at);
                }
                fill(block, 0, idle);
                lock(&self.state).filled.insert(address(block));
            }
        }
        self.quarantine(block, class)
    }

    fn quarantine(&self, block: &'static Block, class: usize) -> Vec<(&'static Block, usize)> {
        if self.quarantine == 0 {
            return vec![(block, class)];
        }
        let mut state = lock(&self.state);
        state.quarantined.push_back((block, class));
        state.quarantined_bytes += bytes_of(class);
        let mut out = Vec::new();
        while state.quarantined_bytes > self.quarantine
            && let Some((block, class)) = state.quarantined.pop_front()
        {
            state.quarantined_bytes -= bytes_of(class);
            out.push((block, class));
        }
        out
    }

    /// Ends the quarantine of everything.
    pub(super) fn empty(&self) -> Vec<(&'static Block, usize)> {
        let mut state = lock(&self.state);
        state.quarantined_bytes = 0;
        state.quarantined.drain(..).collect()
    }

    /// A block goes to the backing.
    ///
    /// # Panics
    /// When it was written to while nobody rented it.
    pub(super) fn discard(&self, block: &'static Block) {
        let Fill::Watched(idle) = self.fill else { return };
        if lock(&self.state).filled.remove(&address(block))
            && let Some(at) = find_other(block, 0, idle)
        {
            violation(block, "written to after it came back", at);
        }
    }

    /// What is in quarantine, with the classes.
    pub(super) fn quarantined(&self) -> Vec<(&'static Block, usize)> {
        lock(&self.state).quarantined.iter().copied().collect()
    }
}

impl Store {
    /// Puts what may go into circulation into the depots. Frees it where every rent has memory of its own, since that need
    /// not be as large as its class.
    pub(super) fn put_all_idle(&self, blocks: Vec<(&'static Block, usize)>) {
        for (block, class) in blocks {
            if self.settings.exact {
                self.discard_all(class, vec![block]);
            } else {
                self.put_idle(class, 1, [block]);
            }
        }
    }
}

fn address(block: &'static Block) -> usize {
    std::ptr::from_ref(block).addr()
}

/// Overwrites the memory of a block from byte `from` on, in a way that the compiler cannot leave out. For who holds it
/// exclusively.
fn fill(block: &'static Block, from: usize, byte: u8) {
    // SAFETY: the caller holds the block exclusively (R2).
    let &Source { base, room, .. } = unsafe { block.source() };
    let base = base.cast::<u8>();
    let aligned = from.next_multiple_of(size_of::<u64>()).min(room);
    for at in from..aligned {
        // SAFETY: inside the block.
        let byte_at = unsafe { base.add(at) };
        // SAFETY: the memory is writable, and ours.
        unsafe { byte_at.write_volatile(byte) };
    }
    // Room is a multiple of a cache line, and begins at one.
    for at in (aligned..room).step_by(size_of::<u64>()) {
        // SAFETY: inside the block.
        let word = unsafe { base.add(at) };
        // SAFETY: as above, and aligned.
        unsafe { word.cast::<u64>().write_volatile(u64::from_ne_bytes([byte; 8])) };
    }
}

/// The first byte from `from` on that is not `byte`.
fn find_other(block: &'static Block, from: usize, byte: u8) -> Option<usize> {
    // SAFETY: the caller holds the block exclusively (R2).
    let &Source { base, room, .. } = unsafe { block.source() };
    // SAFETY: the block is initialised (R4), and nobody but us has a right to it.
    let bytes = unsafe { std::slice::from_raw_parts(base.cast::<u8>(), room) };
    bytes.iter().skip(from).position(|&other| other != byte).map(|at| from + at)
}

#[cold]
fn violation(block: &'static Block, what: &str, at: usize) {
    // SAFETY: the caller holds the block exclusively (R2).
    let room = unsafe { block.source() }.room;
    let site = block.created().map_or_else(|| "a place unknown".to_owned(), ToString::to_string);
    let message = format!("a buffer of {room} bytes, last rented at {site}, was {what}: at byte {at}");
    events::violated(&message);
    if std::thread::panicking() {
        eprintln!("leasehold: {message}");
    } else {
        panic!("{message}");
    }
}
