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
    Cache, Encoder, Format, Input, JsonlSink, NpySink, OutputFile, Pipeline, Sink, Source, Split, Summary,
};

use crate::{
    arguments::{Embed, Output},
    progress::Progress,
    signals::Signals,
};

/// Bytes that a run may rent.
const MEMORY: usize = 1 << 30;

/// The field of files that are JSON lines by their ending.
const DEFAULT_FIELD: &str = "text";

impl Embed {
    /// Embeds every input. What can be wrong is looked at from cheap to dear: inputs, output, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<()> {
        let pool = MemoryPool::builder().build_bounded(MEMORY);
        let source = Source::open(self.inputs(), &pool)?;
        let on_terminal = matches!(self.output, Output::Standard) && io::stdout().is_terminal();
        let progress = Progress::new(on_terminal);
        match &self.output {
            Output::Standard => {
                let run = self.prepare(source, &pool, progress, signals)?;
                let writer = BufWriter::new(io::stdout().lock());
                run.into_sink(&mut JsonlSink::new(writer, "standard output"))
            }
            Output::JsonLines(path) => {
                let file = create(path, signals)?;
                let run = self.prepare(source, &pool, progress, signals)?;
                let mut sink = JsonlSink::new(file, path.display().to_string());
                run.into_sink(&mut sink)?;
                Ok(sink.into_inner().commit()?)
            }
            Output::Npy(path) => {
                let file = create(path, signals)?;
                let run = self.prepare(source, &pool, progress, signals)?;
                let mut sink = NpySink::new(file, run.encoder.width(), path.display().to_string())?;
                run.into_sink(&mut sink)?;
                Ok(sink.into_inner().commit()?)
            }
        }
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

    fn prepare(
        &self,
        source: Source,
        pool: &BoundedPool,
        progress: Progress,
        signals: &Signals,
    ) -> anyhow::Result<Run> {
        let directory = match &self.model {
            Some(directory) => directory.clone(),
            None => Cache::of_user()?.model(&mut |event| progress.fetching(&event))?,
        };
        let encoder = Encoder::open(&directory, self.precision.into(), pool)
            .with_context(|| format!("cannot use the model in {}", directory.display()))?;
        let threads = self.threads.unwrap_or_else(processors);
        Ok(Run { source, pool: pool.clone(), encoder, threads, progress, signals: signals.clone() })
    }
}

/// Everything that a run needs but its sink.
struct Run {
    source: Source,
    pool: BoundedPool,
    encoder: Encoder,
    threads: NonZeroUsize,
    progress: Progress,
    signals: Signals,
}

impl Run {
    fn into_sink(mut self, sink: &mut dyn Sink) -> anyhow::Result<()> {
        let pipeline = Pipeline {
            encoder: &self.encoder,
            pool: &self.pool,
            threads: self.threads,
            cancel: self.signals.cancel(),
        };
        let skipped = self.source.skipped();
        self.progress.start(self.source.total_bytes());
        let progress = &self.progress;
        let summary: Summary = pipeline.run(self.source, sink, &mut |summary| progress.update(summary))?;
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
