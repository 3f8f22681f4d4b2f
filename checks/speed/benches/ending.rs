//! What it costs to end leases, in the situations that matter, with the heavy barriers that it takes.

use std::hint::{black_box, spin_loop};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use check_speed::{Busy, Clock, Goal, LOCKED, OnProcessor, Row, Sample, Table, beside, handover, processors};
use leasehold::{Lessor, MemoryOwner, MemoryPool, ReadOnly, ReadOnlyMemory, Revocation};

const LEN: usize = 4096;
/// Calls in a turn of a row of two threads.
const TIMES: u64 = 20_000;
/// Leases that end in one turn of a row of revocations.
const BATCH: usize = 64;
const LIVE: &str = "the lessor is alive";

fn main() {
    let mut table = Table::new("ending: leases of 4 KiB");
    cooperative(&mut table);
    rented(&mut table);
    revoked_one_by_one(&mut table);
    revoked_together(&mut table);
    table.row(latency());
    table.run();
}

fn cooperative(table: &mut Table<'_>) {
    let mut free = Some(owner());
    table.row(
        Row::one("exclusive: lease, span_mut, drop, try_reclaim", move || {
            let (lessor, mut memory) = free.take().expect("each turn puts it back").lease();
            memory.span_mut().expect(LIVE)[0] = 1;
            drop(memory);
            let owner = lessor.try_reclaim().expect("the consumer gave it back");
            let written = u64::from(owner[0]);
            free = Some(owner);
            written
        })
        .goal(Goal::Locked(15.0 / LOCKED))
        .free_of_barriers(),
    );
    let mut free = Some(owner());
    table.row(
        Row::one("read-only: lease, span, revoke, same thread", move || {
            let (lessor, memory) = free.take().expect("each turn puts it back").lease_read_only();
            let read = look(&memory);
            free = Some(taken(lessor.revoke()));
            read
        })
        .free_of_barriers(),
    );
    let mut free = Some(owner());
    table.row(
        Row::one("read-only: lease, span, try_reclaim, same thread", move || {
            let (lessor, memory) = free.take().expect("each turn puts it back").lease_read_only();
            let read = look(&memory);
            free = Some(lessor.try_reclaim().expect("nobody is inside"));
            read
        })
        .free_of_barriers(),
    );
}

fn rented(table: &mut Table<'_>) {
    let goal = Goal::Locked(15.0 / LOCKED);
    table
        .row(
            Row::one("rent, write, lease_read_only, span, drop", rent_and_revoke)
                .goal(goal)
                .free_of_barriers(),
        )
        .row(
            Row::new("the same, 2 threads at it", || beside(TIMES, rent_and_revoke, rent_and_revoke))
                .goal(goal)
                .free_of_barriers(),
        )
        .row(
            Row::new("rent + lease in A, span + drop in B", || handover(rent_and_lease, look_and_drop))
                .goal(Goal::Locked(18.0 / LOCKED))
                .free_of_barriers(),
        )
        .row(Row::new("the ring alone, A to B", || handover(|| 1u64, |one| one)));
}

/// Leases at the caller's place: rows are different flows, and a block remembers where a flow began.
#[inline(always)]
#[track_caller]
fn rent_and_lease() -> (Lessor<u8, ReadOnly>, ReadOnlyMemory<u8>) {
    let mut owner = MemoryPool::shared().rent::<u8>(black_box(LEN));
    owner[0] = 1;
    owner.lease_read_only()
}

#[inline(always)]
fn look_and_drop((lessor, memory): (Lessor<u8, ReadOnly>, ReadOnlyMemory<u8>)) -> u64 {
    let read = look(&memory);
    drop(lessor);
    read
}

fn rent_and_revoke() -> u64 {
    look_and_drop(rent_and_lease())
}

/// Who was inside before the lease ends, and what that thread does meanwhile.
#[derive(Clone, Copy)]
enum Reader {
    /// No thread ever entered.
    None,
    /// Another thread entered and sleeps now.
    Idle,
    /// Another thread entered and is busy with spans of another buffer, on a processor of its own.
    Busy,
    /// As `Busy`, with spans that last 50 microseconds.
    Holding,
}

const SITUATIONS: [(Reader, &str); 3] = [
    (Reader::None, "nobody touched it"),
    (Reader::Idle, "touched by an idle thread"),
    (Reader::Busy, "touched by a thread that is busy elsewhere"),
];

fn revoked_one_by_one(table: &mut Table<'_>) {
    for (reader, situation) in SITUATIONS {
        let turn = move || {
            ended(reader, |lessors| lessors.into_iter().for_each(|lessor| drop(taken(lessor.revoke()))))
        };
        table.row(Row::new(format!("revoke, {situation}"), turn));
    }
}

fn revoked_together(table: &mut Table<'_>) {
    for (reader, situation) in SITUATIONS {
        let turn = move || {
            ended(reader, |lessors| {
                Lessor::revoke_all(lessors).into_iter().for_each(|ended| drop(taken(ended)))
            })
        };
        table.row(Row::new(format!("revoke_all of 64, {situation}"), turn));
    }
}

/// How long a buffer stays out of reach when somebody else is in a long span of another.
fn latency() -> Row<'static> {
    let turn = || {
        ended(Reader::Holding, |lessors| {
            for lessor in lessors {
                let mut revocation = lessor.revoke();
                while let Err(again) = revocation.try_take() {
                    revocation = again;
                    spin_loop();
                }
            }
        })
    };
    Row::new("revoke until taken, unrelated spans of 50 us", turn).goal(Goal::Locked(10_000.0 / LOCKED))
}

/// Measures `end` on a batch of fresh leases.
fn ended(reader: Reader, end: impl FnOnce(Vec<Lessor<u8, ReadOnly>>)) -> Option<Sample> {
    let (lessors, memories): (Vec<_>, Vec<_>) = (0..BATCH).map(|_| owner().lease_read_only()).unzip();
    let sample = match reader {
        Reader::None => Some(Sample::of(BATCH as u64, Clock::wall, || end(lessors))),
        Reader::Idle => beside_idle(&memories, || end(lessors)),
        Reader::Busy => beside_busy(&memories, look, || end(lessors)),
        Reader::Holding => beside_busy(&memories, hold, || end(lessors)),
    };
    assert!(sample.is_none() || memories.iter().all(|memory| memory.span().is_err()), "every lease is over");
    sample
}

fn beside_idle(memories: &[ReadOnlyMemory<u8>], end: impl FnOnce()) -> Option<Sample> {
    let (wake, sleep) = mpsc::channel::<()>();
    let (done, touched) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let seen: u64 = memories.iter().map(look).sum();
            done.send(seen).expect("the other end waits");
            // Until the other end is dropped.
            let _ = sleep.recv();
        });
        assert_eq!(touched.recv(), Ok(BATCH as u64));
        // Long enough for the other thread to fall asleep; if it does not, the turn is a dear one and does not count.
        thread::sleep(Duration::from_micros(200));
        let sample = Sample::of(BATCH as u64, Clock::wall, end);
        drop(wake);
        Some(sample)
    })
}

fn beside_busy(
    memories: &[ReadOnlyMemory<u8>],
    operation: fn(&ReadOnlyMemory<u8>) -> u64,
    end: impl FnOnce(),
) -> Option<Sample> {
    if processors() < 2 {
        return None;
    }
    let (lessor, elsewhere) = owner().lease_read_only();
    let busy = Busy::default();
    let sample = thread::scope(|scope| {
        scope.spawn(|| {
            let _second = OnProcessor::nth(1);
            assert_eq!(memories.iter().map(look).sum::<u64>(), BATCH as u64);
            busy.repeat_long(|| operation(&elsewhere));
        });
        let _first = OnProcessor::nth(0);
        busy.wait_until_at_work();
        let before = busy.operations();
        let sample = Sample::of(BATCH as u64, Clock::wall, end);
        let disturbed = busy.operations() == before;
        busy.end();
        (!disturbed).then_some(sample)
    });
    drop(lessor);
    sample
}

/// A span of 50 microseconds.
fn hold(memory: &ReadOnlyMemory<u8>) -> u64 {
    let span = memory.span().expect(LIVE);
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(50) {
        spin_loop();
    }
    u64::from(span[0])
}

fn owner() -> MemoryOwner<u8> {
    MemoryOwner::from(vec![1; LEN])
}

#[inline(always)]
fn look(memory: &ReadOnlyMemory<u8>) -> u64 {
    let span = black_box(memory).span().expect(LIVE);
    span.first().map_or(0, |&byte| u64::from(byte))
}

fn taken(revocation: Revocation<u8, ReadOnly>) -> MemoryOwner<u8> {
    revocation.try_take().expect("nobody is inside")
}
