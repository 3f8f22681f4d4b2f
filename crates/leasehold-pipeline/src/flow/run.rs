//! A run that is under way.

use std::{
    fmt,
    iter::FusedIterator,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread::JoinHandle,
};

use futures_core::Stream;

use super::{
    error::FlowError,
    metrics::{Counters, StageMetrics},
    queue::{Queue, Taken},
    worker::Control,
};
use crate::cancel::{Cancel, OnCancel};

/// What comes out of the last stage of a run, in order: an iterator for threads, a [`Stream`] for tasks.
///
/// After an error it gives nothing more. Dropping it stops the run without waiting: the threads end by themselves and give
/// back what they hold, a source that waits in a read when that returns. [`join`](Self::join) waits for them.
///
/// ```
/// use leasehold_pipeline::{Cancel, SourceError, flow::Flow};
///
/// let numbers = (0..1000).map(Ok::<u32, SourceError>);
/// let mut run = Flow::source("numbers", numbers).start(&Cancel::new())?;
/// assert_eq!(run.next().transpose()?, Some(0));
/// assert_eq!(run.next().transpose()?, Some(1));
/// run.join();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it stops the run"]
pub struct Run<T: Send + 'static> {
    output: Arc<Queue<T>>,
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
    counters: Vec<Arc<Counters>>,
    over: bool,
    /// Stops this run when its `Cancel` is asked for.
    _on_cancel: OnCancel,
}

impl<T: Send + 'static> Run<T> {
    pub(super) fn new(
        output: Arc<Queue<T>>,
        control: Arc<Control>,
        threads: Vec<JoinHandle<()>>,
        counters: Vec<Arc<Counters>>,
        cancel: &Cancel,
    ) -> Self {
        let stopped = Arc::clone(&control);
        let on_cancel = cancel.on_cancel(move || stopped.stop(FlowError::Cancelled));
        Self { output, control, threads, counters, over: false, _on_cancel: on_cancel }
    }

    /// What each stage has done so far, from the source on.
    #[must_use]
    pub fn metrics(&self) -> Vec<StageMetrics> {
        self.counters.iter().map(|counters| counters.read()).collect()
    }

    /// The next item, for tasks.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped loses nothing.
    pub fn next_async(&mut self) -> Next<'_, T> {
        Next { run: self }
    }

    /// Stops the run, unless it has come to its end, and waits until every thread has ended and dropped what it held.
    ///
    /// A source that waits in a read is waited for.
    pub fn join(mut self) {
        self.control.stop(FlowError::Cancelled);
        for thread in std::mem::take(&mut self.threads) {
            // It catches its panics itself.
            let _ = thread.join();
        }
    }

    fn deliver(&mut self, taken: Taken<T>) -> Option<Result<T, FlowError>> {
        match taken {
            Taken::Item(_, item) => Some(Ok(item)),
            Taken::Ended | Taken::Paused => {
                self.over = true;
                None
            }
            Taken::Closed => {
                self.over = true;
                Some(Err(self.control.reason()))
            }
        }
    }
}

impl<T: Send + 'static> Iterator for Run<T> {
    type Item = Result<T, FlowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let taken = self.output.take(None);
        self.deliver(taken)
    }
}

impl<T: Send + 'static> FusedIterator for Run<T> {}

impl<T: Send + 'static> Stream for Run<T> {
    type Item = Result<T, FlowError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let taken = self.output.poll_take(context.waker());
        taken.map(|taken| self.deliver(taken))
    }
}

impl<T: Send + 'static> Drop for Run<T> {
    fn drop(&mut self) {
        self.control.stop(FlowError::Cancelled);
    }
}

impl<T: Send + 'static> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("over", &self.over)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}

/// The next item of a run; see [`Run::next_async`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Next<'a, T: Send + 'static> {
    run: &'a mut Run<T>,
}

impl<T: Send + 'static> Future for Next<'_, T> {
    type Output = Option<Result<T, FlowError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.run).poll_next(context)
    }
}
