//! `leasehold embed`.

use std::{
    io::{self, BufWriter, IsTerminal},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    thread,
};

use anyhow::Context;
use leasehold::{BoundedPool, MemoryPool};
use leasehold_pipeline::{
    Cache, EmbedError, Encoder, Format, Input, JsonlSink, NpySink, OutputFile, Pipeline, Sink, Source, Split,
};

use crate::{
    arguments::{Embed, Output},
    progress::Progress,
    signals::Signals,
};

/// The field of files that are JSON lines by their ending.
const DEFAULT_FIELD: &str = "text";

/// Bytes for text, where the budget is not given.
const TEXT: usize = 128 << 20;

impl Embed {
    /// Embeds every input. What can be wrong is looked at from cheap to dear: inputs, output, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<()> {
        self.check_inputs()?;
        let on_terminal = matches!(self.output, Output::Standard) && io::stdout().is_terminal();
        let progress = Progress::new(on_terminal);
        match &self.output {
            Output::Standard => {
                let run = self.prepare(progress, signals)?;
                let writer = BufWriter::new(io::stdout().lock());
                run.into_sink(&mut JsonlSink::new(writer, "standard output"))
            }
            Output::JsonLines(path) => {
                let file = create(path, signals)?;
                let run = self.prepare(progress, signals)?;
                let mut sink = JsonlSink::new(file, path.display().to_string());
                run.into_sink(&mut sink)?;
                Ok(sink.into_inner().commit()?)
            }
            Output::Npy(path) => {
                let file = create(path, signals)?;
                let run = self.prepare(progress, signals)?;
                let mut sink = NpySink::new(file, run.encoder.width(), path.display().to_string())?;
                run.into_sink(&mut sink)?;
                Ok(sink.into_inner().commit()?)
            }
        }
    }

    /// Makes sure that every input is there, before anything is made or fetched.
    fn check_inputs(&self) -> anyhow::Result<()> {
        let nothing = MemoryPool::builder().build_bounded(0);
        Source::open(self.inputs(), &nothing)?;
        Ok(())
    }

    fn inputs(&self) -> Vec<(Input, Format)> {
        let format = |path: &PathBuf| match (&self.field, path.extension().and_then(|e| e.to_str())) {
            (Some(field), _) => Format::JsonLines { field: field.as_str().into() },
            (None, Some("jsonl" | "ndjson")) if self.by.is_none() => {
                Format::JsonLines { field: DEFAULT_FIELD.into() }
            }
            _ => Format::Text(self.by.map_or(Split::Line, Split::from)),
        };
        self.inputs.iter().map(|path| (Input::from(path.clone()), format(path))).collect()
    }

    fn prepare(&self, progress: Progress, signals: &Signals) -> anyhow::Result<Run> {
        let directory = match &self.model {
            Some(directory) => directory.clone(),
            None => Cache::of_user()?.model(&mut |event| progress.fetching(&event))?,
        };
        let unusable = || format!("cannot use the model in {}", directory.display());
        let threads = self.threads.unwrap_or_else(processors);
        let pool = self.pool(&directory, threads).with_context(unusable)?;
        let encoder = Encoder::open(&directory, self.precision.into(), &pool).with_context(unusable)?;
        let pipeline = Pipeline::new(&encoder, threads, &pool)?;
        let source = Source::open(self.inputs(), pipeline.source_pool())?;
        Ok(Run { source, pipeline, encoder, progress, signals: signals.clone() })
    }

    /// The pool that everything is rented from.
    fn pool(&self, model: &Path, threads: NonZeroUsize) -> anyhow::Result<BoundedPool> {
        let least = Pipeline::least_memory(model, self.precision.into(), threads)?;
        let budget = match self.memory {
            Some(size) if size.0 < least => {
                return Err(EmbedError::BudgetTooSmall { budget: size.0, least }.into());
            }
            Some(size) => size.0,
            None => least.saturating_add(TEXT),
        };
        Ok(MemoryPool::builder().build_bounded(budget))
    }
}

/// Everything that a run needs but its sink.
struct Run {
    source: Source,
    pipeline: Pipeline,
    encoder: Encoder,
    progress: Progress,
    signals: Signals,
}

impl Run {
    fn into_sink(mut self, sink: &mut dyn Sink) -> anyhow::Result<()> {
        let skipped = self.source.skipped();
        self.progress.start(self.source.total_bytes());
        let progress = &self.progress;
        let cancel = self.signals.cancel();
        let summary =
            self.pipeline.run(self.source, sink, &cancel, &mut |summary| progress.update(summary))?;
        // Relaxed: a statistic, and the thread that counted has ended.
        progress.finish(&summary, skipped.load(Ordering::Relaxed));
        Ok(())
    }
}

fn create(path: &Path, signals: &Signals) -> anyhow::Result<OutputFile> {
    let file = OutputFile::create(path)?;
    signals.remove_at_exit(file.temporary());
    Ok(file)
}

fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
