//! What the two ends of a pipe share: what was flushed and not read, how much is held, and who waits.
//!
//! One mutex. No waker is cloned, dropped or woken, and no block let go of, while it is held.

use std::collections::VecDeque;
use std::mem;
use std::num::NonZero;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::error::{BoxError, ReadError, WriteError};
use crate::raw::{Rest, Shared};
use crate::sync::{Mutex, lock};

/// The two ends.
pub(super) fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        pending: VecDeque::new(),
        returned: None,
        next: None,
        held: 0,
        wanted: None,
        writer: Outcome::Open,
        reader: Outcome::Open,
        waiting_writer: None,
        waiting_reader: None,
    };
    let channel = Arc::new(Channel { state: Mutex::new(state), capacity });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

pub(super) struct Channel<T> {
    state: Mutex<State<T>>,
    capacity: usize,
}

struct State<T> {
    /// What was published and the reader has not taken yet.
    pending: VecDeque<Shared<T>>,
    /// An empty share of the block that is being written, from a reader who has consumed everything: what is published next
    /// is joined to it, for which no atomic operation is needed.
    returned: Option<Shared<T>>,
    /// Where what is published next begins, if the block has room and the writer has not left it.
    next: Option<NonZero<usize>>,
    /// Elements published and not consumed.
    held: usize,
    /// How many elements the writer waits to have room for; none when it does not wait.
    wanted: Option<usize>,
    writer: Outcome,
    reader: Outcome,
    waiting_writer: Option<Waker>,
    waiting_reader: Option<Waker>,
}

/// How one end of a pipe stands.
#[derive(Clone)]
enum Outcome {
    Open,
    Completed,
    Failed(Arc<dyn std::error::Error + Send + Sync>),
    /// Dropped without a word.
    Gone,
}

impl Outcome {
    fn of(result: Result<(), BoxError>) -> Outcome {
        result.map_or_else(|error| Outcome::Failed(error.into()), |()| Outcome::Completed)
    }
}

/// The writer's end. Dropping it tells the reader.
pub(super) struct Sender<T>(Arc<Channel<T>>);

/// The reader's end. Dropping it tells the writer.
pub(super) struct Receiver<T>(Arc<Channel<T>>);

impl<T> State<T> {
    /// Whether anything can be written.
    fn check_open(&self) -> Result<(), WriteError> {
        if !matches!(self.writer, Outcome::Open) {
            return Err(WriteError::Completed);
        }
        match &self.reader {
            Outcome::Open => Ok(()),
            Outcome::Failed(error) => Err(WriteError::ReaderFailed(Arc::clone(error))),
            Outcome::Completed | Outcome::Gone => Err(WriteError::ReaderGone),
        }
    }

    /// Appends the first `len` elements of the block to what is pending. Returns a share that has become useless.
    fn append(&mut self, block: &mut Rest<T>, len: usize) -> Option<Shared<T>>
    where
        T: Send + 'static,
    {
        let mut returned = self.returned.take();
        let last = self.pending.back_mut().or(returned.as_mut());
        let is_joined = last.is_some_and(|last| block.append_to(last, len));
        if self.pending.is_empty() && is_joined {
            self.pending.extend(returned.take());
        } else if !is_joined {
            self.pending.push_back(block.split_to(len));
        }
        let rest = block.as_slice();
        self.next = if rest.is_empty() { None } else { Some(rest.as_ptr().addr()) }.and_then(NonZero::new);
        returned
    }

    /// Ends the wait of the writer.
    fn release_writer(&mut self) -> Option<Waker> {
        self.wanted = None;
        self.waiting_writer.take()
    }
}

impl<T: Send + 'static> Sender<T> {
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Gives the first `len` elements of the block to the reader. Returns how much room is left in the pipe.
    pub(super) fn publish(&self, block: &mut Rest<T>, len: usize) -> Result<usize, WriteError> {
        let (room, woken, other) = {
            let mut state = lock(&self.0.state);
            state.check_open()?;
            let other = state.append(block, len);
            state.held += len;
            (self.0.capacity - state.held, state.waiting_reader.take(), other)
        };
        drop(other);
        wake(woken);
        Ok(room)
    }

    /// The writer goes on in another block, or in this one from its beginning: a share that the reader has returned, or will
    /// return, is of no use.
    pub(super) fn leave_block(&self) {
        let returned = {
            let mut state = lock(&self.0.state);
            state.next = None;
            state.returned.take()
        };
        drop(returned);
    }

    /// How much room there is, if it is as much as `wanted`; otherwise `waker` is woken when it may be.
    pub(super) fn poll_room(&self, wanted: usize, waker: &Waker) -> Poll<Result<usize, WriteError>> {
        if let Some(room) = self.try_room(wanted)? {
            return Poll::Ready(Ok(room));
        }
        let new = waker.clone();
        let (old, woken) = {
            let mut state = lock(&self.0.state);
            // Whatever has changed since the first look has changed before the waker is there to be found.
            state.check_open()?;
            let room = self.0.capacity - state.held;
            if room >= wanted {
                return Poll::Ready(Ok(room));
            }
            state.wanted = Some(wanted);
            // The reader, if it waits, has no use for what is held: it is told that the pipe is full.
            (state.waiting_writer.replace(new), state.waiting_reader.take())
        };
        drop(old);
        wake(woken);
        Poll::Pending
    }

    pub(super) fn try_room(&self, wanted: usize) -> Result<Option<usize>, WriteError> {
        let state = lock(&self.0.state);
        state.check_open()?;
        let room = self.0.capacity - state.held;
        Ok((room >= wanted).then_some(room))
    }

    /// Takes back what `poll_room` left.
    pub(super) fn stop_waiting(&self) {
        let old = lock(&self.0.state).release_writer();
        drop(old);
    }

    /// Takes back what `poll_room` left, when the writer goes on with something else. The task that waited may count on
    /// being woken, and asks again.
    pub(super) fn give_up_waiting(&self) {
        let woken = lock(&self.0.state).release_writer();
        wake(woken);
    }

    pub(super) fn complete(&self, result: Result<(), BoxError>) {
        self.end(Outcome::of(result));
    }
}

impl<T> Sender<T> {
    fn end(&self, outcome: Outcome) {
        let (woken, old, returned) = {
            let mut state = lock(&self.0.state);
            if !matches!(state.writer, Outcome::Open) {
                return;
            }
            state.writer = outcome;
            state.next = None;
            (state.waiting_reader.take(), state.release_writer(), state.returned.take())
        };
        drop((old, returned));
        wake(woken);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.end(Outcome::Gone);
    }
}

/// What a look into the channel finds.
pub(super) enum Found {
    /// There is something new, and perhaps more to come.
    News,
    /// There is something new, or there is not, and nothing more will come.
    End,
}

impl<T> Receiver<T> {
    /// Moves what was published to `incoming`, which is empty. None when there is nothing to tell.
    ///
    /// `unexamined` says whether the reader has elements that it has not looked at yet.
    pub(super) fn try_take(
        &self,
        incoming: &mut VecDeque<Shared<T>>,
        unexamined: bool,
    ) -> Result<Option<Found>, ReadError> {
        let mut state = lock(&self.0.state);
        let (found, woken) = self.look(&mut state, incoming, unexamined);
        drop(state);
        wake(woken);
        found
    }

    /// As [`try_take`](Self::try_take); `waker` is woken when there may be something to tell.
    pub(super) fn poll_take(
        &self,
        incoming: &mut VecDeque<Shared<T>>,
        unexamined: bool,
        waker: &Waker,
    ) -> Poll<Result<Found, ReadError>> {
        if let Some(found) = self.try_take(incoming, unexamined)? {
            return Poll::Ready(Ok(found));
        }
        let new = waker.clone();
        let mut state = lock(&self.0.state);
        let (found, woken) = self.look(&mut state, incoming, unexamined);
        let waits = matches!(found, Ok(None));
        let old = if waits { state.waiting_reader.replace(new) } else { None };
        drop(state);
        drop(old);
        wake(woken);
        match found? {
            Some(found) => Poll::Ready(Ok(found)),
            None => Poll::Pending,
        }
    }

    /// What there is to tell the reader, and a writer that is to be woken.
    fn look(
        &self,
        state: &mut State<T>,
        incoming: &mut VecDeque<Shared<T>>,
        unexamined: bool,
    ) -> (Result<Option<Found>, ReadError>, Option<Waker>) {
        mem::swap(&mut state.pending, incoming);
        let news = unexamined || !incoming.is_empty();
        let found = match &state.writer {
            Outcome::Completed => Ok(Some(Found::End)),
            _ if news => Ok(Some(Found::News)),
            Outcome::Failed(error) => Err(ReadError::Failed(Arc::clone(error))),
            Outcome::Gone => Err(ReadError::WriterGone),
            Outcome::Open => match state.wanted {
                // A writer that was made to wait for more room than it needs.
                Some(wanted) if self.0.capacity - state.held >= wanted => {
                    return (Ok(None), state.release_writer());
                }
                Some(wanted) => Err(ReadError::Full { held: state.held, wanted, capacity: self.0.capacity }),
                None => Ok(None),
            },
        };
        (found, None)
    }

    /// Makes room of `len` elements. A writer that waits is woken when half of the pipe is free, or as much as it wants:
    /// so the two do not go to sleep and wake up in turns for every piece.
    ///
    /// `last` is the last share that the reader had, if it has consumed everything.
    pub(super) fn consume(&self, len: usize, mut last: Option<Shared<T>>) {
        let end = last.as_mut().and_then(|last| {
            let consumed = last.as_slice().len();
            last.narrow(consumed..).expect("its own end");
            NonZero::new(last.as_slice().as_ptr().addr())
        });
        let woken = {
            let mut state = lock(&self.0.state);
            state.held -= len;
            // Blocks that the writer is not in are not kept from their pool. The addresses do not deceive: behind what was
            // published there is room in the same block, so no other ends there.
            if end.is_some() && end == state.next {
                mem::swap(&mut state.returned, &mut last);
            }
            let room = self.0.capacity - state.held;
            match state.wanted {
                Some(wanted) if room >= wanted.max(self.0.capacity / 2) => state.release_writer(),
                _ => None,
            }
        };
        drop(last);
        wake(woken);
    }

    /// Takes back what `poll_take` left.
    pub(super) fn stop_waiting(&self) {
        let old = lock(&self.0.state).waiting_reader.take();
        drop(old);
    }

    pub(super) fn complete(&self, result: Result<(), BoxError>) {
        self.end(Outcome::of(result));
    }

    fn end(&self, outcome: Outcome) {
        let (woken, old, lost) = {
            let mut state = lock(&self.0.state);
            if !matches!(state.reader, Outcome::Open) {
                return;
            }
            state.reader = outcome;
            let lost = (mem::take(&mut state.pending), state.returned.take());
            (state.release_writer(), state.waiting_reader.take(), lost)
        };
        drop((old, lost));
        wake(woken);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.end(Outcome::Gone);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
