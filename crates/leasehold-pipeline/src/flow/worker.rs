//! What a thread of a run does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    error::{FlowError, StageError, Stopped},
    metrics::Counters,
    queue::{Close, Queue, Taken},
    stage::{Emit, Stage},
};

/// How long nothing must come for a stage to be called idle.
const PAUSE: Duration = Duration::from_millis(10);

/// The part that a stage with one worker puts everything into; it never ends.
const ONLY: u64 = 0;

/// What the threads of one run share: how it is stopped, and why it was.
pub(super) struct Control {
    queues: Vec<Arc<dyn Close>>,
    /// The first reason, until it was told.
    reason: Mutex<Option<FlowError>>,
}

impl Control {
    pub(super) fn new(queues: Vec<Arc<dyn Close>>) -> Self {
        Self { queues, reason: Mutex::new(None) }
    }

    /// Closes all queues. The first reason is kept, others are dropped.
    pub(super) fn stop(&self, reason: FlowError) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        for queue in &self.queues {
            queue.close();
        }
    }

    /// Why the run was stopped, for whoever asks first.
    pub(super) fn reason(&self) -> FlowError {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.replace(FlowError::Cancelled).unwrap_or(FlowError::Cancelled)
    }
}

/// A thread to be started: its name, its stage, and what it does.
pub(super) struct Job {
    pub(super) thread: String,
    pub(super) stage: Arc<str>,
    pub(super) work: Box<dyn FnOnce(&Control) + Send>,
}

/// The work of a source: whatever the iterator gives, until it ends.
pub(super) fn read<I, T, E>(
    mut items: I,
    output: Arc<Queue<T>>,
    counters: Arc<Counters>,
) -> Box<dyn FnOnce(&Control) + Send>
where
    I: Iterator<Item = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Into<StageError>,
{
    Box::new(move |control| {
        guarded(control, &counters, || {
            let mut emit = Emit::new(&output, ONLY, &counters);
            while let Some(item) = emit.timed(|_| items.next()) {
                emit.send(item.map_err(Into::into)?)?;
            }
            drop(items);
            output.end();
            Ok(())
        });
    })
}

/// The work of the only worker of a stage.
pub(super) fn alone<S: Stage>(
    mut stage: S,
    input: Arc<Queue<S::Input>>,
    output: Arc<Queue<S::Output>>,
    counters: Arc<Counters>,
) -> Box<dyn FnOnce(&Control) + Send> {
    Box::new(move |control| {
        guarded(control, &counters, || {
            let mut emit = Emit::new(&output, ONLY, &counters);
            let mut patience = Some(PAUSE);
            loop {
                match take(&input, patience, &counters) {
                    Taken::Item(_, item) => {
                        patience = Some(PAUSE);
                        emit.timed(|emit| stage.process(item, emit))?;
                    }
                    Taken::Paused => {
                        patience = None;
                        emit.timed(|emit| stage.idle(emit))?;
                    }
                    Taken::Ended => break,
                    Taken::Closed => return Err(Stopped.into()),
                }
            }
            emit.timed(|emit| stage.finish(emit))?;
            drop(stage);
            output.end();
            Ok(())
        });
    })
}

/// The work of one of several workers of a stage.
pub(super) fn among_others<S: Stage>(
    mut stage: S,
    input: Arc<Queue<S::Input>>,
    output: Arc<Queue<S::Output>>,
    counters: Arc<Counters>,
) -> Box<dyn FnOnce(&Control) + Send> {
    Box::new(move |control| {
        guarded(control, &counters, || {
            loop {
                match take(&input, None, &counters) {
                    Taken::Item(number, item) => {
                        let mut emit = Emit::new(&output, number, &counters);
                        emit.timed(|emit| stage.process(item, emit))?;
                        counters.waited_for_room(output.complete(number)?);
                    }
                    Taken::Ended => break,
                    Taken::Closed | Taken::Paused => return Err(Stopped.into()),
                }
            }
            drop(stage);
            output.end();
            Ok(())
        });
    })
}

fn take<T>(queue: &Queue<T>, patience: Option<Duration>, counters: &Counters) -> Taken<T> {
    let started = Instant::now();
    let taken = queue.take(patience);
    counters.waited_for_input(started.elapsed());
    if matches!(taken, Taken::Item(..)) {
        counters.took();
    }
    taken
}

/// Runs a thread's work; an error or a panic stops the run.
fn guarded(control: &Control, counters: &Counters, work: impl FnOnce() -> Result<(), StageError>) {
    let stage = counters.name();
    // Nothing is looked at afterwards but the queues, which are closed.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {}
        // Whoever stopped the run has said why; where nobody has, the stage has given up by itself.
        Ok(Err(error)) if error.is::<Stopped>() => control.stop(FlowError::Cancelled),
        Ok(Err(source)) => control.stop(FlowError::Stage { stage: stage.to_owned(), source }),
        Err(payload) => control.stop(FlowError::panicked(stage, &*payload)),
    }
}
