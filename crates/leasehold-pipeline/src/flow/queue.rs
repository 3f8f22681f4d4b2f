//! The bounded queue between two stages, which keeps the order of its parts.
//!
//! ```text
//!   parts   7: c d         8: e f . .      9: g (complete)      10: nothing yet
//!           |
//!           takers get c, d, and when part 7 is complete e, f ..
//! ```
//!
//! Producers put items into the part that they work on, the takers get the parts one after the other. A stage with one worker
//! has only one part, which never ends.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use super::error::Stopped;

/// A ring of parts with room for a number of items.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Takers wait here for an item.
    filled: Condvar,
    /// Producers wait here for room, or for their turn.
    emptied: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// One for each part that may be under way; part `n` is at `n % parts.len()`.
    parts: Box<[Part<T>]>,
    /// The part whose items are taken now.
    first: u64,
    /// Items in all parts; at most as many as there are parts, and one more.
    items: usize,
    /// Items that were taken, which is the number of the next one.
    taken: u64,
    /// Producers that have not ended.
    producers: usize,
    closed: bool,
    sleeping_takers: usize,
    sleeping_producers: usize,
    /// A task that waits for an item.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Part<T> {
    items: VecDeque<T>,
    complete: bool,
}

/// What a taker gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    /// An item and its number in the order of the queue.
    Item(u64, T),
    /// Nothing came for as long as the taker was patient.
    Paused,
    /// Nothing more will come.
    Ended,
    /// The queue was closed.
    Closed,
}

/// A queue of any items, as whoever stops a run sees it.
pub(super) trait Close: Send + Sync {
    /// Drops what is in the queue and wakes everybody who waits at it.
    fn close(&self);
}

impl<T> Queue<T> {
    /// A queue with room for so many items, at least one, that so many producers put them into.
    pub(super) fn new(room: usize, producers: usize) -> Self {
        let part = || Part { items: VecDeque::new(), complete: false };
        let state = State {
            parts: (0..room.max(1)).map(|_| part()).collect(),
            first: 0,
            items: 0,
            taken: 0,
            producers,
            closed: false,
            sleeping_takers: 0,
            sleeping_producers: 0,
            waker: None,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Puts an item at the end of a part; tells how long it had to wait.
    pub(super) fn push(&self, part: u64, item: T) -> Result<Duration, Stopped> {
        let (mut state, waited) = self.wait_until(|state| state.has_room(part));
        if state.closed {
            // The item is dropped after the lock.
            drop(state);
            return Err(Stopped);
        }
        state.items += 1;
        let at = state.at(part);
        state.parts[at].items.push_back(item);
        if part == state.first {
            self.wake_taker(state);
        }
        Ok(waited)
    }

    /// Says that nothing more comes into a part; tells how long that had to wait.
    pub(super) fn complete(&self, part: u64) -> Result<Duration, Stopped> {
        let (mut state, waited) = self.wait_until(|state| state.is_near(part));
        if state.closed {
            return Err(Stopped);
        }
        let at = state.at(part);
        state.parts[at].complete = true;
        if part == state.first {
            state.advance();
            // Which of them may go on depends on their parts.
            if state.sleeping_producers > 0 {
                self.emptied.notify_all();
            }
            self.wake_taker(state);
        }
        Ok(waited)
    }

    /// Says that one of the producers has come to its end.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.producers -= 1;
        if state.producers == 0 {
            self.filled.notify_all();
            wake(state);
        }
    }

    /// Takes the next item, with patience for so long, or without end.
    pub(super) fn take(&self, patience: Option<Duration>) -> Taken<T> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        loop {
            if let Some(taken) = self.take_now(&mut state) {
                return taken;
            }
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if rest.is_some_and(|rest| rest.is_zero()) {
                return Taken::Paused;
            }
            state.sleeping_takers += 1;
            state = match rest {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(rest) => self.filled.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.sleeping_takers -= 1;
        }
    }

    /// Takes the next item, or has `waker` woken when there is one.
    pub(super) fn poll_take(&self, waker: &Waker) -> Poll<Taken<T>> {
        // Cloning and dropping a waker can run any code: never under the lock.
        let waker = waker.clone();
        let mut state = self.lock();
        if let Some(taken) = self.take_now(&mut state) {
            return Poll::Ready(taken);
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// What there is to take now; whoever takes something wakes those for whom that changes anything.
    fn take_now(&self, state: &mut State<T>) -> Option<Taken<T>> {
        let taken = state.take()?;
        if state.sleeping_producers > 0 {
            self.emptied.notify_all();
        }
        if state.sleeping_takers > 0 {
            if state.is_over() {
                self.filled.notify_all();
            } else if state.ready() > 0 {
                self.filled.notify_one();
            }
        }
        Some(taken)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until a producer may go on, or the queue is closed; tells how long.
    fn wait_until(&self, may_go_on: impl Fn(&State<T>) -> bool) -> (MutexGuard<'_, State<T>>, Duration) {
        let mut state = self.lock();
        if state.closed || may_go_on(&state) {
            return (state, Duration::ZERO);
        }
        let started = Instant::now();
        while !state.closed && !may_go_on(&state) {
            state.sleeping_producers += 1;
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.sleeping_producers -= 1;
        }
        (state, started.elapsed())
    }

    /// Wakes somebody to take what is to be had; who takes it wakes the next.
    fn wake_taker(&self, state: MutexGuard<'_, State<T>>) {
        if state.ready() == 0 {
            return;
        }
        if state.sleeping_takers > 0 {
            self.filled.notify_one();
        }
        wake(state);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Close for Queue<T> {
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items = 0;
        let items: Vec<_> = state.parts.iter_mut().map(|part| mem::take(&mut part.items)).collect();
        self.filled.notify_all();
        self.emptied.notify_all();
        wake(state);
        // What was in the queue runs code of its own when it is dropped: not under the lock.
        drop(items);
    }
}

impl<T> State<T> {
    /// What a taker gets now, if anything.
    fn take(&mut self) -> Option<Taken<T>> {
        if self.closed {
            return Some(Taken::Closed);
        }
        let at = self.at(self.first);
        if let Some(item) = self.parts[at].items.pop_front() {
            let number = self.taken;
            self.taken += 1;
            self.items -= 1;
            self.advance();
            return Some(Taken::Item(number, item));
        }
        self.is_over().then_some(Taken::Ended)
    }

    /// Goes on to the next part that has items or is not complete.
    fn advance(&mut self) {
        loop {
            let at = self.at(self.first);
            let part = &mut self.parts[at];
            if !part.complete || !part.items.is_empty() {
                return;
            }
            part.complete = false;
            self.first += 1;
        }
    }

    /// Whether an item may be put into a part.
    fn has_room(&self, part: u64) -> bool {
        let own = || self.parts[self.at(part)].items.is_empty();
        self.is_near(part) && (self.items < self.parts.len() || part == self.first && own())
    }

    /// Whether a part is among those that may be under way.
    fn is_near(&self, part: u64) -> bool {
        part - self.first < self.parts.len() as u64
    }

    /// Items that takers could have now, without those in later parts.
    fn ready(&self) -> usize {
        self.parts[self.at(self.first)].items.len()
    }

    fn is_over(&self) -> bool {
        self.producers == 0 && self.items == 0
    }

    fn at(&self, part: u64) -> usize {
        (part % self.parts.len() as u64) as usize
    }
}

/// Wakes the task that waits, after the lock.
fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
