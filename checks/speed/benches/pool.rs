//! What it costs to rent memory and to give it back: one at a time, many at a time, in two threads, from another thread, and
//! within a budget.

mod by_hand;

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use by_hand::{Bytes, Stateless};
use check_speed::{
    Goal, LOCKED, MANY, Row, Table, at_a_time, at_once, beside, elsewhere, handover, item_by_item, seen,
    through_a_channel,
};
use leasehold::{BoundedPool, MemoryOwner, MemoryPool};
use lockfree_object_pool::LinearObjectPool;
use mimalloc::MiMalloc;
use object_pool::Pool as ObjectPool;
use opool::PoolAllocator;
use tikv_jemallocator::Jemalloc;
use zeropool::ZeroPool;

struct Size {
    label: &'static str,
    len: usize,
    /// The row of one buffer at a time, by which others are measured.
    one_out: &'static str,
}

const SIZES: [Size; 4] = [
    Size { label: "256 B", len: 256, one_out: "leasehold, 256 B" },
    FOUR_KIB,
    Size { label: "64 KiB", len: 64 << 10, one_out: "leasehold, 64 KiB" },
    Size { label: "1 MiB", len: 1 << 20, one_out: "leasehold, 1 MiB" },
];
/// The size of the rows in which the size makes no difference.
const FOUR_KIB: Size = Size { label: "4 KiB", len: 4 << 10, one_out: "leasehold, 4 KiB" };
/// Calls in a turn of a row of two threads.
const TIMES: u64 = 50_000;
const CHANNEL_ALONE: &str = "nothing but the channel";

fn main() {
    let peers = Peers::new();
    let bounded = MemoryPool::builder().build_bounded(1 << 30);
    let other = MemoryPool::new();
    let mut table = Table::new("pool: rent + return");
    for size in &SIZES {
        one_out(&mut table, &peers, size);
    }
    budgeted(&mut table, &bounded);
    two_pools(&mut table, &other);
    for size in &SIZES {
        many_out(&mut table, &peers, size);
    }
    for size in &SIZES {
        two_threads(&mut table, &peers, size);
    }
    for size in &SIZES {
        returned_elsewhere(&mut table, &peers, size);
    }
    sent(&mut table, &peers);
    table.run();
}

/// Object pools hold one size each, the others any.
struct Peers {
    zero: ZeroPool,
    sized: Vec<(usize, OfOneSize)>,
}

struct OfOneSize {
    opool: opool::Pool<Buffers, Vec<u8>>,
    object: ObjectPool<Vec<u8>>,
    linear: LinearObjectPool<Vec<u8>>,
}

impl Peers {
    fn new() -> Peers {
        let sized = |&Size { len, .. }: &Size| {
            let opool = opool::Pool::new_prefilled(4 * MANY, Buffers(len));
            let object = ObjectPool::new(4 * MANY, || vec![0; len]);
            let linear = LinearObjectPool::new(move || vec![0; len], |_| ());
            (len, OfOneSize { opool, object, linear })
        };
        Peers { zero: ZeroPool::new(), sized: SIZES.iter().map(sized).collect() }
    }

    fn of(&self, len: usize) -> &OfOneSize {
        &self.sized.iter().find(|(size, _)| *size == len).expect("there is one of each size").1
    }
}

struct Buffers(usize);

impl PoolAllocator<Vec<u8>> for Buffers {
    fn allocate(&self) -> Vec<u8> {
        vec![0; self.0]
    }
}

#[inline(always)]
fn rent(len: usize) -> MemoryOwner<u8> {
    MemoryPool::shared().rent(black_box(len))
}

#[inline(always)]
fn vec(len: usize) -> Vec<u8> {
    Vec::with_capacity(black_box(len))
}

#[inline(always)]
fn bytes<A: Stateless>(len: usize) -> Bytes<A> {
    Bytes::new(black_box(len))
}

/// Calls `$with!(who, take, ptr)` for each peer: how to take a buffer, and where it begins.
macro_rules! for_each_peer {
    ($peers:ident, $len:ident, $with:ident) => {
        let peer = $peers.of($len);
        $with!("  Vec", move || vec($len), |vec: &mut Vec<u8>| vec.as_ptr());
        $with!("  mimalloc", move || bytes::<MiMalloc>($len), |bytes: &mut Bytes<_>| bytes.as_ptr());
        $with!("  jemalloc", move || bytes::<Jemalloc>($len), |bytes: &mut Bytes<_>| bytes.as_ptr());
        $with!("  opool", move || peer.opool.get(), |vec| vec.as_ptr());
        $with!("  object-pool", move || peer.object.pull(|| vec![0; $len]), |vec| vec.as_ptr());
        $with!("  lockfree-object-pool", move || peer.linear.pull(), |vec| vec.as_ptr());
        $with!("  zeropool", move || $peers.zero.alloc_uninit(black_box($len)), |buffer| buffer
            .as_uninit_mut()
            .as_ptr()
            .cast());
    };
}

fn one_out<'a>(table: &mut Table<'a>, peers: &'a Peers, size: &Size) {
    let (label, len) = (size.label, size.len);
    let goal = Goal::Locked(3.0 / LOCKED);
    table.row(Row::one(size.one_out, move || seen(rent(len).as_ptr())).goal(goal));
    macro_rules! row {
        ($who:expr, $take:expr, $ptr:expr) => {
            table.row(Row::one(format!("{}, {label}", $who), at_a_time($take, $ptr)))
        };
    }
    for_each_peer!(peers, len, row);
}

/// A rent that has its memory at once, as a future that is ready.
fn budgeted<'a>(table: &mut Table<'a>, bounded: &'a BoundedPool) {
    let len = FOUR_KIB.len;
    let rent_now = move || {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(bounded.rent::<u8>(black_box(len))).poll(&mut context) {
            Poll::Ready(Ok(owner)) => seen(owner.as_ptr()),
            _ => 0,
        }
    };
    let goal = Goal::Plus(15.0 / LOCKED, FOUR_KIB.one_out);
    table.row(Row::one("leasehold, 4 KiB, budgeted rent().await", rent_now).goal(goal));
}

/// A thread that goes to and fro between two pools: what a cache for one of them costs.
fn two_pools<'a>(table: &mut Table<'a>, other: &'a MemoryPool) {
    let len = FOUR_KIB.len;
    table.row(Row::one("leasehold, 4 KiB, two pools in turns", move || {
        seen(rent(len).as_ptr()) + seen(other.rent::<u8>(black_box(len)).as_ptr())
    }));
}

fn many_out<'a>(table: &mut Table<'a>, peers: &'a Peers, size: &Size) {
    let (label, len) = (size.label, size.len);
    let name = |who: &str| format!("{who}, {label}, 64 out, 64 back");
    let ours = at_once(move || rent(len), |owner| owner.as_ptr());
    table.row(Row::one(name("leasehold"), ours).goal(Goal::Times(2.0, size.one_out)));
    macro_rules! row {
        ($who:expr, $take:expr, $ptr:expr) => {
            table.row(Row::one(name($who), at_once($take, $ptr)))
        };
    }
    for_each_peer!(peers, len, row);
}

fn two_threads<'a>(table: &mut Table<'a>, peers: &'a Peers, size: &Size) {
    let (label, len) = (size.label, size.len);
    let name = |who: &str| format!("{who}, {label}, two threads");
    let ours = move || beside(TIMES, move || seen(rent(len).as_ptr()), move || seen(rent(len).as_ptr()));
    table.row(Row::new(name("leasehold"), ours).goal(Goal::Times(1.2, size.one_out)));
    if size.len != FOUR_KIB.len {
        return;
    }
    macro_rules! row {
        ($who:expr, $take:expr, $ptr:expr) => {
            table.row(Row::new(name($who), move || {
                beside(TIMES / 8, at_a_time($take, $ptr), at_a_time($take, $ptr))
            }))
        };
    }
    for_each_peer!(peers, len, row);
}

fn returned_elsewhere<'a>(table: &mut Table<'a>, peers: &'a Peers, size: &Size) {
    let (label, len) = (size.label, size.len);
    let name = |who: &str| format!("{who}, {label}, rented in A, returned in B");
    let ours = move || elsewhere(|| rent(len), |owner| owner.as_ptr());
    table.row(Row::new(name("leasehold"), ours).goal(Goal::Locked(13.0 / LOCKED)));
    macro_rules! row {
        ($who:expr, $take:expr, $ptr:expr) => {
            table.row(Row::new(name($who), move || elsewhere($take, $ptr)))
        };
    }
    for_each_peer!(peers, len, row);
    if size.len == FOUR_KIB.len {
        table.row(Row::new("nothing but the way from A to B", || handover(payload, |[ptr, ..]| ptr)));
    }
}

/// As large as an owner.
fn payload() -> [u64; 3] {
    black_box([1; 3])
}

fn sent<'a>(table: &mut Table<'a>, peers: &'a Peers) {
    let Size { label, len, .. } = FOUR_KIB;
    let name = |who: &str| format!("{who}, {label}, sent through a channel");
    let ours = move || through_a_channel(|| rent(len), |owner| owner.as_ptr());
    table.row(Row::new(CHANNEL_ALONE, || item_by_item(payload, |[ptr, ..]| ptr)));
    table.row(Row::new(name("leasehold"), ours).goal(Goal::Plus(15.0 / LOCKED, CHANNEL_ALONE)));
    macro_rules! row {
        ($who:expr, $take:expr, $ptr:expr) => {
            table.row(Row::new(name($who), move || through_a_channel($take, $ptr)))
        };
    }
    for_each_peer!(peers, len, row);
}
