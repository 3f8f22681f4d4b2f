//! What it costs to look at memory, here and in the neighbourhood.

use std::cell::RefCell;
use std::hint::black_box;
use std::mem::forget;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use check_speed::{Goal, LOCKED, Row, Table, beside, opaque};
use leasehold::{Memory, MemoryOwner, ReadOnlyMemory, SharedOwner};

const LEN: usize = 4096;
/// Calls in a turn of a row of two threads.
const TIMES: u64 = 100_000;
/// Leases that take turns in a row.
const VARIANTS: usize = 8;
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
#[inline(always)]
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
#[inline(always)]
fn look(memory: &ReadOnlyMemory<u8>) -> u64 {
    first(&opaque(memory).span().expect(LIVE))
}

fn peers(table: &mut Table<'_>) {
    let (slice, cell, lock, fair) =
        (ones(), RefCell::new(ones()), RwLock::new(ones()), parking_lot::RwLock::new(ones()));
    table
        .row(Row::one("plain slice", move || first(&opaque(&slice)[..])))
        .row(Row::one("RefCell borrow", move || first(&opaque(&cell).borrow())))
        .row(Row::one("RwLock read (std)", move || {
            first(&opaque(&lock).read().expect("nobody panics under the lock"))
        }))
        .row(Row::one("RwLock read (parking_lot)", move || first(&opaque(&fair).read())));
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
            u64::from(!opaque(&epoch).load(Ordering::Acquire, &guard).is_null())
        }))
        .row(Row::one("seize enter + protect", move || {
            let guard = opaque(&collector).enter();
            u64::from(!seize::Guard::protect(&guard, opaque(&seized), Ordering::Acquire).is_null())
        }))
        .row(Row::one("haphazard protect", move || {
            let bytes = opaque(&protected).safe_load(&mut hazard).expect("it is never null");
            first(bytes)
        }))
        .row(Row::one("arc-swap load", move || first(&opaque(&swapped).load())));
}

fn counted_peers(table: &mut Table<'_>) {
    let arc: Arc<[u8]> = Arc::from(ones());
    let (derefs, clones, slices) = (bytes(), bytes(), bytes());
    table
        .row(Row::one("Arc<[u8]> clone + drop", move || first(&Arc::clone(opaque(&arc)))))
        .row(Row::one("Bytes deref", move || first(&opaque(&derefs)[..])))
        .row(Row::one("Bytes clone + drop", move || first(&opaque(&clones).clone())))
        .row(Row::one("Bytes slice + drop", move || first(&opaque(&slices).slice(*opaque(&1)..))));
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
        $(let $guard = opaque($memory).span().expect(LIVE);)*
        0 $(+ first(&$guard))*
    }};
}

fn spans(table: &mut Table<'_>) {
    let goal = Goal::Locked(0.32);
    table
        .row(varied(ONE_SPAN, read_only, look).goal(goal))
        .row(
            varied("span of Memory", exclusive, |memory| first(&opaque(memory).span().expect(LIVE)))
                .goal(goal),
        )
        .row(
            Row::varied(
                "span_mut of Memory",
                (0..VARIANTS).map(|_| {
                    let mut memory = exclusive();
                    move || write(&mut memory)
                }),
            )
            .goal(goal),
        )
        // What can panic under a span makes the compiler keep it in memory.
        .row(varied("span of ReadOnlyMemory, indexed", read_only, |memory| {
            u64::from(opaque(memory).span().expect(LIVE)[black_box(0)])
        }))
        .row(varied("span, 2 deep", read_only, |memory| nested!(memory; a b)))
        .row(varied("span, 4 deep", read_only, |memory| nested!(memory; a b c d)))
        .row(varied("span, 8 deep", read_only, |memory| nested!(memory; a b c d e f g h)))
        .row(varied("span, 12 deep", read_only, |memory| nested!(memory; a b c d e f g h i j k l)));
}

/// A row with the same operation on several fresh leases.
fn varied<M: 'static>(
    name: &str,
    make: fn() -> M,
    operation: impl Fn(&M) -> u64 + Copy + 'static,
) -> Row<'static> {
    let fresh = |_| {
        let memory = make();
        move || operation(&memory)
    };
    Row::varied(name, (0..VARIANTS).map(fresh))
}

#[inline(always)]
fn write(memory: &mut Memory<u8>) -> u64 {
    let mut span = black_box(memory).span_mut().expect(LIVE);
    span.first_mut().map_or(0, |byte| {
        *byte = 1;
        1
    })
}

fn two_threads(table: &mut Table<'_>) {
    let (same, one, other) = (read_only(), read_only(), read_only());
    let (arc, bytes, lock) = (Arc::<[u8]>::from(ones()), bytes(), RwLock::new(ones()));
    let goal = Goal::Times(1.2, ONE_SPAN);
    table
        .row(pair("2 threads, spans of one block", move || look(&same), move || look(&same)).goal(goal))
        .row(pair("2 threads, spans of two blocks", move || look(&one), move || look(&other)).goal(goal));
    let (clone_of_arc, clone_of_bytes) = (Arc::clone(&arc), bytes.clone());
    table
        .row(pair(
            "2 threads, clones of one Arc",
            move || first(&Arc::clone(opaque(&arc))),
            move || first(&Arc::clone(opaque(&clone_of_arc))),
        ))
        .row(pair(
            "2 threads, clones of one Bytes",
            move || first(&opaque(&bytes).clone()),
            move || first(&opaque(&clone_of_bytes).clone()),
        ));
    table.row(Row::new("2 threads, one RwLock (std)", move || {
        let read = || first(&opaque(&lock).read().expect("nobody panics under the lock"));
        beside(TIMES, read, read)
    }));
}

/// A row of two threads.
fn pair(
    name: &str,
    mut operation: impl FnMut() -> u64 + 'static,
    mut other: impl FnMut() -> u64 + Send + 'static,
) -> Row<'static> {
    Row::new(name, move || beside(TIMES, &mut operation, &mut other))
}

/// A handle whose lease this thread has used, and which is over.
fn stale() -> ReadOnlyMemory<u8> {
    let (lessor, memory) = MemoryOwner::from(ones()).lease_read_only();
    assert_eq!(look(&memory), 1);
    drop(lessor);
    memory
}

fn handles(table: &mut Table<'_>) {
    let (sliced, copied, pinned) = (read_only(), read_only(), read_only());
    table
        .row(
            varied("stale handle rejected", stale, |memory| u64::from(opaque(memory).span().is_err()))
                .goal(Goal::Locked(0.25)),
        )
        .row(
            Row::one("slice of a handle", move || {
                u64::from(opaque(&sliced).slice(*opaque(&1)..).len() == LEN - 1)
            })
            .goal(Goal::Locked(0.5 / LOCKED)),
        )
        .row(Row::one("copy of a handle, stored", move || {
            let copy = *opaque(&copied);
            u64::from(opaque(&copy).len() == LEN)
        }))
        .row(
            Row::one("pin + unpin", move || first(&opaque(&pinned).pin().expect(LIVE)))
                .goal(Goal::Locked(10.5 / LOCKED)),
        );
}

fn owners(table: &mut Table<'_>) {
    let owner = MemoryOwner::from(ones());
    let (derefs, clones, slices) = (shared(), shared(), shared());
    let plain = Goal::Times(1.2, "Bytes deref");
    table
        .row(Row::one("MemoryOwner deref", move || first(&opaque(&owner)[..])).goal(plain))
        .row(Row::one("SharedOwner deref", move || first(&opaque(&derefs)[..])).goal(plain))
        .row(
            Row::one("SharedOwner clone + drop", move || first(&opaque(&clones).clone()))
                .goal(Goal::Times(1.0, "Bytes clone + drop")),
        )
        .row(
            Row::one("SharedOwner slice + drop", move || first(&opaque(&slices).slice(*opaque(&1)..)))
                .goal(Goal::Times(1.0, "Bytes slice + drop")),
        );
}

fn shared() -> SharedOwner<u8> {
    SharedOwner::from(ones())
}
