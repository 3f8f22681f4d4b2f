//! The pool of `commonware-runtime` beside Leasehold's, in rows of the bench `pool`.
//!
//! `cargo run --release -- --seconds 20`, in this folder. What was taken is initialised by neither.

use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroUsize};

use check_speed::{
    Row, Table, at_a_time, at_once, beside, elsewhere, handover, item_by_item, through_a_channel,
};
use commonware_runtime::tokio::{Config, Runner};
use commonware_runtime::{BufferPool, BufferPoolConfig, BufferPooler, IoBufMut, Runner as _};
use leasehold::{MemoryOwner, MemoryPool};

const SIZES: [(&str, usize); 4] =
    [("256 B", 256), ("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)];
/// Calls in a turn of a row of two threads.
const TIMES: u64 = 50_000;

fn main() {
    let pool = commonware();
    let pool = &pool;
    let mut table = Table::new("pool: rent + return, beside commonware's");
    for (label, len) in SIZES {
        let theirs = move || alloc(pool, len);
        table.row(Row::one(format!("leasehold, {label}"), at_a_time(move || rent(len), start)));
        table.row(Row::one(format!("  commonware, {label}"), at_a_time(theirs, begin)));
    }
    for (label, len) in SIZES {
        let name = |who: &str| format!("{who}, {label}, 64 out, 64 back");
        table.row(Row::one(name("leasehold"), at_once(move || rent(len), start)));
        table.row(Row::one(name("  commonware"), at_once(move || alloc(pool, len), begin)));
    }
    for (label, len) in SIZES {
        let name = |who: &str| format!("{who}, {label}, two threads");
        let ours = move || at_a_time(move || rent(len), start);
        let theirs = move || at_a_time(move || alloc(pool, len), begin);
        table.row(Row::new(name("leasehold"), move || beside(TIMES, ours(), ours())));
        table.row(Row::new(name("  commonware"), move || beside(TIMES, theirs(), theirs())));
    }
    table.row(Row::new("nothing but the way from A to B", || handover(payload, |[ptr, ..]| ptr)));
    for (label, len) in SIZES {
        let name = |who: &str| format!("{who}, {label}, rented in A, returned in B");
        table.row(Row::new(name("leasehold"), move || elsewhere(|| rent(len), start)));
        table.row(Row::new(name("  commonware"), move || elsewhere(|| alloc(pool, len), begin)));
    }
    table.row(Row::new("nothing but the channel", || item_by_item(payload, |[ptr, ..]| ptr)));
    for (label, len) in SIZES {
        let name = |who: &str| format!("{who}, {label}, sent through a channel");
        table.row(Row::new(name("leasehold"), move || through_a_channel(|| rent(len), start)));
        table.row(Row::new(name("  commonware"), move || through_a_channel(|| alloc(pool, len), begin)));
    }
    table.run();
}

/// A pool of all four sizes, with as many buffers of each as the network's has and a cache for each of two threads.
/// Only a runtime makes one; the pool outlives it.
fn commonware() -> BufferPool {
    let number = |size: usize| NonZeroUsize::new(size).expect("not zero");
    let most = NonZeroU32::new(4096).expect("not zero");
    let classes = SIZES.map(|(_, len)| (number(len), most));
    let config = BufferPoolConfig::for_network()
        .with_size_classes(classes)
        .with_alignment(number(64))
        .with_parallelism(number(2));
    let runner = Runner::new(Config::new().with_network_buffer_pool_config(config));
    let pool = runner.start(|context| async move { context.network_buffer_pool().clone() });
    for (label, len) in SIZES {
        let buffer = alloc(&pool, len);
        assert!(buffer.is_pooled() && buffer.capacity() >= len, "the pool has no {label}");
    }
    pool
}

#[inline(always)]
fn rent(len: usize) -> MemoryOwner<u8> {
    MemoryPool::shared().rent(black_box(len))
}

#[inline(always)]
fn start(owner: &mut MemoryOwner<u8>) -> *const u8 {
    owner.as_ptr()
}

/// Fails when the pool has none left, where `BufferPool::alloc` would ask the allocator.
#[inline(always)]
fn alloc(pool: &BufferPool, len: usize) -> IoBufMut {
    pool.try_alloc(black_box(len)).expect("fewer are out than the pool may have")
}

#[inline(always)]
fn begin(buffer: &mut IoBufMut) -> *const u8 {
    buffer.as_mut_ptr()
}

/// As large as an owner.
fn payload() -> [u64; 3] {
    black_box([1; 3])
}
