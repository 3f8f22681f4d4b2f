//! An allocator that counts, and what is expected of the library under it: the operations of the steady state allocate
//! nothing, and what is given up is given back.
//!
//! One test, since the counts are the process's: its parts run one after the other.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::hint::black_box;
use std::pin::pin;
use std::sync::{Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use check_allocation::{Counting, allocations, bytes_live};
use leasehold::{
    Lessor, MemoryOwner, MemoryPool, MemoryWriter, PipeBuilder, SharedOwner, counters, reclaim_now,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_steady_state_allocates_nothing_and_what_is_given_up_is_given_back() {
    every_operation_of_the_steady_state_allocates_nothing();
    exchanges_in_the_steady_state_allocate_nothing();
    a_lease_over_a_fresh_vector_costs_the_vector_only();
    short_threads_that_only_free_leave_nothing_behind();
    rents_that_outlive_their_pool_free_their_memory();
    pools_that_come_and_go_leave_nothing_behind();
    a_dropped_pool_is_forgotten_by_the_threads_that_used_it();
    revoked_rents_do_not_pile_up();
}

/// Runs `operation` until the caches are warm, then counts what further runs of it allocate.
#[track_caller]
fn allocates_nothing(what: &str, mut operation: impl FnMut()) {
    for _ in 0..300 {
        operation();
    }
    let before = allocations();
    for _ in 0..1000 {
        operation();
    }
    let allocations = allocations() - before;
    assert_eq!(allocations, 0, "{what}: {allocations} allocations in 1000 rounds");
}

fn exchanges_in_the_steady_state_allocate_nothing() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) =
        PipeBuilder::new().pool(&pool).capacity(4096).block_len(1000).build::<u8>();
    let mut kept = None;
    allocates_nothing("pipe: reserve, commit, flush, read, advance", || {
        // Over the end of a block, and more than one at a time.
        for _ in 0..3 {
            writer.reserve_blocking(300).unwrap()[..300].fill(1);
            writer.commit(300);
            writer.flush_blocking().unwrap();
        }
        let len = black_box(reader.read_blocking().unwrap().buffer().len());
        reader.advance(len - 100, len);
        // A shared owner of what was read keeps the block, so that the writer has to go on to another.
        kept = reader.buffer().owners().next();
    });
    drop(kept);

    let mut writer = MemoryWriter::<u8>::contiguous(&pool).block_len(1000);
    allocates_nothing("writer: push, split, join, drop", || {
        writer.push_slice(&[1; 70]);
        let first = writer.split();
        writer.push_slice(&[2; 50]);
        // Where the block ends in between, the two are neighbours no more.
        let joined = first.try_join(writer.split());
        black_box(joined.is_ok());
    });
}

fn every_operation_of_the_steady_state_allocates_nothing() {
    let pool = MemoryPool::new();
    let mut slot = Some(MemoryOwner::from(vec![0u8; 64]));

    allocates_nothing("lease, drop, reclaim", || {
        let (lessor, memory) = slot.take().unwrap().lease();
        drop(memory);
        slot = lessor.try_reclaim().ok();
    });
    allocates_nothing("lease, span, span_mut, reclaim", || {
        let (lessor, mut memory) = slot.take().unwrap().lease();
        memory.span_mut().unwrap()[0] = 1;
        black_box(memory.span().unwrap()[0]);
        slot = lessor.try_reclaim().ok();
    });
    allocates_nothing("lease, split, slice, join, reclaim", || {
        let (lessor, memory) = slot.take().unwrap().lease();
        let (left, right) = memory.split_at(10).unwrap();
        let memory = left.join(right).unwrap().slice(1..).unwrap();
        assert!(memory.split_at(1000).is_err());
        slot = lessor.try_reclaim().ok();
    });
    allocates_nothing("lease, pin, unpin, reclaim", || {
        let (lessor, memory) = slot.take().unwrap().lease();
        let memory = memory.pin().unwrap().unpin();
        drop(memory.pin().unwrap());
        slot = lessor.try_reclaim().ok();
    });
    allocates_nothing("lease_read_only, span, slice, pin, reclaim", || {
        let (lessor, memory) = slot.take().unwrap().lease_read_only();
        black_box(memory.slice(1..9).try_slice(1..2).unwrap().span().unwrap()[0]);
        drop(memory.pin().unwrap());
        slot = lessor.try_reclaim().ok();
        assert!(memory.span().is_err() && memory.pin().is_err());
    });
    allocates_nothing("many spans at once, beyond the fast ones", || {
        let (lessor, memory) = slot.take().unwrap().lease_read_only();
        let spans: [_; 20] = std::array::from_fn(|_| memory.span().unwrap());
        drop(spans);
        slot = lessor.try_reclaim().ok();
    });
    allocates_nothing("a refused attempt", || {
        let (lessor, memory) = slot.take().unwrap().lease_read_only();
        let span = memory.span().unwrap();
        let lessor = lessor.try_reclaim().unwrap_err().lessor;
        drop(span);
        slot = lessor.try_reclaim().ok();
    });
    allocates_nothing("revoke, try_take", || {
        let (lessor, memory) = slot.take().unwrap().lease_read_only();
        drop(memory.span().unwrap());
        slot = lessor.revoke().try_take().ok();
    });
    allocates_nothing("revoke, drain, try_take", || {
        let (lessor, memory) = slot.take().unwrap().lease_read_only();
        let (span, pin) = (memory.span().unwrap(), memory.pin().unwrap());
        let revocation = lessor.revoke().try_take().unwrap_err();
        drop((span, pin));
        slot = revocation.try_take().ok();
    });
    allocates_nothing("share, clone, slice, split, drop, own again", || {
        let shared = slot.take().unwrap().into_shared();
        let (left, right) = shared.clone().split_at(10);
        drop((left.slice(1..), left, right));
        slot = shared.try_into_owner().ok();
    });
    allocates_nothing("share, lease, span, reclaim, own again", || {
        let (lessor, memory) = slot.take().unwrap().into_shared().try_lease_read_only().unwrap();
        black_box(memory.span().unwrap()[0]);
        slot = lessor.try_reclaim().unwrap().try_into_owner().ok();
    });
    allocates_nothing("rent, drop", || {
        drop(pool.rent::<u32>(1000));
        drop(pool.rent::<u8>(3 << 20));
        drop(MemoryPool::shared().rent::<u64>(10));
    });
    rents_within_a_budget();
    let mut out = Vec::with_capacity(500);
    allocates_nothing("500 rents, 500 returns, through the stock", || {
        out.extend((0..500).map(|_| pool.rent::<u8>(100)));
        out.clear();
    });
    allocates_nothing("rent, lease, span, drop of the lessor", || {
        let (lessor, memory) = pool.rent::<u8>(100).lease_read_only();
        black_box(memory.span().unwrap()[0]);
        drop(lessor);
        let (lessor, memory) = pool.rent::<u8>(100).lease();
        drop((lessor, memory));
    });
    allocates_nothing("rent, lease, drop of the lessor under a span", || {
        let (lessor, memory) = pool.rent::<u8>(100).lease_read_only();
        let span = memory.span().unwrap();
        drop(lessor);
        drop(span);
    });
    allocates_nothing("owners of static memory", || {
        drop(SharedOwner::from_static(&[1u8, 2, 3]).clone());
    });
    let stack = [0u8; 16];
    allocates_nothing("scope", || {
        black_box(leasehold::scope_read_only(&stack, |memory| memory.span().unwrap()[0]));
    });
    other_threads_take_part(&pool);
}

/// As long as nobody has to wait.
fn rents_within_a_budget() {
    let pool = MemoryPool::builder().build_bounded(1 << 20);
    allocates_nothing("try_rent, drop, and an error", || {
        let owner = pool.try_rent::<u8>(1 << 19).unwrap();
        assert!(pool.try_rent::<u8>(1 << 30).is_err());
        drop(owner);
    });
    allocates_nothing("rent().await that is ready at once, drop", || {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(rented) = pin!(pool.rent::<u8>(1000)).poll(&mut context) else { panic!() };
        drop(rented.unwrap());
    });
    allocates_nothing("rent_blocking, drop", || drop(pool.rent_blocking::<u8>(1000).unwrap()));
}

/// The revoker's work when another thread has been inside, and memory that comes back from there.
fn other_threads_take_part(pool: &MemoryPool) {
    let desk = std::sync::Arc::new(Desk::default());
    let readers = std::sync::Arc::clone(&desk);
    let reader = thread::spawn(move || while readers.serve() {});
    let touched = |memory| assert_eq!(desk.ask(Order::Read(memory)), 100);
    let mut slot = Some(MemoryOwner::from(vec![0u8; 100]));
    allocates_nothing("read elsewhere, reclaim, revoke", || {
        let (lessor, memory) = slot.take().unwrap().lease_read_only();
        touched(memory);
        let (lessor, memory) = lessor.try_reclaim().unwrap().lease_read_only();
        touched(memory);
        slot = lessor.revoke().try_take().ok();
    });
    allocates_nothing("rented, read elsewhere, lessor dropped", || {
        let (lessor, memory) = pool.rent::<u8>(100).lease_read_only();
        touched(memory);
        drop(lessor);
    });
    allocates_nothing("rented, returned elsewhere", || {
        let rents = std::array::from_fn(|_| pool.rent::<u8>(100));
        assert_eq!(desk.ask(Order::Return(rents)), RETURNED);
    });
    desk.ask(Order::Stop);
    reader.join().unwrap();
}

/// Rents that come back at a time: all rounds together go through the stock many times.
const RETURNED: usize = 10;

/// Where one thread asks another to look at memory. Channels of the standard library allocate now and then.
#[derive(Default)]
struct Desk {
    order: Mutex<Option<Order>>,
    answer: Mutex<Option<usize>>,
    changed: Condvar,
    answered: Condvar,
}

#[expect(clippy::large_enum_variant, reason = "boxing would allocate, which is what is counted")]
enum Order {
    Read(leasehold::ReadOnlyMemory<u8>),
    Return([MemoryOwner<u8>; RETURNED]),
    Stop,
}

impl Desk {
    fn ask(&self, order: Order) -> usize {
        *self.order.lock().unwrap() = Some(order);
        self.changed.notify_one();
        let mut answer =
            self.answered.wait_while(self.answer.lock().unwrap(), |answer| answer.is_none()).unwrap();
        answer.take().unwrap()
    }

    /// Carries out one order. False when it was the last.
    fn serve(&self) -> bool {
        let mut order = self.changed.wait_while(self.order.lock().unwrap(), |order| order.is_none()).unwrap();
        let order = order.take().unwrap();
        let (answer, last) = match order {
            Order::Read(memory) => (memory.span().map_or(0, |span| span.len()), false),
            Order::Return(rents) => (rents.into_iter().map(drop).count(), false),
            Order::Stop => (0, true),
        };
        *self.answer.lock().unwrap() = Some(answer);
        self.answered.notify_one();
        !last
    }
}

fn a_lease_over_a_fresh_vector_costs_the_vector_only() {
    for _ in 0..300 {
        drop(MemoryOwner::from(vec![0u8; 64]).lease());
    }
    let before = allocations();
    for _ in 0..1000 {
        drop(MemoryOwner::from(vec![0u8; 64]).lease());
    }
    assert_eq!(allocations() - before, 1000);
}

/// Bytes per round that are live after many rounds and were not before.
#[track_caller]
fn leaves_nothing_behind(what: &str, rounds: i64, mut round: impl FnMut()) {
    for _ in 0..rounds {
        round();
    }
    let before = bytes_live();
    for _ in 0..rounds {
        round();
    }
    let left = bytes_live() - before;
    assert!(left < rounds * 8, "{what}: {left} bytes left by {rounds} rounds");
}

fn short_threads_that_only_free_leave_nothing_behind() {
    leaves_nothing_behind("owners dropped elsewhere", 500, || {
        let owners: Vec<_> = (0..5).map(|i| MemoryOwner::from(vec![i; 8])).collect();
        thread::spawn(move || drop(owners)).join().unwrap();
    });
    leaves_nothing_behind("leases taken and ended elsewhere", 500, || {
        let (lessor, memory) = MemoryOwner::from(vec![0u8; 8]).lease_read_only();
        thread::spawn(move || {
            assert_eq!(memory.span().unwrap().len(), 8);
            drop(lessor);
        })
        .join()
        .unwrap();
    });
    let pool = MemoryPool::new();
    leaves_nothing_behind("rents dropped elsewhere", 500, || {
        let (owner, (lessor, memory)) = (pool.rent::<u8>(100), pool.rent::<u8>(100).lease_read_only());
        drop(memory.span().unwrap());
        thread::spawn(move || drop((owner, lessor))).join().unwrap();
    });
    let records = counters().thread_records;
    assert!(records < 10, "{records} thread records");
}

fn rents_that_outlive_their_pool_free_their_memory() {
    for len in [100, 1 << 16, 1 << 20, 3 << 20] {
        let pool = MemoryPool::new();
        let before = bytes_live();
        let owner = pool.rent::<u8>(len);
        let elsewhere = pool.rent::<u8>(len);
        let (lessor, memory) = pool.rent::<u8>(len).lease_read_only();
        let span = memory.span().unwrap();
        drop(pool);
        drop(lessor);
        drop(span);
        drop(owner);
        thread::spawn(move || drop(elsewhere)).join().unwrap();
        reclaim_now();
        let left = bytes_live() - before;
        assert!(left < 50_000.min(len as i64), "{left} bytes of three rents of {len} bytes are left");
    }
}

fn pools_that_come_and_go_leave_nothing_behind() {
    leaves_nothing_behind("pools", 200, || {
        let pool = MemoryPool::new();
        drop(pool.rent::<u8>(1000));
        let late = pool.rent::<u8>(1000);
        drop(pool);
        drop(late);
    });
}

fn a_dropped_pool_is_forgotten_by_the_threads_that_used_it() {
    let (work, inbox) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let worker = thread::spawn(move || inbox.into_iter().for_each(|job| job()));
    let (done, finished) = std::sync::mpsc::channel();
    let on_the_worker = |job: Box<dyn FnOnce() + Send>| {
        let done = done.clone();
        work.send(Box::new(move || {
            job();
            done.send(()).unwrap();
        }))
        .unwrap();
        finished.recv().unwrap();
    };
    leaves_nothing_behind("pools used by a thread that goes on", 100, || {
        let pool = MemoryPool::new();
        let clone = pool.clone();
        on_the_worker(Box::new(move || drop(clone.rent::<u8>(1000))));
        drop(pool);
        on_the_worker(Box::new(|| drop(MemoryPool::shared().rent::<u8>(1))));
    });
    drop(work);
    worker.join().unwrap();
}

fn revoked_rents_do_not_pile_up() {
    let pool = MemoryPool::new();
    leaves_nothing_behind("revoked rents", 200, || {
        let (lessors, memories): (Vec<Lessor<u8, _>>, Vec<_>) =
            (0..10).map(|_| pool.rent::<u8>(4096).lease_read_only()).unzip();
        thread::scope(|scope| {
            scope.spawn(|| memories.iter().for_each(|memory| drop(memory.span().unwrap())));
        });
        drop(lessors);
    });
}
