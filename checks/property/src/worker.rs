//! Threads that do one thing at a time and keep the spans that belong to them.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use leasehold::Span;

/// What cannot leave a worker's thread.
pub struct Local<T: 'static> {
    pub spans: HashMap<usize, Span<'static, T>>,
}

type Job<T> = Box<dyn FnOnce(&mut Local<T>) + Send>;

pub struct Worker<T: 'static> {
    jobs: Option<mpsc::Sender<Job<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + Sync + 'static> Worker<T> {
    pub fn new() -> Worker<T> {
        let (jobs, inbox) = mpsc::channel::<Job<T>>();
        let thread = thread::spawn(move || {
            let mut local = Local { spans: HashMap::new() };
            inbox.into_iter().for_each(|job| job(&mut local));
        });
        Worker { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Does `job` on the worker's thread and waits for it.
    pub fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut Local<T>) -> R + Send + 'static) -> R {
        let (done, outcome) = mpsc::channel();
        let job: Job<T> = Box::new(move |local| {
            let result = catch_unwind(AssertUnwindSafe(|| job(local)));
            done.send(result).unwrap();
        });
        self.jobs.as_ref().unwrap().send(job).unwrap();
        outcome.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().unwrap().join();
    }
}
