//! Store buffering: each of two threads writes its own word and then reads the other's. If fences keep the read behind the
//! write, at least one of them sees the other.

use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};
use std::thread;

use crate::meeting::{Limits, Line, Luck, Meeting, Outcome, until};
use crate::system::{membarrier, on_processor};

/// What stands between the write and the read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fences {
    /// Nothing the processor would notice: the control.
    Compiler,
    /// Nothing on one side, membarrier on the other: the asymmetric fence.
    Asymmetric,
    /// A full fence on both sides.
    Full,
}

/// Counts the rounds in which neither thread saw the other. Needs two processors, and for [`Fences::Asymmetric`] a
/// registered process.
pub fn dekker(fences: Fences, limits: Limits) -> Outcome {
    let mut seed = 0;
    until(limits, |rounds| {
        seed += 1;
        match fences {
            Fences::Compiler => batch(rounds, seed, light, light),
            Fences::Asymmetric => batch(rounds, seed, light, heavy),
            Fences::Full => batch(rounds, seed, full, full),
        }
    })
}

#[inline(always)]
fn light() {
    compiler_fence(Ordering::SeqCst);
}

#[inline(always)]
fn heavy() {
    fence(Ordering::SeqCst);
    membarrier();
}

#[inline(always)]
fn full() {
    fence(Ordering::SeqCst);
}

#[derive(Default)]
struct Words {
    words: [Line<AtomicU64>; 2],
    meeting: Meeting,
}

fn batch(rounds: u64, seed: u64, one: impl Fn() + Send, other: impl Fn() + Send) -> u64 {
    let words = Words::default();
    let (ones, others) = thread::scope(|scope| {
        let one = scope.spawn(|| side(&words, 0, rounds, Luck::new(2 * seed), one));
        let other = scope.spawn(|| side(&words, 1, rounds, Luck::new(2 * seed + 1), other));
        (one.join().expect("it does not panic"), other.join().expect("it does not panic"))
    });
    ones.iter().zip(&others).filter(|(one, other)| **one && **other).count() as u64
}

/// For each round, whether this side missed what the other wrote.
fn side(words: &Words, me: usize, rounds: u64, mut luck: Luck, fence: impl Fn()) -> Vec<bool> {
    on_processor(me);
    let [mine, theirs] = [&words.words[me].0, &words.words[1 - me].0];
    let mut missed = Vec::with_capacity(rounds as usize);
    for round in 1..=rounds {
        words.meeting.arrive(me, round);
        luck.linger(64);
        // Relaxed, both: the fence is what is tested.
        mine.store(round, Ordering::Relaxed);
        fence();
        missed.push(theirs.load(Ordering::Relaxed) < round);
    }
    missed
}
