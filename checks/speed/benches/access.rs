//! What it costs to look at memory, here and in the neighbourhood.

use std::cell::RefCell;
use std::hint::black_box;
use std::mem::forget;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use check_speed::{Goal, LOCKED, Row, Sample, Table, beside};
use leasehold::{Memory, MemoryOwner, ReadOnlyMemory, SharedOwner};

const LEN: usize = 4096;
/// Calls in a turn of a row of two threads.
const TIMES: u64 = 100_000;
const ONE_SPAN: &str = "span of ReadOnlyMemory";
const LIVE: &str = "the lessor is alive";

fn main() {
    let mut table = Table::new("access: begin, read one byte, end");
    peers(&mut table);
    spans(&mut table);
    two_threads(&mut table);
    handles(&mut table);
    owners(&mut table);
    table.run();
}

/// Bytes that are all one, so that reading a byte counts an operation.
fn ones() -> Vec<u8> {
    vec![1; LEN]
}

/// Reads a byte without a way to panic, so that a guard does not have to be kept where unwinding finds it.
fn first(bytes: &[u8]) -> u64 {
    bytes.first().map_or(0, |&byte| u64::from(byte))
}

/// A read-only lease that lasts as long as the program.
fn read_only() -> ReadOnlyMemory<u8> {
    let (lessor, memory) = MemoryOwner::from(ones()).lease_read_only();
    forget(lessor);
    memory
}

/// An exclusive lease that lasts as long as the program.
fn exclusive() -> Memory<u8> {
    let (lessor, memory) = MemoryOwner::from(ones()).lease();
    forget(lessor);
    memory
}

/// What a span costs: begin, read, end.
fn look(memory: &ReadOnlyMemory<u8>) -> u64 {
    first(&black_box(memory).span().expect(LIVE))
}

fn peers(table: &mut Table<'_>) {
    let (slice, cell, lock, fair) =
        (ones(), RefCell::new(ones()), RwLock::new(ones()), parking_lot::RwLock::new(ones()));
    table
        .row(Row::one("plain slice", move || first(black_box(&slice))))
        .row(Row::one("RefCell borrow", move || first(&black_box(&cell).borrow())))
        .row(Row::one("RwLock read (std)", move || {
            first(&black_box(&lock).read().expect("nobody panics under the lock"))
        }))
        .row(Row::one("RwLock read (parking_lot)", move || first(&black_box(&fair).read())));
    reclamation_peers(table);
    counted_peers(table);
}

fn reclamation_peers(table: &mut Table<'_>) {
    let epoch = crossbeam_epoch::Atomic::new(ones());
    let collector = seize::Collector::new();
    let seized = std::sync::atomic::AtomicPtr::new(Box::leak(Box::new(1u64)));
    let swapped = arc_swap::ArcSwap::from_pointee(ones());
    let protected = haphazard::AtomicPtr::from(Box::new(ones()));
    let mut hazard = haphazard::HazardPointer::new();
    table
        .row(Row::one("crossbeam-epoch pin + load", move || {
            let guard = crossbeam_epoch::pin();
            u64::from(!black_box(&epoch).load(Ordering::Acquire, &guard).is_null())
        }))
        .row(Row::one("seize enter + protect", move || {
            let guard = black_box(&collector).enter();
            u64::from(!seize::Guard::protect(&guard, black_box(&seized), Ordering::Acquire).is_null())
        }))
        .row(Row::one("haphazard protect", move || {
            let bytes = black_box(&protected).safe_load(&mut hazard).expect("it is never null");
            first(bytes)
        }))
        .row(Row::one("arc-swap load", move || first(&black_box(&swapped).load())));
}

fn counted_peers(table: &mut Table<'_>) {
    let arc: Arc<[u8]> = Arc::from(ones());
    let (derefs, clones, slices) = (bytes(), bytes(), bytes());
    table
        .row(Row::one("Arc<[u8]> clone + drop", move || first(&Arc::clone(black_box(&arc)))))
        .row(Row::one("Bytes deref", move || first(black_box(&derefs))))
        .row(Row::one("Bytes clone + drop", move || first(&black_box(&clones).clone())))
        .row(Row::one("Bytes slice + drop", move || first(&black_box(&slices).slice(black_box(1)..))));
}

/// Shared bytes as they are after the first clone, which is the dearest.
fn bytes() -> Bytes {
    let bytes = Bytes::from(ones());
    drop(bytes.clone());
    bytes
}

/// As many spans at once as there are names.
macro_rules! nested {
    ($memory:expr; $($guard:ident)*) => {{
        $(let $guard = black_box($memory).span().expect(LIVE);)*
        0 $(+ first(&$guard))*
    }};
}

fn spans(table: &mut Table<'_>) {
    let (memory, unique, mut written) = (read_only(), exclusive(), exclusive());
    let goal = Goal::Locked(0.32);
    table
        .row(Row::one(ONE_SPAN, move || look(&memory)).goal(goal))
        .row(Row::one("span of Memory", move || first(&black_box(&unique).span().expect(LIVE))).goal(goal))
        .row(Row::one("span_mut of Memory", move || write(&mut written)).goal(goal));
    let (indexed, memory) = (read_only(), read_only());
    table
        .row(Row::one("span of ReadOnlyMemory, indexed", move || {
            // What can panic under a span makes the compiler keep it in memory.
            u64::from(black_box(&indexed).span().expect(LIVE)[black_box(0)])
        }))
        .row(Row::one("span, 2 deep", move || nested!(&memory; a b)))
        .row(Row::one("span, 4 deep", move || nested!(&memory; a b c d)))
        .row(Row::one("span, 8 deep", move || nested!(&memory; a b c d e f g h)))
        .row(Row::one("span, 12 deep, 4 of them counted", move || nested!(&memory; a b c d e f g h i j k l)));
}

fn write(memory: &mut Memory<u8>) -> u64 {
    let mut span = black_box(memory).span_mut().expect(LIVE);
    span[1] = 2;
    first(&span)
}

fn two_threads(table: &mut Table<'_>) {
    let (same, one, other) = (read_only(), read_only(), read_only());
    let goal = Goal::Times(1.2, ONE_SPAN);
    table.row(Row::new("2 threads, spans of one block", pair(move || look(&same))).goal(goal)).row(
        Row::new("2 threads, spans of two blocks", move || beside(TIMES, || look(&one), || look(&other)))
            .goal(goal),
    );
    let (arc, bytes): (Arc<[u8]>, _) = (Arc::from(ones()), bytes());
    let lock = RwLock::new(ones());
    table
        .row(Row::new("2 threads, clones of one Arc", pair(move || first(&Arc::clone(black_box(&arc))))))
        .row(Row::new("2 threads, clones of one Bytes", pair(move || first(&black_box(&bytes).clone()))))
        .row(Row::new(
            "2 threads, one RwLock",
            pair(move || first(&black_box(&lock).read().expect("nobody panics under the lock"))),
        ));
}

/// Two threads that do the same.
fn pair(operation: impl Fn() -> u64 + Sync) -> impl FnMut() -> Option<Sample> {
    move || beside(TIMES, &operation, &operation)
}

fn handles(table: &mut Table<'_>) {
    let (lessor, stale) = MemoryOwner::from(ones()).lease_read_only();
    drop(lessor);
    let (touched_lessor, touched) = MemoryOwner::from(ones()).lease_read_only();
    assert_eq!(look(&touched), 1);
    drop(touched_lessor);
    let (sliced, copied, pinned) = (read_only(), read_only(), read_only());
    table
        .row(
            Row::one("stale handle rejected", move || u64::from(black_box(&stale).span().is_err()))
                .goal(Goal::Locked(0.25)),
        )
        .row(
            Row::one("stale handle rejected, touched before", move || {
                u64::from(black_box(&touched).span().is_err())
            })
            .goal(Goal::Locked(0.25)),
        )
        .row(
            Row::one("slice of a handle", move || {
                u64::from(black_box(&sliced).slice(black_box(1)..).len() == LEN - 1)
            })
            .goal(Goal::Locked(0.5 / LOCKED)),
        )
        .row(
            Row::one("copy of a handle", move || {
                let copy = *black_box(&copied);
                u64::from(black_box(&copy).len() == LEN)
            })
            .goal(Goal::Locked(0.5 / LOCKED)),
        )
        .row(
            Row::one("pin + unpin", move || first(&black_box(&pinned).pin().expect(LIVE)))
                .goal(Goal::Locked(10.5 / LOCKED)),
        );
}

fn owners(table: &mut Table<'_>) {
    let owner = MemoryOwner::from(ones());
    let (derefs, clones, slices) = (shared(), shared(), shared());
    let plain = Goal::Times(1.2, "Bytes deref");
    table
        .row(Row::one("MemoryOwner deref", move || first(black_box(&owner))).goal(plain))
        .row(Row::one("SharedOwner deref", move || first(black_box(&derefs))).goal(plain))
        .row(
            Row::one("SharedOwner clone + drop", move || first(&black_box(&clones).clone()))
                .goal(Goal::Times(1.0, "Bytes clone + drop")),
        )
        .row(
            Row::one("SharedOwner slice + drop", move || first(&black_box(&slices).slice(black_box(1)..)))
                .goal(Goal::Times(1.0, "Bytes slice + drop")),
        );
}

fn shared() -> SharedOwner<u8> {
    SharedOwner::from(ones())
}
