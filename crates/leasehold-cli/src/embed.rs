//! `leasehold embed`.

use std::{
    io::{self, IsTerminal},
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
};

use anyhow::Context;
use leasehold::{BoundedPool, MemoryPool};
use leasehold_pipeline::{Cache, EmbedError, Encoder, Format, Input, Pipeline, Sink, Source, Split};

use crate::{
    arguments::{Embed, InputFormat},
    output::Target,
    progress::{Progress, Skipped},
    signals::Signals,
};

/// The field of inputs that have fields, where none is named.
const DEFAULT_FIELD: &str = "text";

/// Bytes for text, where the budget is not given.
const TEXT: usize = 128 << 20;

impl Embed {
    /// Embeds every input. What can be wrong is looked at from cheap to dear: arguments, inputs, output, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<()> {
        let format = self.output_format();
        self.check_inputs()?;
        let on_terminal = self.output == Path::new("-") && io::stdout().is_terminal();
        let progress = Progress::new(on_terminal);
        let mut target = Target::open(&self.output, signals)?;
        let run = self.prepare(progress, signals)?;
        let mut sink = format.sink(&mut target, run.encoder.width())?;
        run.into_sink(&mut *sink)?;
        drop(sink);
        Ok(target.commit()?)
    }

    /// Makes sure that every input is there, before anything is made or fetched.
    fn check_inputs(&self) -> anyhow::Result<()> {
        let nothing = MemoryPool::builder().build_bounded(0);
        Source::open(self.inputs(), &nothing)?;
        Ok(())
    }

    fn inputs(&self) -> Vec<(Input, Format)> {
        let field = self.field.as_deref().map(Arc::from);
        let named = || field.clone().unwrap_or_else(|| DEFAULT_FIELD.into());
        let format = match self.from {
            None => Format::ByEnding { split: self.by.map(Split::from), field },
            Some(InputFormat::Text) => Format::Text(self.by.map_or(Split::Line, Split::from)),
            Some(InputFormat::Jsonl) => Format::JsonLines { field: named() },
            Some(InputFormat::Csv) => Format::Csv { field: named(), delimiter: b',' },
            Some(InputFormat::Tsv) => Format::Csv { field: named(), delimiter: b'\t' },
            Some(InputFormat::Parquet) => Format::Parquet { column: named() },
        };
        self.inputs.iter().map(|path| (Input::from(path.clone()), format.clone())).collect()
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
        let mut source = Source::open(self.inputs(), pipeline.source_pool())?;
        source.leave_out(&self.output);
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
        let (skipped, skipped_files) = (self.source.skipped(), self.source.skipped_files());
        self.progress.start(self.source.total_bytes());
        let progress = &self.progress;
        let cancel = self.signals.cancel();
        let summary =
            self.pipeline.run(self.source, sink, &cancel, &mut |summary| progress.update(summary))?;
        // Relaxed: a statistic, and the thread that counted has ended.
        let skipped =
            Skipped { blank: skipped.load(Ordering::Relaxed), files: skipped_files.load(Ordering::Relaxed) };
        progress.finish(&summary, skipped);
        Ok(())
    }
}

fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
