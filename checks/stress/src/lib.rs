//! Many threads at once: readers against revoke and re-rent, a budget that is always short, threads that come and go; see
//! `README.md`.
#![allow(clippy::unwrap_used, reason = "a check that fails to unwrap has failed")]

mod budget;
mod random;
mod soak;
mod tenant;

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leasehold::{Lessor, MemoryOwner, MemoryPool, ReadOnly, ReadOnlyMemory, reclaim_now};

pub use budget::{BudgetLimits, BudgetReport, run_budget};
use random::Random;
pub use soak::{SoakReport, Window, run_soak};

/// Words in a buffer.
const WORDS: usize = 96;
/// Places where the present tenants leave their handles.
const PLACES: usize = 4;
/// Handles a reader keeps, long after their leases have ended.
const KEPT: usize = 32;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Accesses that succeeded.
    pub accesses: u64,
    /// Time.
    pub time: Duration,
    /// Whether the first stale byte is enough.
    pub stop_at_stale: bool,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Spans and pins whose contents were looked at.
    pub accesses: u64,
    /// Bytes that were not the tenant's own.
    pub stale_bytes: u64,
    /// Attempts that were refused, since the lease was over.
    pub refused: u64,
    /// Tenants that the buffers had.
    pub tenants: u64,
}

/// A tenant's handle with its number, as it is handed to the readers.
type Place = Mutex<Option<(u64, ReadOnlyMemory<u64>)>>;

struct Arena {
    limits: Limits,
    begun: Instant,
    places: [Place; PLACES],
    accesses: AtomicU64,
    stale_bytes: AtomicU64,
    refused: AtomicU64,
    tenants: AtomicU64,
    stop: AtomicBool,
}

/// Lets `readers` threads read while two others rent, write, lease and revoke.
pub fn run(limits: Limits, readers: usize) -> Report {
    let arena = Arena {
        limits,
        begun: Instant::now(),
        places: std::array::from_fn(|_| Mutex::new(None)),
        accesses: AtomicU64::new(0),
        stale_bytes: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        tenants: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let pool = MemoryPool::new();
    thread::scope(|scope| {
        for reader in 0..readers {
            let arena = &arena;
            scope.spawn(move || read(arena, reader as u64));
        }
        scope.spawn(|| rent_and_revoke(&arena, &pool));
        scope.spawn(|| lease_and_revoke(&arena));
    });
    Report {
        accesses: arena.accesses.into_inner(),
        stale_bytes: arena.stale_bytes.into_inner(),
        refused: arena.refused.into_inner(),
        tenants: arena.tenants.into_inner(),
    }
}

impl Arena {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Adds a reader's counts up, and stops everybody when a limit is reached.
    fn account(&self, counts: &mut Counts) {
        let accesses = self.accesses.fetch_add(counts.accesses, Ordering::Relaxed) + counts.accesses;
        let stale = self.stale_bytes.fetch_add(counts.stale_bytes, Ordering::Relaxed) + counts.stale_bytes;
        self.refused.fetch_add(counts.refused, Ordering::Relaxed);
        *counts = Counts::default();
        if accesses >= self.limits.accesses
            || self.begun.elapsed() >= self.limits.time
            || self.limits.stop_at_stale && stale > 0
        {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn next_tenant(&self) -> u64 {
        self.tenants.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What the tenant `tenant` writes at `index`.
fn pattern(tenant: u64, index: usize) -> u64 {
    (tenant << 8 | index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn write_pattern(words: &mut [u64], tenant: u64) {
    words.iter_mut().enumerate().for_each(|(index, word)| *word = pattern(tenant, index));
}

fn stale_bytes(words: &[u64], tenant: u64) -> u64 {
    let differs = |(index, word): (usize, &u64)| {
        let difference = black_box(*word) ^ pattern(tenant, index);
        if difference == 0 { 0 } else { difference.to_ne_bytes().iter().filter(|&&byte| byte != 0).count() }
    };
    black_box(words).iter().enumerate().map(differs).sum::<usize>() as u64
}

#[derive(Default)]
struct Counts {
    accesses: u64,
    stale_bytes: u64,
    refused: u64,
}

/// Reads what is there now, and tries again what was there before.
fn read(arena: &Arena, reader: u64) {
    let mut random = Random(0x2545_f491_4f6c_dd1d ^ (reader + 1) << 40);
    let mut kept: Vec<(u64, ReadOnlyMemory<u64>)> = Vec::with_capacity(KEPT);
    let mut counts = Counts::default();
    while !arena.is_over() {
        let place = arena.places[random.below(PLACES)].lock().unwrap().to_owned();
        if let Some(handle) = place {
            if kept.len() < KEPT {
                kept.push(handle);
            } else {
                kept[random.below(KEPT)] = handle;
            }
            let refused = counts.refused;
            for _ in 0..random.below(64) {
                access(handle, &mut random, &mut counts);
                if counts.refused != refused {
                    break;
                }
            }
        }
        for _ in 0..random.below(3) {
            if let Some(&handle) = kept.get(random.below(KEPT)) {
                access(handle, &mut random, &mut counts);
            }
        }
        arena.account(&mut counts);
    }
}

fn access((tenant, memory): (u64, ReadOnlyMemory<u64>), random: &mut Random, counts: &mut Counts) {
    if random.below(8) == 0 {
        let Ok(pin) = memory.pin() else { return counts.refused += 1 };
        counts.stale_bytes += look(&pin, tenant, random);
    } else {
        let start = random.below(WORDS);
        let part = memory.slice(start..);
        let (Ok(span), Ok(nested)) = (memory.span(), part.span()) else { return counts.refused += 1 };
        counts.stale_bytes += look(&span, tenant, random);
        let expected = pattern(tenant, start);
        counts.stale_bytes += if black_box(nested[0]) == expected { 0 } else { 8 };
    }
    counts.accesses += 1;
}

/// Looks at the contents when it has come in and before it leaves.
fn look(words: &[u64], tenant: u64, random: &mut Random) -> u64 {
    let mut stale = stale_bytes(words, tenant);
    match random.below(256) {
        0 => thread::yield_now(),
        1..64 => (0..random.below(200)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
    stale += stale_bytes(words, tenant);
    stale
}

fn pause(random: &mut Random) {
    match random.below(64) {
        0 => thread::yield_now(),
        _ => (0..random.below(2000)).for_each(|_| std::hint::spin_loop()),
    }
}

/// Tenants of pooled buffers, which come and go in every way there is.
fn rent_and_revoke(arena: &Arena, pool: &MemoryPool) {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut batch: Vec<Lessor<u64, ReadOnly>> = Vec::new();
    while !arena.is_over() {
        let tenant = arena.next_tenant();
        let mut owner = pool.rent::<u64>(WORDS);
        write_pattern(&mut owner, tenant);
        let (lessor, memory) = owner.lease_read_only();
        *arena.places[random.below(PLACES / 2)].lock().unwrap() = Some((tenant, memory));
        pause(&mut random);
        match random.below(6) {
            0 => drop(lessor),
            1 => drop(lessor.revoke()),
            2 => spoil(lessor.revoke().wait().ok()),
            3 => match lessor.try_reclaim() {
                Ok(owner) => spoil(Some(owner)),
                Err(in_use) => drop(in_use.lessor),
            },
            _ => batch.push(lessor),
        }
        if batch.len() >= 8 {
            let revocations = Lessor::revoke_all(batch.drain(..));
            revocations.into_iter().for_each(|revocation| spoil(revocation.wait().ok()));
        }
        if random.below(32) == 0 {
            reclaim_now();
        }
    }
}

/// What an owner may do once it has its buffer back.
fn spoil(owner: Option<MemoryOwner<u64>>) {
    if let Some(mut owner) = owner {
        write_pattern(&mut owner, u64::MAX >> 8);
    }
}

/// Tenants of one buffer, one after the other, with exclusive ones between them.
fn lease_and_revoke(arena: &Arena) {
    let mut random = Random(0xfedc_ba98_7654_3211);
    let mut owner = MemoryOwner::from(vec![0; WORDS]);
    while !arena.is_over() {
        let tenant = arena.next_tenant();
        write_pattern(&mut owner, tenant);
        let (lessor, memory) = owner.lease_read_only();
        *arena.places[PLACES / 2 + random.below(PLACES / 2)].lock().unwrap() = Some((tenant, memory));
        pause(&mut random);
        let mut back = reclaim(lessor, &mut random);
        write_pattern(&mut back, u64::MAX >> 8);
        let (lessor, mut memory) = back.lease();
        memory.span_mut().unwrap().fill(0);
        drop(memory);
        owner = lessor.try_reclaim().unwrap();
    }
}

/// By attempts that change nothing until one succeeds, or by force.
fn reclaim(mut lessor: Lessor<u64, ReadOnly>, random: &mut Random) -> MemoryOwner<u64> {
    for _ in 0..random.below(4) {
        match lessor.try_reclaim() {
            Ok(owner) => return owner,
            Err(in_use) => lessor = in_use.lessor,
        }
    }
    lessor.revoke().wait().unwrap()
}
