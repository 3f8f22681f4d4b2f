//! The pools, and the operations on them.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leasehold::{
    BoundedPool, Exclusive, Lessor, Memory, MemoryHandle, MemoryHandleMut, MemoryOwner, MemoryPool, ReadOnly,
    ReadOnlyMemory, RentError, Revocation, reclaim_now,
};

use super::backing::Counted;
use super::oracle::{Account, Bell, Rented, Stage, class_of};
use crate::worker::Worker;
use crate::world::{Operation, any, take};

/// Does `operations` one after the other, checks every outcome and every figure, then gives everything back and checks
/// that nobody was left waiting and nothing is left. The first operation says what the pool is like.
pub fn run_pool(operations: &[Operation]) {
    let Some((&settings, operations)) = operations.split_first() else { return };
    let mut world = World::new(settings);
    for &operation in operations {
        world.step(operation);
        world.check();
    }
    world.finish(settings.3);
}

const WORKERS: usize = 3;

/// Lengths to rent, for a budget of [`BUDGET`]; the last one is too long.
const LENGTHS: [usize; 16] =
    [0, 1, 64, 65, 200, 300, 700, 1000, 1025, 2000, 4096, 5000, 8000, 12_000, 16_384, 16_385];
const BUDGET: usize = 16 << 10;
/// What lengths and budget are multiplied by for large buffers, which threads do not keep to themselves.
const LARGE: usize = 512;

type Outcome = Result<MemoryOwner<u8>, RentError>;
type RentFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A rent that is awaited.
struct Task {
    future: RentFuture,
    account: usize,
    len: usize,
    stage: Stage,
    /// What the last poll left to be called.
    bell: Arc<Bell>,
}

/// A lessor or a revocation.
enum Either<R, E> {
    ReadOnly(R),
    Exclusive(E),
}

type AnyLessor = Either<Lessor<u8, ReadOnly>, Lessor<u8, Exclusive>>;
type AnyRevocation = Either<Revocation<u8, ReadOnly>, Revocation<u8, Exclusive>>;

macro_rules! each {
    ($either:expr, $inner:ident => $body:expr) => {
        match $either {
            Either::ReadOnly($inner) => $body,
            Either::Exclusive($inner) => $body,
        }
    };
}

struct World {
    counted: Arc<Counted>,
    scale: usize,
    zeroes: bool,
    workers: [Worker<u8>; WORKERS],
    spans_of: [usize; WORKERS],
    accounts: Vec<Account>,
    /// The handle of each account's pool that is kept.
    pools: Vec<Option<BoundedPool>>,
    rents: Vec<Rented>,
    tasks: BTreeMap<usize, Task>,
    next: usize,
    /// Whether something was revoked that may not be looked after.
    revoked: bool,
    owners: Vec<(usize, MemoryOwner<u8>)>,
    lessors: Vec<(usize, AnyLessor)>,
    revocations: Vec<(usize, AnyRevocation)>,
    /// With the number of the lease.
    views: Vec<(usize, usize, ReadOnlyMemory<u8>)>,
    memories: Vec<(usize, usize, Memory<u8>)>,
    pins: Vec<(usize, MemoryHandle<u8>)>,
    pins_mut: Vec<(usize, MemoryHandleMut<u8>)>,
    /// With the key and the worker.
    spans: Vec<(usize, usize, usize)>,
}

/// Where a tenant writes: everywhere, or at both ends of what is long.
fn parts(bytes: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let len = bytes.len();
    let (head, tail) = if len <= 1 << 16 {
        (bytes, [].as_mut_slice())
    } else {
        let (head, rest) = bytes.split_at_mut(4096);
        (head, &mut rest[len - 2 * 4096..])
    };
    [head, tail].into_iter()
}

fn is_all(bytes: &[u8], tag: u8) -> bool {
    let ends = |bytes: &[u8]| bytes.iter().all(|&byte| byte == tag);
    if bytes.len() <= 1 << 16 {
        ends(bytes)
    } else {
        ends(&bytes[..4096]) && ends(&bytes[bytes.len() - 4096..])
    }
}

impl World {
    fn new((kind, alignment, plenty, _): Operation) -> World {
        let counted = Arc::new(Counted::default());
        let scale = if kind & 1 == 0 { 1 } else { LARGE };
        let zeroes = kind & 2 != 0 && scale == 1;
        let budget = BUDGET * scale * if plenty.is_multiple_of(8) { 64 } else { 1 };
        let pool = MemoryPool::builder()
            .backing(Arc::clone(&counted))
            // Large buffers of the default alignment take a page more than their size.
            .alignment([128, 256, 4096][usize::from(alignment) % 3])
            .decay(if kind & 4 == 0 { Duration::ZERO } else { Duration::from_millis(1) })
            .zero_on_return(zeroes)
            // The oracle knows of no other limit than the budget.
            .idle_limit(usize::MAX)
            .build_bounded(budget);
        World {
            counted,
            scale,
            zeroes,
            workers: std::array::from_fn(|_| Worker::new()),
            spans_of: [0; WORKERS],
            accounts: vec![Account::new(budget, None)],
            pools: vec![Some(pool)],
            rents: Vec::new(),
            tasks: BTreeMap::new(),
            next: 0,
            revoked: false,
            owners: Vec::new(),
            lessors: Vec::new(),
            revocations: Vec::new(),
            views: Vec::new(),
            memories: Vec::new(),
            pins: Vec::new(),
            pins_mut: Vec::new(),
            spans: Vec::new(),
        }
    }

    fn step(&mut self, (what, a, b, c): Operation) {
        let worker = usize::from(c) % WORKERS;
        match what % 41 {
            0..=3 => self.try_rent(worker, a, b),
            4 => self.rent_blocking(worker, a, b),
            5..=8 => self.begin_task(a, b),
            9..=13 => self.poll_task(worker, a),
            14 | 15 => self.cancel_task(worker, a),
            16..=19 => self.drop_owner(worker, a),
            20 | 21 => self.lease(worker, a, b),
            22 => self.hold_span(worker, a),
            23 => self.pin(worker, a),
            24 => self.pin_mut(worker, a),
            25 => self.end_span(a),
            26 => self.end_pin(worker, a),
            27 => self.end_pin_mut(worker, a),
            28 => self.try_reclaim(worker, a),
            29 => self.revoke(worker, a),
            30 => self.drop_lessor(worker, a),
            31 => self.end_revocation(worker, a, b),
            32 => self.share(worker, a, b),
            33 => self.drop_pool(worker, a),
            34 => self.trim(worker, a),
            35 => self.sweep(worker, a),
            36 => self.reserve(worker, a, b),
            37 => self.look_at_outstanding(worker, a),
            38 => self.replace_worker(worker),
            39 => self.drop_view(a),
            _ => self.write(worker, a),
        }
    }

    fn len_of(&self, pick: u8) -> usize {
        LENGTHS[usize::from(pick) % LENGTHS.len()] * self.scale
    }

    /// A pool of which there is a handle, mostly the first one.
    fn pool(&self, pick: u8) -> Option<(usize, BoundedPool)> {
        let open: Vec<usize> = (0..self.pools.len()).filter(|&id| self.pools[id].is_some()).collect();
        let first = self.pools[0].is_some() && pick < 128;
        let id = if first { 0 } else { *any(&open, pick)? };
        self.pools[id].clone().map(|pool| (id, pool))
    }

    // Rents.

    fn try_rent(&mut self, worker: usize, pick: u8, len: u8) {
        let Some((account, pool)) = self.pool(pick) else { return };
        let len = self.len_of(len);
        let outcome = self.workers[worker].run(move |_| pool.try_rent::<u8>(len));
        let state = &self.accounts[account];
        let bytes = class_of(len);
        match outcome {
            Ok(owner) => {
                assert!(
                    state.has_room(bytes),
                    "{bytes} bytes were to be had though {} are used",
                    state.used()
                );
                self.rented(account, len, owner);
            }
            Err(RentError::OverBudget { asked, budget }) => {
                assert_eq!((asked, budget), (bytes, state.budget));
                assert!(bytes > state.budget);
            }
            Err(RentError::Exhausted(figures)) => {
                assert!(!state.has_room(bytes) && bytes <= state.budget, "there is room for {bytes} bytes");
                assert_eq!((figures.asked, figures.budget), (len, state.budget));
                assert_eq!((figures.used, figures.waiting), (state.used(), state.queue.len()));
                assert!(figures.used + figures.idle <= figures.budget);
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// When it would not block.
    fn rent_blocking(&mut self, worker: usize, pick: u8, len: u8) {
        let Some((account, pool)) = self.pool(pick) else { return };
        let len = self.len_of(len);
        if self.accounts[account].has_room(class_of(len)) {
            let owner = self.workers[worker].run(move |_| pool.rent_blocking::<u8>(len));
            self.rented(account, len, owner.unwrap());
        }
    }

    /// A tenant moves in.
    fn rented(&mut self, account: usize, len: usize, mut owner: MemoryOwner<u8>) {
        assert_eq!(owner.len(), len);
        let (bytes, address) = (class_of(len), owner.as_ptr().addr());
        assert_eq!(owner.capacity(), bytes);
        for other in self.rents.iter().filter(|other| !other.back) {
            let apart = address + bytes <= other.address || other.address + other.bytes <= address;
            assert!(apart, "two tenants have the same memory");
        }
        assert!(!self.zeroes || is_all(&owner, 0), "what the last tenant left is gone");
        let tag = (self.rents.len() % 251) as u8 + 1;
        parts(&mut owner).for_each(|part| part.fill(tag));
        let state = &mut self.accounts[account];
        state.rented += bytes;
        state.rents += 1;
        self.owners.push((self.rents.len(), owner));
        self.rents.push(Rented::new(account, bytes, address, tag));
    }

    /// A buffer is back, so others may be served.
    fn came_back(&mut self, id: usize) {
        let rent = &mut self.rents[id];
        assert!(!std::mem::replace(&mut rent.back, true));
        let account = rent.account;
        self.accounts[account].rented -= rent.bytes;
        self.accounts[account].rents -= 1;
        self.settle(account);
    }

    /// Serves who waits for an account, and ends a share that nobody has any more.
    fn settle(&mut self, account: usize) {
        let state = &mut self.accounts[account];
        while let Some(task) = state.queue.front() {
            let Some(task) = self.tasks.get_mut(task) else { panic!("a task that waits is there") };
            let bytes = class_of(task.len);
            if state.used() + bytes > state.budget {
                break;
            }
            state.queue.pop_front();
            state.promised += bytes;
            task.stage = Stage::Granted;
        }
        if state.handles == 0 && state.rents == 0 && state.shares == 0 && !state.ended {
            state.ended = true;
            let (parent, budget) = (state.parent, state.budget);
            if let Some(parent) = parent {
                self.accounts[parent].shared -= budget;
                self.accounts[parent].shares -= 1;
                self.settle(parent);
            }
        }
    }

    /// What a thread has revoked counts as rented until it is looked after.
    fn look_after_revoked(&mut self) {
        if std::mem::take(&mut self.revoked) {
            self.workers.iter().for_each(|worker| worker.run(|_| reclaim_now()));
        }
    }

    // Tasks.

    fn begin_task(&mut self, pick: u8, len: u8) {
        if self.tasks.len() == 12 {
            return;
        }
        let Some((account, pool)) = self.pool(pick) else { return };
        let len = self.len_of(len);
        self.accounts[account].handles += 1;
        let future: RentFuture = Box::pin(async move { pool.rent::<u8>(len).await });
        let bell = Arc::new(Bell::default());
        self.tasks.insert(self.next, Task { future, account, len, stage: Stage::Fresh, bell });
        self.next += 1;
    }

    fn pick_task(&self, pick: u8) -> Option<usize> {
        any(&self.tasks.keys().copied().collect::<Vec<_>>(), pick).copied()
    }

    fn poll_task(&mut self, worker: usize, pick: u8) {
        if let Some(id) = self.pick_task(pick) {
            self.poll(worker, id);
        }
    }

    fn poll(&mut self, worker: usize, id: usize) {
        let Some(mut task) = self.tasks.remove(&id) else { return };
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let (future, poll) = self.workers[worker].run(move |_| {
            let poll = task.future.as_mut().poll(&mut Context::from_waker(&waker));
            (task.future, poll)
        });
        let Task { account, len, stage, .. } = task;
        let (state, bytes) = (&mut self.accounts[account], class_of(len));
        match poll {
            Poll::Pending => {
                assert_ne!(stage, Stage::Granted, "it was served");
                if stage == Stage::Fresh {
                    assert!(
                        !state.has_room(bytes) && bytes <= state.budget,
                        "there is room for {bytes} bytes"
                    );
                    state.queue.push_back(id);
                    state.waited += 1;
                }
                self.tasks.insert(id, Task { future, account, len, stage: Stage::Waiting, bell });
            }
            Poll::Ready(Ok(owner)) => {
                match stage {
                    Stage::Fresh => assert!(state.has_room(bytes), "it came before its turn"),
                    Stage::Waiting => panic!("it came before its turn"),
                    Stage::Granted => state.promised -= bytes,
                }
                self.rented(account, len, owner);
                self.end_task(worker, account, future);
            }
            Poll::Ready(Err(error)) => {
                assert!(matches!(error, RentError::OverBudget { .. }), "{error}");
                assert!(stage == Stage::Fresh && bytes > state.budget);
                self.end_task(worker, account, future);
            }
        }
    }

    fn cancel_task(&mut self, worker: usize, pick: u8) {
        let Some(id) = self.pick_task(pick) else { return };
        let Some(Task { future, account, len, stage, .. }) = self.tasks.remove(&id) else { return };
        let state = &mut self.accounts[account];
        match stage {
            Stage::Fresh => {}
            Stage::Waiting => state.queue.retain(|&other| other != id),
            Stage::Granted => state.promised -= class_of(len),
        }
        self.end_task(worker, account, future);
    }

    fn end_task(&mut self, worker: usize, account: usize, future: RentFuture) {
        self.workers[worker].run(move |_| drop(future));
        self.closed(account);
    }

    /// A handle of a pool is gone.
    fn closed(&mut self, account: usize) {
        self.accounts[account].handles -= 1;
        self.settle(account);
    }

    // Owners and leases.

    fn drop_owner(&mut self, worker: usize, pick: u8) {
        let Some((id, owner)) = take(&mut self.owners, pick) else { return };
        let tag = self.rents[id].tag;
        self.workers[worker].run(move |_| {
            assert!(is_all(&owner, tag), "the contents are the tenant's own");
            drop(owner);
        });
        self.came_back(id);
    }

    fn write(&mut self, worker: usize, pick: u8) {
        let Some((id, mut owner)) = take(&mut self.owners, pick) else { return };
        let tag = self.rents[id].tag;
        let owner = self.workers[worker].run(move |_| {
            assert!(is_all(&owner, tag), "the contents are the tenant's own");
            parts(&mut owner).for_each(|part| part.fill(!tag));
            owner
        });
        self.rents[id].tag = !tag;
        self.owners.push((id, owner));
    }

    fn lease(&mut self, worker: usize, pick: u8, kind: u8) {
        let Some((id, owner)) = take(&mut self.owners, pick) else { return };
        self.rents[id].leases += 1;
        self.rents[id].running = true;
        let lease = self.rents[id].leases;
        if kind.is_multiple_of(2) {
            let (lessor, view) = self.workers[worker].run(move |_| owner.lease_read_only());
            self.lessors.push((id, Either::ReadOnly(lessor)));
            self.views.push((id, lease, view));
        } else {
            let (lessor, memory) = self.workers[worker].run(move |_| owner.lease());
            self.lessors.push((id, Either::Exclusive(lessor)));
            self.memories.push((id, lease, memory));
        }
    }

    fn hold_span(&mut self, worker: usize, pick: u8) {
        let Some(&(id, lease, view)) = any(&self.views, pick) else { return };
        let (key, tag) = (self.next, self.rents[id].tag);
        self.next += 1;
        let entered = self.workers[worker].run(move |local| {
            let view: &'static ReadOnlyMemory<u8> = Box::leak(Box::new(view));
            let Ok(span) = view.span() else { return false };
            assert!(is_all(&span, tag), "the contents are the tenant's own");
            local.spans.insert(key, span);
            true
        });
        assert_eq!(entered, self.rents[id].goes_on(lease));
        if entered {
            self.rents[id].spans += 1;
            self.spans_of[worker] += 1;
            self.spans.push((id, key, worker));
        }
    }

    fn pin(&mut self, worker: usize, pick: u8) {
        let Some(&(id, lease, view)) = any(&self.views, pick) else { return };
        let pinned = self.workers[worker].run(move |_| view.pin().ok());
        assert_eq!(pinned.is_some(), self.rents[id].goes_on(lease));
        if let Some(pin) = pinned {
            self.rents[id].pins += 1;
            self.pins.push((id, pin));
        }
    }

    fn pin_mut(&mut self, worker: usize, pick: u8) {
        let Some((id, lease, memory)) = take(&mut self.memories, pick) else { return };
        match self.workers[worker].run(move |_| memory.pin()) {
            Ok(pin) => {
                assert!(self.rents[id].goes_on(lease));
                self.rents[id].pins += 1;
                self.pins_mut.push((id, pin));
            }
            Err(_) => assert!(!self.rents[id].goes_on(lease)),
        }
    }

    fn end_span(&mut self, pick: u8) {
        let Some((id, key, worker)) = take(&mut self.spans, pick) else { return };
        let tag = self.rents[id].tag;
        self.workers[worker].run(move |local| {
            let span = local.spans.remove(&key).unwrap();
            assert!(is_all(&span, tag), "the contents are the tenant's own");
        });
        self.rents[id].spans -= 1;
        self.spans_of[worker] -= 1;
        self.left(id);
    }

    fn end_pin(&mut self, worker: usize, pick: u8) {
        let Some((id, pin)) = take(&mut self.pins, pick) else { return };
        let tag = self.rents[id].tag;
        self.workers[worker].run(move |_| assert!(is_all(&pin, tag), "the contents are the tenant's own"));
        self.rents[id].pins -= 1;
        self.left(id);
    }

    fn end_pin_mut(&mut self, worker: usize, pick: u8) {
        let Some((id, mut pin)) = take(&mut self.pins_mut, pick) else { return };
        let tag = self.rents[id].tag;
        self.workers[worker].run(move |_| {
            assert!(is_all(&pin, tag), "the contents are the tenant's own");
            parts(&mut pin).for_each(|part| part.fill(!tag));
        });
        self.rents[id].tag = !tag;
        self.rents[id].pins -= 1;
        self.left(id);
    }

    /// Somebody has left; the last one brings back what nobody wants.
    fn left(&mut self, id: usize) {
        if self.rents[id].abandoned && self.rents[id].is_empty() {
            self.came_back(id);
        }
    }

    /// Nobody wants the buffer back.
    fn abandoned(&mut self, id: usize) {
        self.rents[id].running = false;
        self.rents[id].abandoned = true;
        self.left(id);
        self.revoked = true;
    }

    fn try_reclaim(&mut self, worker: usize, pick: u8) {
        let Some((id, lessor)) = take(&mut self.lessors, pick) else { return };
        let outcome = match lessor {
            Either::ReadOnly(lessor) => {
                let outcome = self.workers[worker].run(move |_| lessor.try_reclaim());
                outcome.map_err(|in_use| (Either::ReadOnly(in_use.lessor), in_use.spans + in_use.pins))
            }
            Either::Exclusive(lessor) => {
                let outcome = self.workers[worker].run(move |_| lessor.try_reclaim());
                outcome.map_err(|in_use| (Either::Exclusive(in_use.lessor), in_use.spans + in_use.pins))
            }
        };
        let rent = &mut self.rents[id];
        match outcome {
            Ok(owner) => {
                assert!(rent.is_empty());
                rent.running = false;
                self.owners.push((id, owner));
            }
            Err((lessor, inside)) => {
                assert_eq!(inside, rent.spans + rent.pins);
                self.lessors.push((id, lessor));
            }
        }
    }

    fn revoke(&mut self, worker: usize, pick: u8) {
        let Some((id, lessor)) = take(&mut self.lessors, pick) else { return };
        let revocation = match lessor {
            Either::ReadOnly(lessor) => Either::ReadOnly(self.workers[worker].run(move |_| lessor.revoke())),
            Either::Exclusive(lessor) => {
                Either::Exclusive(self.workers[worker].run(move |_| lessor.revoke()))
            }
        };
        self.rents[id].running = false;
        self.revocations.push((id, revocation));
    }

    fn drop_lessor(&mut self, worker: usize, pick: u8) {
        let Some((id, lessor)) = take(&mut self.lessors, pick) else { return };
        each!(lessor, lessor => self.workers[worker].run(move |_| drop(lessor)));
        self.abandoned(id);
    }

    fn end_revocation(&mut self, worker: usize, pick: u8, how: u8) {
        let Some((id, revocation)) = take(&mut self.revocations, pick) else { return };
        if how.is_multiple_of(2) {
            each!(revocation, revocation => self.workers[worker].run(move |_| drop(revocation)));
            return self.abandoned(id);
        }
        let outcome = match revocation {
            Either::ReadOnly(revocation) => {
                self.workers[worker].run(move |_| revocation.try_take()).map_err(Either::ReadOnly)
            }
            Either::Exclusive(revocation) => {
                self.workers[worker].run(move |_| revocation.try_take()).map_err(Either::Exclusive)
            }
        };
        assert_eq!(outcome.is_ok(), self.rents[id].is_empty());
        match outcome {
            Ok(owner) => self.owners.push((id, owner)),
            Err(revocation) => self.revocations.push((id, revocation)),
        }
    }

    fn drop_view(&mut self, pick: u8) {
        if self.views.len() > 10 {
            take(&mut self.views, pick);
        }
    }

    // Pools.

    fn share(&mut self, worker: usize, pick: u8, part: u8) {
        let Some((account, pool)) = self.pool(pick) else { return };
        if self.pools.len() == 6 {
            return;
        }
        let bytes = self.accounts[account].budget / 16 * (usize::from(part) % 17);
        let outcome = self.workers[worker].run(move |_| pool.share(bytes));
        let state = &mut self.accounts[account];
        match outcome {
            Ok(share) => {
                assert!(state.has_room(bytes));
                state.shared += bytes;
                state.shares += 1;
                self.accounts.push(Account::new(bytes, Some(account)));
                self.pools.push(Some(share));
            }
            Err(RentError::Exhausted(figures)) => {
                assert!(!state.has_room(bytes));
                assert_eq!((figures.asked, figures.used), (bytes, state.used()));
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Drops the handle of a share.
    fn drop_pool(&mut self, worker: usize, pick: u8) {
        let shares: Vec<usize> = (1..self.pools.len()).filter(|&id| self.pools[id].is_some()).collect();
        let Some(&id) = any(&shares, pick) else { return };
        let pool = self.pools[id].take();
        self.workers[worker].run(move |_| drop(pool));
        self.closed(id);
    }

    fn trim(&mut self, worker: usize, pick: u8) {
        let Some((_, pool)) = self.pool(pick) else { return };
        let idle = pool.stats().idle_bytes;
        let (trimmed, left) = self.workers[worker].run(move |_| (pool.trim(), pool.stats().idle_bytes));
        assert_eq!((trimmed, left), (idle, 0));
    }

    fn sweep(&mut self, worker: usize, pick: u8) {
        let Some((_, pool)) = self.pool(pick) else { return };
        let idle = pool.stats().idle_bytes;
        let (swept, left) = self.workers[worker].run(move |_| (pool.sweep(), pool.stats().idle_bytes));
        assert_eq!(swept + left, idle);
    }

    fn reserve(&mut self, worker: usize, pick: u8, len: u8) {
        let Some((account, pool)) = self.pool(pick) else { return };
        let (len, count) = (self.len_of(len), usize::from(pick) % 4);
        let (state, bytes, idle) = (&self.accounts[account], class_of(len), pool.stats().idle_bytes);
        let (outcome, now) =
            self.workers[worker].run(move |_| (pool.reserve::<u8>(len, count), pool.stats().idle_bytes));
        let room = if state.queue.is_empty() { (state.budget - state.used() - idle) / bytes } else { 0 };
        assert_eq!(outcome.is_ok(), count <= room, "{outcome:?}");
        assert_eq!(now, idle + bytes * count.min(room));
    }

    fn look_at_outstanding(&mut self, worker: usize, pick: u8) {
        let Some((account, pool)) = self.pool(pick) else { return };
        let list = self.workers[worker].run(move |_| pool.outstanding());
        let (mut bytes, mut leased, mut pins, mut spans) = (0, 0, 0, 0);
        for rent in &list {
            bytes += rent.bytes;
            leased += usize::from(rent.leased);
            pins += rent.pins;
            spans += rent.spans;
        }
        let mine = || self.rents.iter().filter(|rent| rent.account == account && !rent.back);
        let state = &self.accounts[account];
        // What is promised may be a buffer already.
        assert!(list.len() >= state.rents && bytes >= state.rented);
        assert!(bytes <= state.rented + state.promised);
        assert_eq!(pins, mine().map(|rent| rent.pins).sum::<usize>());
        assert_eq!(spans, mine().map(|rent| rent.spans).sum::<usize>());
        let in_use = mine().filter(|rent| rent.running || !rent.is_empty()).count();
        assert!(leased >= in_use, "{leased} of {in_use}");
    }

    /// Ends a thread, with all that it kept to itself, and begins another one.
    fn replace_worker(&mut self, worker: usize) {
        if self.spans_of[worker] == 0 {
            self.workers[worker] = Worker::new();
        }
    }

    // Checks.

    /// Whether who is to be woken was, and the figures are right.
    fn check(&mut self) {
        // At once, also by what was revoked and is not looked after yet.
        for (id, task) in &self.tasks {
            let rings = usize::from(task.stage == Stage::Granted);
            assert_eq!(task.bell.rings(), rings, "task {id} is {:?}", task.stage);
        }
        self.look_after_revoked();
        self.check_figures();
    }

    fn check_figures(&self) {
        let held = self.counted.held();
        assert!(self.counted.peak() <= self.accounts[0].budget, "{} bytes", self.counted.peak());
        let mut known = 0;
        for (pool, state) in self.pools.iter().zip(&self.accounts) {
            let Some(pool) = pool else {
                // Tasks have handles of it that we cannot ask.
                known += state.rented;
                continue;
            };
            let stats = pool.stats();
            assert_eq!((stats.budget, stats.waiting), (Some(state.budget), state.queue.len()));
            assert!(stats.waited >= state.waited, "and those that had to take idle memory back first");
            assert_eq!(stats.rented_bytes, state.rented, "what is promised is not rented yet");
            assert!(state.used() + stats.idle_bytes <= state.budget);
            assert!(stats.peak_bytes <= state.budget && stats.peak_bytes >= state.used());
            known += stats.rented_bytes + stats.idle_bytes;
        }
        assert!(held >= known, "{held} bytes are held, {known} are known");
        let all_open =
            self.pools.iter().zip(&self.accounts).all(|(pool, state)| pool.is_some() || state.ended);
        // What is promised is held as memory, or as a right to it.
        let promised: usize = self.accounts.iter().map(|state| state.promised).sum();
        assert!(!all_open || held <= known + promised, "{held} bytes are held, {known} are known");
    }

    /// Gives everything back. Everybody who waits is served, and nothing is left.
    fn finish(mut self, order: u8) {
        let pool_first = order.is_multiple_of(2);
        for id in (0..self.pools.len()).rev() {
            if self.pools[id].is_some() && (id > 0 || pool_first && self.tasks.is_empty()) {
                let pool = self.pools[id].take();
                self.workers[0].run(move |_| drop(pool));
                self.closed(id);
            }
        }
        while !self.lessors.is_empty() {
            self.drop_lessor(0, order);
        }
        while !self.revocations.is_empty() {
            self.end_revocation(1, order, 0);
        }
        while !self.spans.is_empty() {
            self.end_span(order);
        }
        while !self.pins.is_empty() {
            self.end_pin(2, order);
        }
        while !self.pins_mut.is_empty() {
            self.end_pin_mut(0, order);
        }
        while !self.owners.is_empty() || !self.tasks.is_empty() {
            while !self.owners.is_empty() {
                self.drop_owner(1, order);
                self.check();
            }
            let ready = |task: &Task| task.stage != Stage::Waiting;
            let next = self.tasks.iter().find(|(_, task)| ready(task)).map(|(&id, _)| id);
            assert!(self.tasks.is_empty() || next.is_some(), "everything is back, and somebody still waits");
            if let Some(id) = next {
                self.poll(2, id);
            }
        }
        self.check();
        assert!(self.accounts.iter().all(|state| state.used() == 0));
        if let Some(pool) = self.pools[0].take() {
            assert_eq!((pool.outstanding().len(), pool.stats().rented_bytes), (0, 0));
            let all = pool.stats().budget.unwrap_or_default();
            assert!(pool.try_rent::<u8>(all).is_ok(), "the whole budget is free again");
            pool.trim();
        }
        assert_eq!(self.counted.held(), 0);
    }
}
