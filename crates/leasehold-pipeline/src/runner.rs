//! The threads that carry documents from the source to the sink.
//!
//! ```text
//!            permits (as many as units may be under way)
//!        +----------------------------------------------------+
//!        v                                                    |
//!   [source thread] --units--> [worker] x threads --done--> [calling thread: sink]
//!    documents,                 tokenize, ragged batch,      back into the order
//!    cut into units             model                        of the input
//! ```
//!
//! A unit needs a permit to leave the source and gives it back when it is written, so the number of units
//! in memory is bounded wherever they wait: in a queue, in a worker, or for an earlier unit at the sink.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Scope},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use leasehold::{BoundedPool, MemoryOwner};

use crate::{
    batch::{Unit, Units},
    cancel::Cancel,
    document::Document,
    encoder::{Encoder, UNIT_TOKENS},
    error::{EmbedError, SourceError},
    sink::Sink,
};

/// Units under way per worker: one in work, and enough others that nobody waits for the slowest.
const UNITS_PER_WORKER: usize = 8;

/// How often the sink looks for a cancellation while no unit arrives.
const CANCEL_INTERVAL: Duration = Duration::from_millis(50);

/// Carries documents from a source through tokenizer and model to a sink.
#[derive(Clone, Debug)]
pub struct Pipeline<'a> {
    /// Tokenizer and model.
    pub encoder: &'a Encoder,
    /// Where batches, activations and vectors are rented.
    pub pool: &'a BoundedPool,
    /// Number of threads that run the model.
    pub threads: NonZeroUsize,
    /// Ends the run early.
    pub cancel: Cancel,
}

/// What a run has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Documents written.
    pub documents: u64,
    /// Tokens that went through the model for them.
    pub tokens: u64,
    /// Bytes of input up to the last of them.
    pub bytes: u64,
}

impl Pipeline<'_> {
    /// Embeds every document and writes the results in the order of the input.
    ///
    /// The calling thread writes to the sink, and calls `progress` after each unit of work. Memory in use
    /// does not depend on the number of documents.
    ///
    /// # Errors
    ///
    /// The first error of any stage, or [`EmbedError::Cancelled`]. All threads have ended and every block
    /// is given back by then. A source that is blocked in a read is waited for.
    pub fn run<I>(
        &self,
        documents: I,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(&Summary),
    ) -> Result<Summary, EmbedError>
    where
        I: Iterator<Item = Result<Document, SourceError>> + Send,
    {
        let window = self.threads.get() * UNITS_PER_WORKER;
        let (permits, permitted) = bounded(window);
        let (send_unit, units) = bounded(self.threads.get() * 2);
        let (send_done, done) = bounded(window);
        for _ in 0..window {
            permits.send(()).expect("the queue has room for every permit");
        }
        let max_tokens = self.encoder.tokenizer().max_tokens();
        let source = Units::new(documents, UNIT_TOKENS, max_tokens);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let threads = Threads { pipeline: self, stop: &stop };
            let result = threads
                .start(scope, source, permitted, (send_unit, units), send_done)
                .and_then(|()| self.write_in_order(&done, &permits, sink, progress));
            // Both queues end here, which wakes whoever waits for them; the flag stops those at work.
            // Relaxed: the flag carries no data.
            stop.store(true, Ordering::Relaxed);
            drop((done, permits));
            result
        })
    }

    fn write_in_order(
        &self,
        done: &Receiver<Result<Done, EmbedError>>,
        permits: &Sender<()>,
        sink: &mut dyn Sink,
        progress: &mut dyn FnMut(&Summary),
    ) -> Result<Summary, EmbedError> {
        let mut summary = Summary::default();
        let mut early = BTreeMap::new();
        let mut next = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(EmbedError::Cancelled);
            }
            match done.recv_timeout(CANCEL_INTERVAL) {
                Ok(unit) => {
                    let unit = unit?;
                    early.insert(unit.sequence, unit);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Some(unit) = early.remove(&next) {
                sink.write(&unit.documents, unit.vectors)?;
                summary.documents += unit.documents.len() as u64;
                summary.tokens += unit.tokens;
                summary.bytes = unit.documents.last().map_or(summary.bytes, |last| last.consumed);
                progress(&summary);
                next += 1;
                // Fails when the source has come to its end and needs no more permits.
                let _ = permits.send(());
            }
        }
        sink.finish()?;
        Ok(summary)
    }
}

/// A unit that has its vectors.
struct Done {
    sequence: u64,
    documents: Vec<Document>,
    vectors: MemoryOwner<f32>,
    tokens: u64,
}

/// What the threads of one run share.
#[derive(Clone, Copy)]
struct Threads<'scope> {
    pipeline: &'scope Pipeline<'scope>,
    stop: &'scope AtomicBool,
}

impl<'scope> Threads<'scope> {
    fn start<I>(
        self,
        scope: &'scope Scope<'scope, '_>,
        source: Units<I>,
        permits: Receiver<()>,
        (send, receive): (Sender<Unit>, Receiver<Unit>),
        done: Sender<Result<Done, EmbedError>>,
    ) -> Result<(), EmbedError>
    where
        I: Iterator<Item = Result<Document, SourceError>> + Send + 'scope,
    {
        for number in 0..self.pipeline.threads.get() {
            let (units, done) = (receive.clone(), done.clone());
            thread::Builder::new()
                .name(format!("embed-{number}"))
                .spawn_scoped(scope, move || self.work(&units, &done))
                .map_err(EmbedError::Spawn)?;
        }
        thread::Builder::new()
            .name("source".to_owned())
            .spawn_scoped(scope, move || self.read(source, &permits, &send, &done))
            .map_err(EmbedError::Spawn)?;
        Ok(())
    }

    /// Sends one unit per permit, until the source ends or nobody wants more.
    fn read<I>(
        self,
        source: Units<I>,
        permits: &Receiver<()>,
        send: &Sender<Unit>,
        done: &Sender<Result<Done, EmbedError>>,
    ) where
        I: Iterator<Item = Result<Document, SourceError>>,
    {
        let _alarm = Alarm { done };
        let mut source = source.take_while(|_| !self.stopped());
        while permits.recv().is_ok() {
            match source.next() {
                Some(Ok(unit)) => {
                    if send.send(unit).is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    // Fails only when the run has ended by another error.
                    let _ = done.send(Err(error.into()));
                    return;
                }
                None => return,
            }
        }
    }

    /// Carries one unit after the other through tokenizer and model.
    fn work(self, units: &Receiver<Unit>, done: &Sender<Result<Done, EmbedError>>) {
        let _alarm = Alarm { done };
        let mut worker = match self.pipeline.encoder.worker(self.pipeline.pool) {
            Ok(worker) => worker,
            Err(error) => {
                // Fails only when the run has ended by another error.
                let _ = done.send(Err(error));
                return;
            }
        };
        for unit in units {
            if self.stopped() {
                return;
            }
            let before = worker.tokens();
            let texts = unit.documents.iter().map(|document| Ok(document.text()?));
            let result = worker.embed(texts).map(|vectors| Done {
                sequence: unit.sequence,
                vectors,
                tokens: worker.tokens() - before,
                documents: unit.documents,
            });
            if done.send(result).is_err() {
                return;
            }
        }
    }

    fn stopped(self) -> bool {
        // Relaxed: as where it is set.
        self.stop.load(Ordering::Relaxed) || self.pipeline.cancel.is_cancelled()
    }
}

/// Tells the sink when a thread panics, which would else wait for that thread's unit for ever.
struct Alarm<'a> {
    done: &'a Sender<Result<Done, EmbedError>>,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Fails only when the run has ended by another error.
            let _ = self.done.send(Err(EmbedError::Panicked));
        }
    }
}
