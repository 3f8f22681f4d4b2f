//! What a stage is, and where it puts what it makes.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    error::{StageError, Stopped},
    metrics::Counters,
    queue::Queue,
};

/// A step that makes items of items: one of one, none (a filter), or any number.
///
/// A stage runs on a thread of its own, or several of its kind on several. Order, back-pressure, cancellation and
/// [figures](super::Run::metrics) come from the [`Flow`](super::Flow) it is part of.
///
/// # Examples
/// ```
/// use leasehold_pipeline::flow::{Emit, Stage, StageError};
///
/// /// Lets only long texts through.
/// struct AtLeast(usize);
///
/// impl Stage for AtLeast {
///     type Input = String;
///     type Output = String;
///
///     fn process(&mut self, text: String, output: &mut Emit<'_, String>) -> Result<(), StageError> {
///         if text.len() >= self.0 {
///             output.send(text)?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Stage: Send + 'static {
    /// What it takes.
    type Input: Send + 'static;
    /// What it makes.
    type Output: Send + 'static;

    /// Takes one item and sends any number.
    ///
    /// # Errors
    ///
    /// Any error ends the run. What [`Emit::send`] says is passed on.
    fn process(&mut self, input: Self::Input, output: &mut Emit<'_, Self::Output>) -> Result<(), StageError>;

    /// Sends what is left, because nothing more will come.
    ///
    /// Is called where the stage has one worker; several have no order among what they are left with, so a stage that keeps items has one.
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    fn finish(&mut self, output: &mut Emit<'_, Self::Output>) -> Result<(), StageError> {
        let _ = output;
        Ok(())
    }

    /// Sends what should not wait any longer, because for a moment (10 ms) nothing has come.
    ///
    /// Is called once a pause, and where the stage has one worker, as [`finish`](Self::finish).
    ///
    /// # Errors
    ///
    /// As [`process`](Self::process).
    fn idle(&mut self, output: &mut Emit<'_, Self::Output>) -> Result<(), StageError> {
        let _ = output;
        Ok(())
    }
}

/// Where a stage puts what it makes.
pub struct Emit<'a, T> {
    queue: &'a Queue<T>,
    part: u64,
    counters: &'a Counters,
    waited: Duration,
}

impl<'a, T> Emit<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>, part: u64, counters: &'a Counters) -> Self {
        Self { queue, part, counters, waited: Duration::ZERO }
    }

    /// Gives an item to the next stage; waits where that has no room.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the run has ended; the item is dropped. The stage passes it on.
    pub fn send(&mut self, item: T) -> Result<(), Stopped> {
        let waited = self.queue.push(self.part, item)?;
        self.waited += waited;
        self.counters.waited_for_room(waited);
        self.counters.gave();
        Ok(())
    }

    /// Whether the run has ended, for stages that work long without sending.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.queue.is_closed()
    }

    /// Runs `work` and counts its time, less what of it was spent waiting for room.
    pub(super) fn timed<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let (started, before) = (Instant::now(), self.waited);
        let result = work(self);
        self.counters.worked(started.elapsed().saturating_sub(self.waited - before));
        result
    }
}

impl<T> fmt::Debug for Emit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit").field("part", &self.part).finish_non_exhaustive()
    }
}
