//! How a run is put together.

use std::{fmt, sync::Arc, thread};

use super::{
    error::{FlowError, StageError},
    metrics::Counters,
    queue::{Close, Queue},
    run::Run,
    stage::Stage,
    worker::{self, Control, Job},
};
use crate::cancel::Cancel;

/// Items that may wait behind a stage, where nothing else is said.
const ROOM: usize = 16;

/// A source and the stages behind it, to be started.
///
/// # Examples
/// ```
/// use leasehold_pipeline::{Cancel, flow::{Emit, Flow, FlowError, Stage, StageError}};
///
/// struct Double;
///
/// impl Stage for Double {
///     type Input = u64;
///     type Output = u64;
///
///     fn process(&mut self, input: u64, output: &mut Emit<'_, u64>) -> Result<(), StageError> {
///         Ok(output.send(input * 2)?)
///     }
/// }
///
/// let numbers = (1..=4).map(Ok::<u64, StageError>);
/// let run = Flow::source("numbers", numbers).parallel("double", 3, || Double).start(&Cancel::new())?;
/// let doubled: Vec<u64> = run.collect::<Result<_, _>>()?;
/// assert_eq!(doubled, [2, 4, 6, 8]);
/// # Ok::<_, FlowError>(())
/// ```
#[must_use = "a flow does nothing until it is started"]
pub struct Flow<T> {
    jobs: Vec<Job>,
    queues: Vec<Arc<dyn Close>>,
    counters: Vec<Arc<Counters>>,
    last: Last<T>,
    room: usize,
}

/// The last stage so far, which still wants the queue behind it; knows how many put things into that.
struct Last<T> {
    workers: usize,
    connect: Box<dyn FnOnce(Arc<Queue<T>>) -> Vec<Job> + Send>,
}

impl<T: Send + 'static> Flow<T> {
    /// Begins with what an iterator gives, on a thread of its own. Its first error ends the run.
    pub fn source<I, E>(name: impl Into<Arc<str>>, items: I) -> Self
    where
        I: Iterator<Item = Result<T, E>> + Send + 'static,
        E: Into<StageError> + 'static,
    {
        let name = name.into();
        let counters = Arc::new(Counters::new(Arc::clone(&name), 1));
        let counted = Arc::clone(&counters);
        let connect = move |output: Arc<Queue<T>>| {
            let work = worker::read(items, output, counted);
            vec![Job { thread: name.to_string(), stage: name, work }]
        };
        Self {
            jobs: Vec::new(),
            queues: Vec::new(),
            counters: vec![counters],
            last: Last { workers: 1, connect: Box::new(connect) },
            room: ROOM,
        }
    }

    /// Gives what the last stage makes room for so many items, at least one; 16 if nothing is said.
    ///
    /// One item more may lie there, when it is the next and those behind it have taken all the room.
    pub fn room(mut self, items: usize) -> Self {
        self.room = items.max(1);
        self
    }

    /// Goes on with a stage on one thread, which may keep something from item to item.
    pub fn stage<S: Stage<Input = T>>(self, name: impl Into<Arc<str>>, stage: S) -> Flow<S::Output> {
        self.then(name.into(), vec![stage])
    }

    /// Goes on with a stage on so many threads, at least one; each item goes to one of them. Their results have
    /// the order of the items.
    pub fn parallel<S: Stage<Input = T>>(
        self,
        name: impl Into<Arc<str>>,
        workers: usize,
        make: impl FnMut() -> S,
    ) -> Flow<S::Output> {
        self.workers(name, std::iter::repeat_with(make).take(workers.max(1)).collect())
    }

    /// As [`parallel`](Self::parallel), with a stage for each thread that has been made before.
    ///
    /// # Panics
    ///
    /// When there are none.
    #[track_caller]
    pub fn workers<S: Stage<Input = T>>(self, name: impl Into<Arc<str>>, stages: Vec<S>) -> Flow<S::Output> {
        assert!(!stages.is_empty(), "a stage needs a worker");
        self.then(name.into(), stages)
    }

    /// Starts all threads, and returns at once.
    ///
    /// # Errors
    ///
    /// [`FlowError::Spawn`] when one cannot be started; those that were have ended by then.
    pub fn start(mut self, cancel: &Cancel) -> Result<Run<T>, FlowError> {
        let output = self.connect();
        let control = Arc::new(Control::new(self.queues));
        let mut threads = Vec::new();
        // The source last: once it waits in a read, a run that cannot be started could not be ended.
        for job in self.jobs.into_iter().rev() {
            let shared = Arc::clone(&control);
            let spawned = thread::Builder::new().name(job.thread).spawn(move || (job.work)(&shared));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(source) => {
                    control.stop(FlowError::Cancelled);
                    for thread in threads {
                        // It catches its panics itself.
                        let _ = thread.join();
                    }
                    return Err(FlowError::Spawn { stage: job.stage.to_string(), source });
                }
            }
        }
        Ok(Run::new(output, control, threads, self.counters, cancel))
    }

    /// Puts a queue behind the last stage.
    fn connect(&mut self) -> Arc<Queue<T>> {
        let queue = Arc::new(Queue::new(self.room, self.last.workers));
        self.queues.push(Arc::clone(&queue) as Arc<dyn Close>);
        let none = Last { workers: 0, connect: Box::new(|_| Vec::new()) };
        let last = std::mem::replace(&mut self.last, none);
        self.jobs.extend((last.connect)(Arc::clone(&queue)));
        queue
    }

    fn then<S: Stage<Input = T>>(mut self, name: Arc<str>, stages: Vec<S>) -> Flow<S::Output> {
        let input = self.connect();
        let workers = stages.len();
        let counters = Arc::new(Counters::new(Arc::clone(&name), workers));
        let counted = Arc::clone(&counters);
        let connect = move |output: Arc<Queue<S::Output>>| {
            let job = |(number, stage)| {
                let (input, output) = (Arc::clone(&input), Arc::clone(&output));
                let counters = Arc::clone(&counted);
                let (thread, work) = match workers {
                    1 => (name.to_string(), worker::alone(stage, input, output, counters)),
                    _ => (format!("{name}-{number}"), worker::among_others(stage, input, output, counters)),
                };
                Job { thread, stage: Arc::clone(&name), work }
            };
            stages.into_iter().enumerate().map(job).collect()
        };
        self.counters.push(counters);
        Flow {
            jobs: self.jobs,
            queues: self.queues,
            counters: self.counters,
            last: Last { workers, connect: Box::new(connect) },
            room: ROOM,
        }
    }
}

impl<T> fmt::Debug for Flow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.counters.iter().map(|counters| counters.name())).finish()
    }
}
