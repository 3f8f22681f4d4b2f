//! What it costs to rent memory and to give it back: one at a time, many at a time, and from another thread.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::ptr::NonNull;

use check_speed::{Goal, LOCKED, Row, Sample, Table, handover};
use leasehold::{MemoryOwner, MemoryPool};
use lockfree_object_pool::LinearObjectPool;
use mimalloc::MiMalloc;
use object_pool::Pool as ObjectPool;
use opool::PoolAllocator;
use zeropool::ZeroPool;

/// Sizes with the goal for one rent and its return, in nanoseconds; without one the row is there to compare with.
const SIZES: [(&str, usize, Option<f64>); 4] = [
    ("256 B", 256, None),
    ("4 KiB", 4 << 10, Some(3.0)),
    ("64 KiB", 64 << 10, Some(3.0)),
    ("1 MiB", 1 << 20, None),
];
/// Buffers that are out at the same time in the rows of many.
const MANY: usize = 64;

fn main() {
    let peers = Peers::new();
    let mut table = Table::new("pool: rent + return");
    for (label, len, goal) in SIZES {
        one_out(&mut table, &peers, label, len, goal);
    }
    for (label, len, _) in &SIZES[..3] {
        many_out(&mut table, &peers, label, *len);
    }
    for (label, len, _) in &SIZES[..3] {
        returned_elsewhere(&mut table, &peers, label, *len);
    }
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
        let sized = |&(_, len, _): &(_, usize, _)| {
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

/// Memory straight from mimalloc, which is not the allocator of this program.
struct Mimalloc {
    ptr: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is nobody else's, and mimalloc takes it back in any thread.
#[expect(unsafe_code, reason = "an allocator that is not the global one is called by hand")]
unsafe impl Send for Mimalloc {}

impl Mimalloc {
    #[expect(unsafe_code, reason = "an allocator that is not the global one is called by hand")]
    fn new(len: usize) -> Mimalloc {
        let layout = Layout::array::<u8>(len).expect("the sizes above are small");
        // SAFETY: no size above is zero.
        let ptr = unsafe { MiMalloc.alloc(layout) };
        Mimalloc { ptr: NonNull::new(ptr).expect("there is memory"), layout }
    }
}

impl Drop for Mimalloc {
    #[expect(unsafe_code, reason = "an allocator that is not the global one is called by hand")]
    fn drop(&mut self) {
        // SAFETY: it came from there with this layout.
        unsafe { MiMalloc.dealloc(self.ptr.as_ptr(), self.layout) };
    }
}

/// Makes the compiler believe that a buffer at `ptr` is used.
#[inline(always)]
fn seen(ptr: *const u8) -> u64 {
    u64::from(!black_box(ptr).is_null())
}

#[inline(always)]
fn rent(len: usize) -> MemoryOwner<u8> {
    MemoryPool::shared().rent(black_box(len))
}

#[inline(always)]
fn vec(len: usize) -> Vec<u8> {
    Vec::with_capacity(black_box(len))
}

fn one_out<'a>(table: &mut Table<'a>, peers: &'a Peers, label: &str, len: usize, goal: Option<f64>) {
    let peer = peers.of(len);
    let goal = goal.map_or(Goal::None, |ns| Goal::Locked(ns / LOCKED));
    table
        .row(Row::one(format!("leasehold, {label}"), move || seen(rent(len).as_ptr())).goal(goal))
        .row(Row::one(format!("  Vec, {label}"), move || seen(vec(len).as_ptr())))
        .row(Row::one(format!("  mimalloc, {label}"), move || {
            seen(Mimalloc::new(black_box(len)).ptr.as_ptr())
        }))
        .row(Row::one(format!("  opool, {label}"), move || seen(peer.opool.get().as_ptr())))
        .row(Row::one(format!("  object-pool, {label}"), move || {
            seen(peer.object.try_pull().expect("there are many").as_ptr())
        }))
        .row(Row::one(format!("  lockfree-object-pool, {label}"), move || seen(peer.linear.pull().as_ptr())))
        .row(Row::one(format!("  zeropool, {label}"), move || {
            seen(peers.zero.alloc_uninit(black_box(len)).as_uninit_mut().as_ptr().cast())
        }));
}

fn many_out<'a>(table: &mut Table<'a>, peers: &'a Peers, label: &str, len: usize) {
    let peer = peers.of(len);
    let name = |who: &str| format!("{who}, {label}, 64 out, 64 back");
    table
        .row(Row::one(name("leasehold"), at_once(move || rent(len), |owner| owner.as_ptr())))
        .row(Row::one(name("  Vec"), at_once(move || vec(len), |vec| vec.as_ptr())))
        .row(Row::one(name("  mimalloc"), at_once(move || Mimalloc::new(len), |memory| memory.ptr.as_ptr())))
        .row(Row::one(name("  opool"), at_once(move || peer.opool.get(), |vec| vec.as_ptr())))
        .row(Row::one(
            name("  object-pool"),
            at_once(move || peer.object.try_pull().expect("there are many"), |vec| vec.as_ptr()),
        ))
        .row(Row::one(
            name("  lockfree-object-pool"),
            at_once(move || peer.linear.pull(), |vec| vec.as_ptr()),
        ))
        .row(Row::one(
            name("  zeropool"),
            at_once(move || peers.zero.alloc_uninit(len), |buffer| buffer.as_uninit_mut().as_ptr().cast()),
        ));
}

/// Takes 64 out, then puts them back in the order in which they came. Counts each.
fn at_once<T>(mut take: impl FnMut() -> T, ptr: impl Fn(&mut T) -> *const u8) -> impl FnMut() -> u64 {
    let mut out = Vec::with_capacity(MANY);
    move || {
        let mut counted = 0;
        for _ in 0..MANY {
            let mut taken = take();
            counted += seen(ptr(&mut taken));
            out.push(taken);
        }
        out.clear();
        counted
    }
}

fn returned_elsewhere<'a>(table: &mut Table<'a>, peers: &'a Peers, label: &str, len: usize) {
    let peer = peers.of(len);
    let name = |who: &str| format!("{who}, {label}, rented in A, returned in B");
    let goal = if len == 4 << 10 { Goal::Locked(13.0 / LOCKED) } else { Goal::None };
    table
        .row(Row::new(name("leasehold"), move || elsewhere(|| rent(len), |owner| owner.as_ptr())).goal(goal))
        .row(Row::new(name("  Vec"), move || elsewhere(|| vec(len), |vec| vec.as_ptr())))
        .row(Row::new(name("  mimalloc"), move || {
            elsewhere(|| Mimalloc::new(len), |memory| memory.ptr.as_ptr())
        }))
        .row(Row::new(name("  opool"), move || elsewhere(|| peer.opool.get(), |vec| vec.as_ptr())))
        .row(Row::new(name("  object-pool"), move || {
            elsewhere(|| peer.object.pull(|| vec![0; len]), |vec| vec.as_ptr())
        }))
        .row(Row::new(name("  lockfree-object-pool"), move || {
            elsewhere(|| peer.linear.pull(), |vec| vec.as_ptr())
        }))
        .row(Row::new(name("  zeropool"), move || {
            elsewhere(|| peers.zero.alloc_uninit(len), |buffer| buffer.as_uninit_mut().as_ptr().cast())
        }));
}

fn elsewhere<T: Send>(take: impl FnMut() -> T, ptr: impl Fn(&mut T) -> *const u8 + Send) -> Option<Sample> {
    handover(take, move |mut taken| seen(ptr(&mut taken)))
}
