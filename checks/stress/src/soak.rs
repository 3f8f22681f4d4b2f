//! Threads that come and go, for long: memory stays flat, and nothing is outstanding in the end.

use std::cell::RefCell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use check_allocation::bytes_live;
use leasehold::{BoundedPool, Lessor, MemoryHandle, MemoryPool, ReadOnly};

use crate::random::Random;
use crate::tenant::{Tenant, is_all};

/// Windows of time; the first is for warming up.
const WINDOWS: u32 = 10;
/// Between two looks at the memory, at most: the least that is seen is to be near the least there is.
const PAUSE: Duration = Duration::from_millis(20);
/// Threads that are alive at a time.
const THREADS: usize = 6;
/// Buffers that are on their way from one thread to another, at most.
const POST: usize = 200;
const BUDGET: usize = 1 << 20;
/// Bytes by which the least that was in RAM in the last window may exceed that in the second one.
const RESIDENT_MARGIN: usize = 16 << 20;
/// The same for what was allocated, which no allocator's habits blur.
const ALLOCATED_MARGIN: usize = 2 << 20;

/// What was seen.
#[derive(Clone, Debug)]
pub struct SoakReport {
    /// Threads that came and went.
    pub threads: u64,
    /// Pools that came and went.
    pub pools: u64,
    /// Buffers that were rented.
    pub rents: u64,
    /// What was seen of the memory in each window.
    pub windows: Vec<Window>,
    /// What the pools say of themselves in the end: rents and bytes that are still out.
    pub left: (usize, usize),
}

/// The least and the most bytes that were seen in a window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Allocated and not freed.
    pub allocated: (usize, usize),
    /// In RAM; nothing where the system does not tell.
    pub resident: Option<(usize, usize)>,
}

impl SoakReport {
    /// Whether there is more and more that is allocated.
    pub fn allocates_more(&self) -> bool {
        self.grew(|window| Some(window.allocated), ALLOCATED_MARGIN)
    }

    /// Whether there is more and more in RAM. A sanitizer's own memory counts, and that grows with the threads there were.
    pub fn grows(&self) -> bool {
        self.grew(|window| window.resident, RESIDENT_MARGIN)
    }

    fn grew(&self, memory: impl Fn(&Window) -> Option<(usize, usize)>, margin: usize) -> bool {
        let least = |window: Option<&Window>| window.and_then(&memory).map(|(least, _)| least);
        let (early, late) = (least(self.windows.get(1)), least(self.windows.last()));
        early.zip(late).is_some_and(|(early, late)| late > early + margin)
    }
}

struct Arena {
    pool: MemoryPool,
    bounded: BoundedPool,
    /// Bytes for which nobody waits, and which may stay with threads that wait.
    spare: BoundedPool,
    post: Mutex<Vec<Parcel>>,
    threads: AtomicU64,
    pools: AtomicU64,
    rents: AtomicU64,
    /// Threads that rent from the budget and may have to wait for others.
    renters: AtomicUsize,
    stop: AtomicBool,
}

/// What one thread leaves to another.
enum Parcel {
    Tenant(Tenant),
    Leased(MemoryHandle<u64>, Lessor<u64, ReadOnly>, u64),
    Abandoned(MemoryHandle<u64>, u64),
}

/// Lets threads come and go for so long.
pub fn run_soak(time: Duration) -> SoakReport {
    let arena = Arena {
        pool: MemoryPool::builder().decay(Duration::from_millis(200)).build(),
        bounded: MemoryPool::builder().build_bounded(BUDGET),
        spare: MemoryPool::builder().zero_on_return(true).build_bounded(BUDGET),
        post: Mutex::new(Vec::new()),
        threads: AtomicU64::new(0),
        pools: AtomicU64::new(0),
        rents: AtomicU64::new(0),
        renters: AtomicUsize::new(THREADS),
        stop: AtomicBool::new(false),
    };
    let windows = thread::scope(|scope| {
        let renters: Vec<_> = (0..THREADS as u64)
            .map(|seed| {
                let arena = &arena;
                scope.spawn(move || come_and_go(arena, seed))
            })
            .collect();
        let postman = scope.spawn(|| deliver(&arena));
        let windows = (0..WINDOWS).map(|window| watch(&arena, window, time / WINDOWS)).collect();
        arena.stop.store(true, Ordering::Relaxed);
        // The end of a scope waits for what threads do, but not for their thread-locals.
        renters.into_iter().chain([postman]).for_each(|thread| thread.join().unwrap());
        windows
    });
    arena.report(windows)
}

impl Arena {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn report(self, windows: Vec<Window>) -> SoakReport {
        drop(self.post);
        let mut left = (0, 0);
        for (stats, outstanding) in [
            (self.pool.stats(), self.pool.outstanding()),
            (self.bounded.stats(), self.bounded.outstanding()),
            (self.spare.stats(), self.spare.outstanding()),
        ] {
            outstanding.iter().for_each(|rent| println!("left: {rent}"));
            left = (left.0 + outstanding.len(), left.1 + stats.rented_bytes);
            assert_eq!((stats.rented_bytes, stats.waiting), (0, 0));
        }
        drop(self.bounded.try_rent::<u8>(BUDGET).unwrap());
        assert_eq!((self.pool.idle_bytes(), 0), (self.pool.trim(), self.pool.idle_bytes()));
        SoakReport {
            threads: self.threads.into_inner(),
            pools: self.pools.into_inner(),
            rents: self.rents.into_inner(),
            windows,
            left,
        }
    }
}

/// Looks at the memory of the process now and then, for the length of a window.
fn watch(arena: &Arena, number: u32, length: Duration) -> Window {
    let begun = Instant::now();
    let mut window = Window { allocated: (usize::MAX, 0), resident: resident().map(|now| (now, now)) };
    let widen = |(least, most): (usize, usize), now: usize| (least.min(now), most.max(now));
    while begun.elapsed() < length {
        thread::sleep((length / 50).min(PAUSE));
        // Two threads may count what one has allocated and the other freed in the other order.
        let allocated = usize::try_from(bytes_live()).unwrap_or(0);
        window.allocated = widen(window.allocated, allocated);
        window.resident = window.resident.zip(resident()).map(|(seen, now)| widen(seen, now));
    }
    print!("window {number}: {} to {} KiB allocated, ", window.allocated.0 >> 10, window.allocated.1 >> 10);
    if let Some((least, most)) = window.resident {
        print!("{} to {} KiB in RAM, ", least >> 10, most >> 10);
    }
    let (idle, threads) = (arena.pool.idle_bytes() >> 10, arena.threads.load(Ordering::Relaxed));
    println!("{idle} idle, {threads} threads");
    window
}

/// Bytes of this process that are in RAM.
fn resident() -> Option<usize> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<usize>().ok()?;
    // Only `smaps` tells what a page is without a call to the system.
    static PAGE: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    Some(pages * (*PAGE.get_or_init(page))?)
}

fn page() -> Option<usize> {
    let maps = fs::read_to_string("/proc/self/smaps").ok()?;
    let line = maps.lines().find(|line| line.starts_with("KernelPageSize:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? << 10)
}

/// One short thread after the other.
fn come_and_go(arena: &Arena, seed: u64) {
    let mut random = Random(0x1234_5678_9abc_def1 ^ (seed + 1) << 40);
    while !arena.is_over() {
        let mut life = Random(random.next() | 1);
        let panics = random.below(8) == 0;
        thread::scope(|scope| {
            let thread = scope.spawn(move || live(arena, &mut life, panics));
            assert_eq!(thread.join().is_err(), panics);
        });
        arena.threads.fetch_add(1, Ordering::Relaxed);
    }
    arena.renters.fetch_sub(1, Ordering::Relaxed);
}

/// What a thread leaves to its thread-locals.
struct Legacy {
    parcels: Vec<Parcel>,
    pool: MemoryPool,
}

impl Drop for Legacy {
    fn drop(&mut self) {
        self.parcels.drain(..).for_each(open);
        open(Parcel::Tenant(Tenant::new(self.pool.rent(300))));
    }
}

thread_local! {
    static LEGACY: RefCell<Option<Legacy>> = const { RefCell::new(None) };
}

fn live(arena: &Arena, random: &mut Random, panics: bool) {
    // Before or after what the pool keeps for the thread, and hence destroyed after or before it.
    if random.below(2) == 0 {
        LEGACY.set(None);
    }
    let mut kept = Vec::new();
    for _ in 0..random.below(200) {
        match random.below(32) {
            0 => own_pool(arena, random, &mut kept),
            1 => return_some(arena, random),
            2 => unwind(arena, random),
            3 => drop(arena.pool.rent::<u8>(random.below(4 << 20))),
            4 => housekeeping(arena, random),
            5..=10 => wait(arena, random),
            11..=13 => {
                if let Ok(owner) = arena.spare.try_rent(random.below(2000)) {
                    kept.push(Parcel::Tenant(Tenant::new(owner)));
                }
            }
            14 => kept.clear(),
            15..=17 => send(arena, kept.pop()),
            _ => kept.push(rent(arena, random)),
        }
        if kept.len() > 40 {
            kept.drain(..20).for_each(open);
        }
    }
    if random.below(2) == 0 {
        let parcels = kept.split_off(kept.len() / 2);
        LEGACY.set(Some(Legacy { parcels, pool: arena.pool.clone() }));
    }
    if panics {
        // Without the message of a panic. What is kept is dropped on the way out.
        resume_unwind(Box::new(()));
    }
    kept.into_iter().for_each(open);
}

fn len(random: &mut Random) -> usize {
    match random.below(16) {
        0 => random.below(40_000),
        1..=5 => random.below(4000),
        _ => random.below(200),
    }
}

/// Something from the pool without a budget.
fn rent(arena: &Arena, random: &mut Random) -> Parcel {
    arena.rents.fetch_add(1, Ordering::Relaxed);
    let tenant = Tenant::new(arena.pool.rent(len(random)));
    let number = tenant.number();
    match random.below(8) {
        0 => {
            let (lessor, memory) = tenant.leave().lease_read_only();
            Parcel::Leased(memory.pin().unwrap(), lessor, number)
        }
        1 => {
            let (lessor, memory) = tenant.leave().lease_read_only();
            let pin = memory.pin().unwrap();
            drop(lessor);
            Parcel::Abandoned(pin, number)
        }
        _ => Parcel::Tenant(tenant),
    }
}

/// Checks what is inside, and returns it.
fn open(parcel: Parcel) {
    match parcel {
        Parcel::Tenant(tenant) => drop(tenant.leave()),
        Parcel::Leased(pin, lessor, number) => {
            assert!(is_all(&pin, number), "what is pinned stays");
            drop(lessor);
            assert!(is_all(&pin, number), "what is pinned stays");
        }
        Parcel::Abandoned(pin, number) => assert!(is_all(&pin, number), "what is pinned stays"),
    }
}

fn send(arena: &Arena, parcel: Option<Parcel>) {
    let Some(parcel) = parcel else { return };
    let mut post = arena.post.lock().unwrap();
    if post.len() < POST {
        post.push(parcel);
        return;
    }
    drop(post);
    open(parcel);
}

/// Takes some of the post.
fn return_some(arena: &Arena, random: &mut Random) {
    for _ in 0..random.below(20) {
        let parcel = arena.post.lock().unwrap().pop();
        parcel.into_iter().for_each(open);
    }
}

/// Takes the post that nobody else takes: a thread that waits must not wait for it.
fn deliver(arena: &Arena) {
    while arena.renters.load(Ordering::Relaxed) > 0 {
        let post = std::mem::take(&mut *arena.post.lock().unwrap());
        post.into_iter().for_each(open);
        thread::yield_now();
    }
}

/// A pool that ends before what was rented from it.
fn own_pool(arena: &Arena, random: &mut Random, kept: &mut Vec<Parcel>) {
    arena.pools.fetch_add(1, Ordering::Relaxed);
    let pool = MemoryPool::new();
    for _ in 0..random.below(10) {
        let tenant = Tenant::new(pool.rent(len(random)));
        match random.below(3) {
            0 => kept.push(Parcel::Tenant(tenant)),
            1 => send(arena, Some(Parcel::Tenant(tenant))),
            _ => open(Parcel::Tenant(tenant)),
        }
    }
}

/// Rents of a panic's way out.
fn unwind(arena: &Arena, random: &mut Random) {
    let mut parcels = vec![rent(arena, random), rent(arena, random)];
    let tenant = arena.bounded.try_rent(len(random)).map(Tenant::new);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _out = (parcels.pop(), tenant);
        resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
}

/// Waits for a budget, of which this thread holds nothing meanwhile; the buffer goes on to whoever comes.
fn wait(arena: &Arena, random: &mut Random) {
    arena.rents.fetch_add(1, Ordering::Relaxed);
    let len = random.below(BUDGET / 4 / size_of::<u64>());
    let tenant = Tenant::new(arena.bounded.rent_blocking(len).unwrap());
    if random.below(2) == 0 {
        send(arena, Some(Parcel::Tenant(tenant)));
    } else {
        open(Parcel::Tenant(tenant));
    }
}

fn housekeeping(arena: &Arena, random: &mut Random) {
    match random.below(6) {
        0 => drop(arena.pool.trim()),
        1 => drop(arena.bounded.trim()),
        2 => drop(arena.pool.sweep()),
        3 => drop(arena.pool.reserve::<u64>(random.below(1000), 3)),
        4 => drop((arena.pool.outstanding(), arena.bounded.outstanding())),
        _ => drop((arena.pool.stats(), arena.bounded.stats())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(least: [(usize, Option<usize>); 3]) -> SoakReport {
        let window = |(allocated, resident): (usize, Option<usize>)| Window {
            allocated: (allocated, usize::MAX),
            resident: resident.map(|resident| (resident, usize::MAX)),
        };
        SoakReport { threads: 1, pools: 1, rents: 1, windows: least.map(window).to_vec(), left: (0, 0) }
    }

    #[test]
    fn what_grows_beyond_a_margin_is_seen_and_the_first_window_does_not_count() {
        let (more, ram) = (ALLOCATED_MARGIN + 1, RESIDENT_MARGIN + 1);
        let grows = |report: SoakReport| (report.allocates_more(), report.grows());
        assert_eq!(grows(soaked([(0, Some(0)), (more, Some(ram)), (more, Some(ram))])), (false, false));
        assert_eq!(grows(soaked([(0, Some(0)), (0, Some(0)), (more, Some(0))])), (true, false));
        assert_eq!(grows(soaked([(0, Some(0)), (0, Some(0)), (0, Some(ram))])), (false, true));
        assert_eq!(grows(soaked([(0, None), (0, None), (0, None)])), (false, false));
    }
}
