//! Who holds what: counted when somebody asks, not when somebody rents.

use std::collections::HashSet;
use std::ptr;

use super::cache::{self, CACHED_CLASSES, class_of_block};
use super::class::{CLASSES, bytes_of};
use super::{Store, clock};
use crate::raw::block::{Block, Site};
use crate::raw::{lease, limbo};
use crate::sync::{Ordering, lock};

/// The figures of one size class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassCount {
    pub(crate) bytes: usize,
    pub(crate) rented: usize,
    pub(crate) idle: usize,
    pub(crate) rents: u64,
    pub(crate) misses: u64,
    pub(crate) foreign: u64,
}

/// A block that somebody has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outstanding {
    /// When it was rented, in milliseconds.
    pub(crate) since: u64,
    pub(crate) site: Option<Site>,
    pub(crate) bytes: usize,
    /// Milliseconds since it was rented.
    pub(crate) age: u64,
    pub(crate) leased: bool,
    pub(crate) pins: usize,
    pub(crate) spans: usize,
}

impl Store {
    /// The classes of which there ever was a block. Exact when nobody rents meanwhile.
    pub(crate) fn counts(&self) -> Vec<ClassCount> {
        let kept = cache::survey(self);
        let quarantined = self.watch.quarantined();
        let ledger = lock(&self.ledger);
        let count = |class: usize| {
            let (blocks, misses) = ledger.count[class];
            if misses == 0 {
                return None;
            }
            let seen = kept.get(class).copied().unwrap_or_default();
            let quarantined = quarantined.iter().filter(|(_, other)| *other == class).count();
            let idle = seen.idle + self.depot(class).len() + quarantined;
            let promised = ledger.promised().filter(|&block| class_of_block(block) == class).count();
            Some(ClassCount {
                bytes: bytes_of(class),
                rented: blocks.saturating_sub(idle + promised),
                idle,
                rents: seen.rents + self.depot(class).rents(),
                misses,
                foreign: seen.foreign,
            })
        };
        (0..CLASSES).filter_map(count).collect()
    }

    /// Bytes that nobody uses, those that threads keep to themselves included.
    pub(crate) fn idle_bytes(&self) -> usize {
        let kept = cache::survey(self);
        let kept: usize = (0..CACHED_CLASSES).map(|class| kept[class].idle * bytes_of(class)).sum();
        let quarantined: usize = self.watch.quarantined().iter().map(|&(_, class)| bytes_of(class)).sum();
        kept + quarantined + self.idle_bytes.load(Ordering::Relaxed)
    }

    /// The blocks that are rented, the longest first. What was revoked and is free is let go before.
    pub(crate) fn outstanding(&self) -> Vec<Outstanding> {
        let now = clock::now();
        limbo::flush_all();
        let idle = self.idle_blocks(now);
        let ledger = lock(&self.ledger);
        let is_rented =
            |block: &&&'static Block| !idle.contains(&ptr::from_ref(**block)) && !ledger.is_promised(block);
        let rented = ledger.blocks.values().filter(is_rented);
        let mut found: Vec<_> = rented.map(|block| describe(block, now)).collect();
        found.sort_by_key(|rent| std::cmp::Reverse(rent.age));
        found
    }

    /// A moment in milliseconds that every rent until now came before, and every later one does not.
    pub(crate) fn draw_line(&self) -> u64 {
        let before = clock::now();
        let mut line = before;
        while line == before {
            std::thread::yield_now();
            line = clock::now();
        }
        cache::blocks(self, line);
        line
    }

    /// The class of a block that may be gone.
    pub(super) fn class_if_known(&self, block: *const Block) -> Option<usize> {
        let ledger = lock(&self.ledger);
        ledger.blocks.get(&block.addr()).map(|&block| class_of_block(block))
    }

    fn idle_blocks(&self, now: u64) -> HashSet<*const Block> {
        let mut idle = cache::blocks(self, now);
        idle.extend(self.watch.quarantined().into_iter().map(|(block, _)| ptr::from_ref(block)));
        for class in 0..CLASSES {
            idle.extend(self.depot(class).blocks().into_iter().map(ptr::from_ref));
        }
        idle
    }
}

fn describe(block: &'static Block, now: u64) -> Outstanding {
    let (leased, pins, spans) = lease::users(block);
    Outstanding {
        since: block.rented_at(),
        site: block.created(),
        bytes: bytes_of(class_of_block(block)),
        age: now.saturating_sub(block.rented_at()),
        leased,
        pins,
        spans,
    }
}
