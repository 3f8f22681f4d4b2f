//! The same through the library's door: a thread begins spans while another revokes, takes the buffer and writes to it.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use leasehold::{Lessor, MemoryOwner, ReadOnly, ReadOnlyMemory};

use crate::meeting::{Limits, Line, Luck, Meeting, Outcome, until};
use crate::system::on_processor;

/// Words in the buffer. Reading them takes longer than revoking, so that a revoker that overlooks the reader is caught.
const WORDS: usize = 4096;

/// How the spans went: the test is worth something only if both happened often.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Accesses {
    /// Spans that came before the revocation.
    pub granted: u64,
    /// Spans that came after it.
    pub refused: u64,
}

/// Counts the spans under which the buffer changed. Needs two processors.
pub fn spans_against_revocation(limits: Limits) -> (Outcome, Accesses) {
    let mut accesses = Accesses::default();
    let mut seed = 0;
    let outcome = until(limits, |rounds| {
        seed += 1;
        batch(rounds, seed, &mut accesses)
    });
    (outcome, accesses)
}

#[derive(Default)]
struct Place {
    meeting: Meeting,
    handed: Mutex<Option<ReadOnlyMemory<u64>>>,
    /// Written by the revoker before a meeting and by the reader after it: the reader's store has to wait for the line, and
    /// what the reader stores next waits behind it, as if its processor were slow to tell.
    obstacle: Line<AtomicU64>,
}

impl Place {
    fn handed(&self) -> MutexGuard<'_, Option<ReadOnlyMemory<u64>>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn batch(rounds: u64, seed: u64, accesses: &mut Accesses) -> u64 {
    let place = Place::default();
    thread::scope(|scope| {
        scope.spawn(|| revoke(&place, rounds, Luck::new(2 * seed)));
        let reader = scope.spawn(|| read(&place, rounds, Luck::new(2 * seed + 1)));
        let (torn, seen) = reader.join().expect("it does not panic");
        accesses.granted += seen.granted;
        accesses.refused += seen.refused;
        torn
    })
}

/// A round has three meetings: the handle is there, the reader has touched the lease, the round is over.
const MEETINGS: u64 = 3;

fn revoke(place: &Place, rounds: u64, mut luck: Luck) {
    on_processor(0);
    let mut owner = MemoryOwner::from(vec![0; WORDS]);
    for round in 1..=rounds {
        owner.fill(round);
        let (lessor, memory) = owner.lease_read_only();
        *place.handed() = Some(memory);
        place.meeting.arrive(0, MEETINGS * round);
        place.obstacle.0.store(round, Ordering::Relaxed);
        place.meeting.arrive(0, MEETINGS * round + 1);
        luck.linger(256);
        owner = taken(lessor);
        // The next tenant's data: whoever still reads is wrong.
        owner.fill(!round);
        place.meeting.arrive(0, MEETINGS * round + 2);
    }
}

fn taken(lessor: Lessor<u64, ReadOnly>) -> MemoryOwner<u64> {
    let mut revocation = lessor.revoke();
    loop {
        match revocation.try_take() {
            Ok(owner) => return owner,
            Err(again) => revocation = again,
        }
        spin_loop();
    }
}

/// Returns how many spans were torn, and how the spans went.
fn read(place: &Place, rounds: u64, mut luck: Luck) -> (u64, Accesses) {
    on_processor(1);
    let (mut torn, mut accesses) = (0, Accesses::default());
    for round in 1..=rounds {
        place.meeting.arrive(1, MEETINGS * round);
        let memory = place.handed().expect("it was put there before the meeting");
        // The first span of a thread in a lease runs a locked instruction; the second relies on the light fence alone.
        drop(memory.span().expect("nobody revokes before the next meeting"));
        place.meeting.arrive(1, MEETINGS * round + 1);
        luck.linger(512);
        place.obstacle.0.store(round, Ordering::Relaxed);
        match memory.span() {
            Ok(span) => {
                accesses.granted += 1;
                torn += u64::from(!black_box(&span).iter().all(|&word| word == round));
            }
            Err(_) => accesses.refused += 1,
        }
        place.meeting.arrive(1, MEETINGS * round + 2);
    }
    (torn, accesses)
}
