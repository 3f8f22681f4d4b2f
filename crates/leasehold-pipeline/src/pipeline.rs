//! The stages that carry documents from a source to vectors, and the memory that they share.
//!
//! ```text
//!   source --Document--> [window] --Document--> batch --Unit--> tokenize --TokenBatch--> encode --Embedded--> sink
//!   1 thread             1            1                  1 per 8 threads      so many threads         the caller
//! ```
//!
//! # Memory
//!
//! Everything that is rented comes from one pool with a budget, divided before the run starts:
//!
//! | what | how much | rented |
//! | --- | --- | --- |
//! | packed weights | what the model has | when the [`Encoder`] is opened |
//! | workspaces | one for each thread that runs the model | when the run starts |
//! | token batches | as many as can be under way, all of one size | a share of their own |
//! | vectors | as many blocks as can be under way, all of one size | a share of their own |
//! | text | all the rest | [`Pipeline::source_pool`], a share of its own |
//!
//! **Nobody waits for ever.** Queues have room for a fixed number of items, and each thread holds one at a time, so
//! it is known how many batches and vectors there can be at once; their shares hold as many, and a rent from them finds
//! room always. Only the source may have to wait for memory, which other documents hold; those go on to the sink
//! without needing any of the source's share, and come back. The stage that keeps documents for a unit passes them
//! on when its input pauses. Only who keeps the documents of results, beyond the vectors, can make a source wait: for him.

use std::{num::NonZeroUsize, path::Path};

use leasehold::{BoundedPool, MemoryPool, RentError};

use crate::{
    batch::Batch,
    cancel::Cancel,
    document::Document,
    embed::{Embedded, Encode, Tokenize},
    encoder::{Encoder, UNIT_TOKENS, batch_tokens},
    error::{EmbedError, ModelError},
    flow::{Flow, Run, StageError},
    model::{Config, Model, Precision},
    sink::Sink,
    window::Windows,
};

/// The least that is left for text: some blocks of a stream.
const LEAST_FOR_TEXT: usize = 1 << 20;

/// Documents that may wait behind the source.
const DOCUMENTS: usize = 64;

/// Units that may wait for a tokenizer.
const UNITS: usize = 2;

/// Threads that run the model for each that tokenizes, which takes about a hundredth of the time.
const THREADS_PER_TOKENIZER: usize = 8;

/// Results of [`Pipeline::start`] that may be kept at a time.
const KEPT: usize = 4;

/// Carries documents from a source through tokenizer and model, on threads of its own and in bounded memory.
///
/// # Examples
/// ```no_run
/// use std::num::NonZeroUsize;
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{
///     Cache, Cancel, Encoder, Format, Input, Pipeline, Precision, Source, Split,
/// };
///
/// let pool = MemoryPool::builder().build_bounded(256 << 20);
/// let encoder = Encoder::open(&Cache::of_user()?.model(&mut |_| {})?, Precision::F32, &pool)?;
/// let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool)?;
/// let notes = (Input::File("notes.txt".into()), Format::Text(Split::Line));
/// let source = Source::open(vec![notes], pipeline.source_pool())?;
/// for embedded in pipeline.start(source, &Cancel::new())? {
///     let embedded = embedded?;
///     for (document, vector) in embedded.documents.iter().zip(embedded.vectors.chunks(encoder.width())) {
///         println!("{} {:?}", document.text()?, &vector[..3]);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pipeline {
    encoder: Encoder,
    rooms: Rooms,
    pool: BoundedPool,
    batches: BoundedPool,
    vectors: BoundedPool,
    text: BoundedPool,
    windows: Option<Windows>,
    skip: u64,
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

impl Pipeline {
    /// Divides what is left of the pool's budget for runs with so many threads that run the model. Nothing is left then, so
    /// what else shall be rented of the pool, such as a [`Worker`](crate::Worker), comes first.
    ///
    /// # Errors
    ///
    /// [`EmbedError::BudgetTooSmall`] when that is too little, and says what would be enough.
    pub fn new(encoder: &Encoder, threads: NonZeroUsize, pool: &BoundedPool) -> Result<Self, EmbedError> {
        let rooms = Rooms::of(threads.get());
        let model = encoder.model();
        let needs = Needs::of(model.config(), model.precision(), &rooms, pool)?;
        let budget = pool.stats().budget.unwrap_or(usize::MAX);
        // The weights have theirs already.
        let wanted = needs.without_weights();
        let free = pool.free();
        let rest = free.checked_sub(wanted).filter(|rest| *rest >= LEAST_FOR_TEXT);
        let too_small =
            || EmbedError::BudgetTooSmall { budget, least: sum(&[budget - free, wanted, LEAST_FOR_TEXT]) };
        // Somebody else may have been faster.
        let share = |bytes| pool.share(bytes).map_err(|_| too_small());
        Ok(Self {
            encoder: encoder.clone(),
            text: share(rest.ok_or_else(too_small)?)?,
            batches: share(needs.batches)?,
            vectors: share(needs.vectors)?,
            pool: pool.clone(),
            rooms,
            windows: None,
            skip: 0,
        })
    }

    /// The least budget with which the model in a directory runs on so many threads, in bytes.
    ///
    /// # Errors
    ///
    /// When the configuration of the model cannot be read.
    pub fn least_memory(
        directory: &Path,
        precision: Precision,
        threads: NonZeroUsize,
    ) -> Result<usize, ModelError> {
        let config = Config::open(directory)?;
        let pool = MemoryPool::builder().build_bounded(0);
        Ok(Needs::of(&config, precision, &Rooms::of(threads.get()), &pool)?.least())
    }

    /// What it was made for.
    #[must_use]
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Where the source of a run has to rent its blocks.
    #[must_use]
    pub fn source_pool(&self) -> &BoundedPool {
        &self.text
    }

    /// Every pool that runs rent from: the one it was made with, and its shares for text, token batches and vectors.
    #[must_use]
    pub fn pools(&self) -> [&BoundedPool; 4] {
        [&self.pool, &self.text, &self.batches, &self.vectors]
    }

    /// Cuts documents into passages before they are embedded; then these are the documents of a run.
    #[must_use]
    pub fn windows(self, windows: Windows) -> Self {
        Self { windows: Some(windows), ..self }
    }

    /// Passes over the first documents of each run, because an earlier one has done them.
    #[must_use]
    pub fn skip(self, documents: u64) -> Self {
        Self { skip: documents, ..self }
    }

    /// The same, passing over nothing and without windows, and these; for who has to see each passage before it goes through
    /// the model.
    pub(crate) fn take_windows(&self) -> (Self, Option<Windows>) {
        (Self { windows: None, skip: 0, ..self.clone() }, self.windows.clone())
    }

    /// Starts a run; its results come in the order of the documents.
    ///
    /// # Errors
    ///
    /// When the pool has no room for the workspaces, or a thread cannot be started.
    pub fn start<I, E>(&self, documents: I, cancel: &Cancel) -> Result<Run<Embedded>, EmbedError>
    where
        I: Iterator<Item = Result<Document, E>> + Send + 'static,
        E: Into<StageError> + 'static,
    {
        Ok(self.embed(Flow::source("source", documents).room(DOCUMENTS))?.start(cancel)?)
    }

    /// Goes on with the stages of this pipeline behind a source and stages of one's own; others may follow.
    ///
    /// At most four results may be kept at a time, by stages or by whoever takes them: the memory of all others is needed
    /// for the run to go on. Where the documents come from a [`Source`](crate::Source) that rents (a stream, compressed or
    /// escaped text), they hold memory of its share, and few large ones hold all of it: keep the vectors then and drop
    /// [`Embedded::documents`], or copy what you need of them. One run at a time has the memory; it has given it back when
    /// [`Run::join`] returns.
    ///
    /// # Errors
    ///
    /// When the pool has no room for the workspaces.
    pub fn embed(&self, documents: Flow<Document>) -> Result<Flow<Embedded>, EmbedError> {
        let mut flow = documents;
        let encoder = &self.encoder;
        let encode = || Encode::new(encoder, &self.pool, &self.vectors);
        let encoders = (0..self.rooms.threads).map(|_| encode()).collect::<Result<_, _>>()?;
        let units = Batch::new(UNIT_TOKENS, encoder.tokenizer().max_tokens()).skip(self.skip);
        if let Some(windows) = &self.windows {
            flow = flow.stage("window", windows.clone()).room(DOCUMENTS);
        }
        Ok(flow
            .stage("batch", units)
            .room(UNITS)
            .parallel("tokenize", self.rooms.tokenizers, || Tokenize::new(encoder, &self.batches))
            .room(self.rooms.batches)
            .workers("encode", encoders)
            .room(self.rooms.vectors))
    }

    /// Embeds every document and writes the results in the order of the input.
    ///
    /// The calling thread writes to the sink, and calls `progress` after each batch. Memory in use does not depend on the
    /// number of documents.
    ///
    /// # Errors
    ///
    /// The first error of any stage, or [`EmbedError::Cancelled`]. The threads of a run that failed are not waited for, as a
    /// source may be blocked in a read; they end and give back what they hold by themselves.
    pub fn run<I, E>(
        &self,
        documents: I,
        sink: &mut dyn Sink,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Summary),
    ) -> Result<Summary, EmbedError>
    where
        I: Iterator<Item = Result<Document, E>> + Send + 'static,
        E: Into<StageError> + 'static,
    {
        let mut run = self.start(documents, cancel)?;
        let mut summary = Summary::default();
        for embedded in &mut run {
            let embedded = embedded?;
            sink.write(&embedded.documents, embedded.vectors)?;
            summary.documents += embedded.documents.len() as u64;
            summary.tokens += embedded.tokens;
            summary.bytes = embedded.documents.last().map_or(summary.bytes, |last| last.consumed);
            progress(&summary);
        }
        sink.finish()?;
        run.join();
        Ok(summary)
    }
}

/// How many of everything may be under way.
#[derive(Clone, Copy, Debug)]
struct Rooms {
    /// Threads that run the model.
    threads: usize,
    tokenizers: usize,
    /// Batches that may wait for the model.
    batches: usize,
    /// Results that may wait for the sink, or for an earlier one.
    vectors: usize,
}

impl Rooms {
    fn of(threads: usize) -> Self {
        let tokenizers = threads.div_ceil(THREADS_PER_TOKENIZER);
        let twice = threads.saturating_mul(2);
        Self { threads, tokenizers, batches: twice, vectors: twice }
    }
}

/// Bytes of the budget that a run takes, but for text.
#[derive(Clone, Copy, Debug)]
struct Needs {
    weights: usize,
    workspaces: usize,
    batches: usize,
    vectors: usize,
}

impl Needs {
    fn of(
        config: &Config,
        precision: Precision,
        rooms: &Rooms,
        pool: &BoundedPool,
    ) -> Result<Self, RentError> {
        let batch_tokens = batch_tokens(config.max_tokens);
        let (weights, workspace) = Model::cost(config, precision, pool, batch_tokens)?;
        // A queue has room for one more, and each thread has one in hand.
        let batches = sum(&[rooms.batches, 1, rooms.tokenizers, rooms.threads]);
        let vectors = sum(&[rooms.vectors, 1, rooms.threads, KEPT]);
        Ok(Self {
            weights,
            workspaces: rooms.threads.saturating_mul(workspace),
            batches: batches.saturating_mul(Tokenize::cost(pool, batch_tokens)?),
            vectors: vectors.saturating_mul(Encode::cost(pool, config.hidden_size)?),
        })
    }

    /// What is needed when there are weights already.
    fn without_weights(&self) -> usize {
        sum(&[self.workspaces, self.batches, self.vectors])
    }

    /// The least budget that is enough for all.
    fn least(&self) -> usize {
        sum(&[self.weights, self.without_weights(), LEAST_FOR_TEXT])
    }
}

/// The sum, or the most that there can be: a budget that no pool has.
fn sum(parts: &[usize]) -> usize {
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}
