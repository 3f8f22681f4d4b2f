//! What the one who began an operation holds of it.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::error::{Failed, Task};
use super::queue::Queue;

/// A read or write that is under way. It goes on by itself; the future yields the memory and how many bytes were moved.
///
/// Dropped before that, it is cancelled, and the memory let go of as soon as the kernel has done with it.
///
/// # Examples
/// See [`Ring`](crate::Ring).
#[must_use = "dropping the operation cancels it"]
pub struct Operation<B> {
    slot: Arc<Slot<B>>,
    queue: Arc<Queue>,
    id: u64,
}

/// The memory and how many bytes were moved, or the memory and why not.
pub(super) type Outcome<B> = Result<(B, usize), Failed<B>>;

impl<B> Operation<B> {
    pub(super) fn new(slot: Arc<Slot<B>>, queue: Arc<Queue>, id: u64) -> Operation<B> {
        Operation { slot, queue, id }
    }

    /// Asks the kernel to end the operation early. Wait for it all the same: it may still succeed, and the memory comes back either
    /// way.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use leasehold::MemoryOwner;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::new()?;
    /// let (from, _to) = std::io::pipe()?; // to which nobody writes
    /// let reading = ring.read(&Arc::new(from), MemoryOwner::from(vec![0; 100]));
    /// reading.cancel();
    /// let failed = reading.wait().unwrap_err();
    /// assert!(failed.is_cancelled() && failed.memory.len() == 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) {
        if !self.slot.is_done() {
            self.queue.cancel(self.id);
        }
    }

    /// Blocks this thread until the operation is over.
    ///
    /// # Errors
    /// [`Failed`] with the memory.
    pub fn wait(mut self) -> Outcome<B> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl<B> Future for Operation<B> {
    type Output = Outcome<B>;

    /// # Panics
    /// When it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<B>> {
        self.slot.poll(context.waker())
    }
}

impl<B> Drop for Operation<B> {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<B> fmt::Debug for Operation<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({})", self.slot.task)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Where the driver puts what came of an operation. When the future has gone, the outcome goes with the slot.
pub(super) struct Slot<B> {
    state: Mutex<State<B>>,
    task: Task,
}

enum State<B> {
    Running(Option<Waker>),
    Done(Outcome<B>),
    Taken,
}

impl<B> Slot<B> {
    pub(super) fn new(task: Task) -> Slot<B> {
        Slot { state: Mutex::new(State::Running(None)), task }
    }

    /// Called once by the driver. What the waker panics with stays here: the ring has others to serve.
    pub(super) fn put(&self, memory: B, result: io::Result<usize>) {
        let outcome = match result {
            Ok(len) => Ok((memory, len)),
            Err(error) => Err(Failed { memory, error, task: self.task }),
        };
        let before = mem::replace(&mut *self.lock(), State::Done(outcome));
        if let State::Running(Some(waker)) = before {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// What came of the operation, once; the slot is then as new.
    pub(super) fn take(&self) -> Option<Outcome<B>> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Running(None)) {
            State::Done(outcome) => Some(outcome),
            other => {
                *state = other;
                None
            }
        }
    }

    /// A waker is others' code: it is cloned, and let go of, with nothing locked.
    fn poll(&self, waker: &Waker) -> Poll<Outcome<B>> {
        if matches!(&*self.lock(), State::Running(Some(known)) if known.will_wake(waker)) {
            return Poll::Pending;
        }
        let mut known = Some(waker.clone());
        let taken = {
            let mut state = self.lock();
            match &mut *state {
                State::Running(before) => {
                    mem::swap(before, &mut known);
                    None
                }
                _ => Some(mem::replace(&mut *state, State::Taken)),
            }
        };
        match taken {
            None => Poll::Pending,
            Some(State::Done(outcome)) => Poll::Ready(outcome),
            Some(_) => panic!("an operation was polled after it was over"),
        }
    }

    fn is_done(&self) -> bool {
        !matches!(*self.lock(), State::Running(_))
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
