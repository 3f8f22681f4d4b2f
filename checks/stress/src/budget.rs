//! A budget that is always short: everybody is served in the end, and nothing gets lost.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use leasehold::{BoundedPool, Lessor, MemoryHandle, MemoryPool, ReadOnly, RentError, reclaim_now};

use crate::random::Random;
use crate::tenant::{Tenant, is_all};

/// Bytes that there are.
const BUDGET: usize = 64 << 10;
/// Threads that rent and wait. They hold nothing while they wait.
const RENTERS: usize = 4;
/// Threads that return what others have rented, and never wait.
const RETURNERS: usize = 2;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct BudgetLimits {
    /// Rents of all threads together.
    pub rents: u64,
    /// Time, for who has less of it.
    pub time: Option<Duration>,
    /// How long nobody may get on before the process is aborted, with a look at who holds what.
    pub patience: Option<Duration>,
}

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub struct BudgetReport {
    /// Rents that were served.
    pub rents: u64,
    /// Rents that waited, as the pool says.
    pub waited: u64,
    /// Rents that were given up while they waited, or after they had been served.
    pub cancelled: u64,
    /// Rents that did not want to wait, and were refused.
    pub refused: u64,
    /// The most rents that began after another one had queued up, and were through before that one was.
    pub overtaken: u64,
    /// Bytes that are rented when everything is back.
    pub left: usize,
}

struct Arena {
    pool: BoundedPool,
    limits: BudgetLimits,
    begun: Instant,
    rents: AtomicU64,
    cancelled: AtomicU64,
    refused: AtomicU64,
    overtaken: AtomicU64,
    stop: AtomicBool,
}

/// What a returner gets.
enum Parcel {
    Tenant(Tenant),
    /// A pin, under a lease that goes on until the lessor is dropped there, before or after.
    Leased(MemoryHandle<u64>, Option<Lessor<u64, ReadOnly>>, u64),
}

/// Lets threads rent more than there is.
pub fn run_budget(limits: BudgetLimits) -> BudgetReport {
    let arena = Arena {
        pool: MemoryPool::builder().build_bounded(BUDGET),
        limits,
        begun: Instant::now(),
        rents: AtomicU64::new(0),
        cancelled: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        overtaken: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let (parcels, returners): (Vec<_>, Vec<_>) = (0..RETURNERS as u64)
            .map(|seed| {
                let (parcels, inbox) = mpsc::channel();
                let arena = &arena;
                (parcels, scope.spawn(move || give_back(arena, inbox, seed)))
            })
            .unzip();
        let renters: Vec<_> = (0..RENTERS as u64)
            .map(|seed| {
                let (arena, parcels) = (&arena, parcels.clone());
                scope.spawn(move || Renter::new(arena, parcels, seed).run())
            })
            .collect();
        drop(parcels);
        if let Some(patience) = limits.patience {
            let arena = &arena;
            scope.spawn(move || watch(arena, patience));
        }
        let ends: Vec<_> = renters.into_iter().map(|renter| renter.join()).collect();
        arena.stop.store(true, Ordering::Relaxed);
        // The end of a scope waits for what threads do, but not for their thread-locals.
        ends.into_iter()
            .chain(returners.into_iter().map(|returner| returner.join()))
            .for_each(|end| end.unwrap());
    });
    arena.report()
}

impl Arena {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.rents.load(Ordering::Relaxed) >= self.limits.rents
            || self.limits.time.is_some_and(|time| self.begun.elapsed() >= time)
    }

    /// Everything is back, so everything is to be had again.
    fn report(self) -> BudgetReport {
        let stats = self.pool.stats();
        assert_eq!(self.pool.outstanding().len(), 0);
        assert_eq!((stats.waiting, stats.rented_bytes), (0, 0));
        assert!(stats.peak_bytes <= BUDGET);
        drop(self.pool.try_rent::<u8>(BUDGET).unwrap());
        assert_eq!(self.pool.trim(), BUDGET);
        BudgetReport {
            rents: self.rents.into_inner(),
            waited: stats.waited,
            cancelled: self.cancelled.into_inner(),
            refused: self.refused.into_inner(),
            overtaken: self.overtaken.into_inner(),
            left: stats.rented_bytes,
        }
    }
}

/// Ends the process when nobody gets on: a thread that sleeps for ever cannot be joined.
fn watch(arena: &Arena, patience: Duration) {
    let (mut rents, mut since) = (0, Instant::now());
    // Also when it is over: the last rents have to be served, too.
    while !arena.stop.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        let now = arena.rents.load(Ordering::Relaxed);
        if now != rents {
            (rents, since) = (now, Instant::now());
        } else if since.elapsed() > patience {
            eprintln!("nobody gets on after {rents} rents: {:?}, {:#?}", arena.pool, arena.pool.stats());
            arena.pool.outstanding().iter().for_each(|rent| eprintln!("{rent}"));
            std::process::abort();
        }
    }
}

struct Renter<'a> {
    arena: &'a Arena,
    returners: Vec<mpsc::Sender<Parcel>>,
    random: Random,
}

impl Renter<'_> {
    fn new(arena: &Arena, returners: Vec<mpsc::Sender<Parcel>>, seed: u64) -> Renter<'_> {
        Renter { arena, returners, random: Random(0x1234_5678_9abc_def1 ^ (seed + 1) << 40) }
    }

    fn run(mut self) {
        while !self.arena.is_over() {
            match self.random.below(16) {
                0..=3 => self.try_rent(),
                4..=6 => self.rent_blocking(),
                7..=9 => self.rent_many(1),
                10..=13 => self.rent_many(4),
                14 => drop(self.arena.pool.rent::<u64>(self.random.below(1000))),
                _ => self.housekeeping(),
            }
        }
    }

    /// Mostly small, sometimes all there is.
    fn len(&mut self) -> usize {
        let bytes = match self.random.below(32) {
            0 => BUDGET,
            1..=4 => BUDGET / 2 + self.random.below(BUDGET / 4),
            5..=16 => 1024 + self.random.below(BUDGET / 8),
            _ => self.random.below(1024),
        };
        bytes / size_of::<u64>()
    }

    fn try_rent(&mut self) {
        let len = self.len();
        match self.arena.pool.try_rent(len) {
            Ok(owner) => self.use_up(Tenant::new(owner)),
            Err(RentError::Exhausted(state)) => {
                assert!(state.used <= BUDGET && state.budget == BUDGET, "{state:?}");
                self.arena.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn rent_blocking(&mut self) {
        let len = self.len();
        let owner = self.arena.pool.rent_blocking(len).unwrap();
        self.use_up(Tenant::new(owner));
    }

    /// Awaits several rents at once, gives some up on the way, and uses each up as soon as it is served.
    fn rent_many(&mut self, most: usize) {
        let arena = self.arena;
        let count = 1 + self.random.below(most);
        let mut tasks: Vec<_> = (0..count).map(|_| Task::new(arena.pool.rent(self.len()))).collect();
        let bell = Arc::new(Bell { thread: thread::current(), rung: AtomicBool::new(false) });
        while !tasks.is_empty() {
            let waker = Waker::from(Arc::clone(&bell));
            let mut index = 0;
            while index < tasks.len() {
                let task = &mut tasks[index];
                // Given up before the first poll, while it waits, or when it may have been served.
                if self.random.below(16) == 0 {
                    drop(tasks.swap_remove(index));
                    arena.cancelled.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                match pin!(&mut task.rent).poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => {
                        task.queued.get_or_insert_with(|| arena.rents.load(Ordering::Relaxed));
                        index += 1;
                    }
                    Poll::Ready(owner) => {
                        let queued = tasks.swap_remove(index).queued;
                        let since = queued.map_or(0, |queued| arena.rents.load(Ordering::Relaxed) - queued);
                        arena.overtaken.fetch_max(since, Ordering::Relaxed);
                        self.use_up(Tenant::new(owner.unwrap()));
                    }
                }
            }
            if !tasks.is_empty() {
                bell.wait();
            }
        }
    }

    /// Returns a buffer: here, elsewhere, by a lease, or by a panic.
    fn use_up(&mut self, tenant: Tenant) {
        self.arena.rents.fetch_add(1, Ordering::Relaxed);
        let to = self.random.below(RETURNERS);
        match self.random.below(16) {
            0..=6 => drop(tenant.leave()),
            7..=11 => self.returners[to].send(Parcel::Tenant(tenant)).unwrap(),
            12 | 13 => {
                let number = tenant.number();
                let (lessor, memory) = tenant.leave().lease_read_only();
                drop(memory.span().unwrap());
                let pin = memory.pin().unwrap();
                let lessor = (self.random.below(2) == 0).then_some(lessor);
                self.returners[to].send(Parcel::Leased(pin, lessor, number)).unwrap();
                reclaim_now();
            }
            14 => {
                let (lessor, mut memory) = tenant.leave().lease();
                memory.span_mut().unwrap().fill(0);
                drop(lessor);
                assert!(memory.span().is_err());
            }
            _ => {
                let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _tenant = tenant.leave();
                    // Without the message of a panic.
                    std::panic::resume_unwind(Box::new(()));
                }));
                assert!(unwound.is_err());
            }
        }
    }

    fn housekeeping(&mut self) {
        let pool = &self.arena.pool;
        match self.random.below(6) {
            0 => drop(pool.trim()),
            1 => drop(pool.sweep()),
            2 => drop(pool.reserve::<u64>(self.random.below(500), 2)),
            3 => assert!(pool.stats().rented_bytes <= BUDGET),
            4 => drop(pool.outstanding()),
            _ => {
                if let Ok(share) = pool.share(BUDGET / 8) {
                    drop(share.try_rent::<u64>(100).unwrap());
                }
            }
        }
    }
}

struct Task<F> {
    rent: F,
    /// Rents that were through when this one had queued up.
    queued: Option<u64>,
}

impl<F> Task<F> {
    fn new(rent: F) -> Task<F> {
        Task { rent, queued: None }
    }
}

/// Wakes a thread.
struct Bell {
    thread: Thread,
    rung: AtomicBool,
}

impl Bell {
    fn wait(&self) {
        while !self.rung.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Returns what comes, after a while or at once, and rents what is to be had without waiting.
fn give_back(arena: &Arena, inbox: mpsc::Receiver<Parcel>, seed: u64) {
    let mut random = Random(0xfedc_ba98_7654_3211 ^ (seed + 1) << 40);
    for parcel in inbox {
        match random.below(64) {
            0 => thread::yield_now(),
            1..16 => (0..random.below(1000)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
        match parcel {
            Parcel::Tenant(tenant) => drop(tenant.leave()),
            Parcel::Leased(pin, lessor, number) => {
                if random.below(2) == 0 {
                    drop(lessor);
                    assert!(is_all(&pin, number), "what is pinned stays");
                } else {
                    assert!(is_all(&pin, number), "what is pinned stays");
                    drop(pin);
                    drop(lessor);
                }
            }
        }
        // A thread that sleeps keeps what it has revoked, and others may wait for it.
        reclaim_now();
        if random.below(8) == 0
            && let Ok(owner) = arena.pool.try_rent(random.below(200))
        {
            drop(Tenant::new(owner).leave());
        }
    }
}
