//! `leasehold embed`.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IsTerminal},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
};

use anyhow::Context;
use clap::ValueEnum;
use leasehold::{BoundedPool, MemoryPool};
use leasehold_pipeline::{
    Cache, EmbedError, Encoder, Format, Input, Job, Pipeline, Resume, Sink, Source, Split, Windows, replay,
};

use crate::{
    arguments::{Embed, InputFormat},
    output::{OutputFormat, Target},
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
        if self.resume {
            return self.run_resumable(format, progress, signals);
        }
        let mut target = Target::open(&self.output, signals)?;
        let directory = self.model_directory(&progress)?;
        let run = self.prepare(&directory, 0, progress, signals)?;
        let mut sink = format.sink(&mut target, run.encoder.width(), 0)?;
        run.into_sink(&mut *sink)?;
        drop(sink);
        Ok(target.commit()?)
    }

    /// As [`run`](Self::run), going on where an earlier run was ended.
    fn run_resumable(
        &self,
        format: OutputFormat,
        progress: Progress,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let directory = self.model_directory(&progress)?;
        let (file, resume) = Resume::open(&self.output, self.job(&directory, format)?)?;
        let done = resume.documents();
        let mut target = Target::resumed(&self.output, file);
        let run = self.prepare(&directory, done, progress, signals)?;
        let width = run.encoder.width();
        let mut sink = format.growing().sink(&mut target, width, done)?;
        let mut resumable = resume.sink(&mut *sink)?;
        if let Err(error) = run.into_sink(&mut resumable) {
            // What cannot be noted is done again; the reason for the end is what matters.
            let _ = resumable.save();
            return Err(error);
        }
        let resume = resumable.into_resume();
        drop(sink);
        if format.growing() == format {
            target.commit()?;
        } else {
            self.turn_into(format, width, signals)?;
        }
        Ok(resume.finish()?)
    }

    /// Makes the output of the stream that a part is, in a format that cannot grow itself.
    fn turn_into(&self, format: OutputFormat, width: usize, signals: &Signals) -> anyhow::Result<()> {
        let output = fs::canonicalize(&self.output).unwrap_or_else(|_| self.output.clone());
        let [part, _] = Resume::files(&output);
        let name = part.display().to_string();
        let stream = File::open(&part).with_context(|| format!("cannot open {name}"))?;
        let mut target = Target::open(&output, signals)?;
        let mut sink = format.sink(&mut target, width, 0)?;
        replay(stream, &name, &mut *sink)?;
        drop(sink);
        target.commit()?;
        fs::remove_file(&part).with_context(|| format!("cannot remove {name}"))
    }

    /// Makes sure that every input is there, before anything is made or fetched.
    fn check_inputs(&self) -> anyhow::Result<()> {
        let nothing = MemoryPool::builder().build_bounded(0);
        Source::open(self.inputs(), &nothing)?;
        Ok(())
    }

    fn inputs(&self) -> Vec<(Input, Format)> {
        let format = self.input_format();
        self.inputs.iter().map(|path| (Input::from(path.clone()), format.clone())).collect()
    }

    fn input_format(&self) -> Format {
        let field = self.field.as_deref().map(Arc::from);
        let named = || field.clone().unwrap_or_else(|| DEFAULT_FIELD.into());
        match self.from {
            None => Format::ByEnding { split: self.by.map(Split::from), field },
            Some(InputFormat::Text) => Format::Text(self.by.map_or(Split::Line, Split::from)),
            Some(InputFormat::Jsonl) => Format::JsonLines { field: named() },
            Some(InputFormat::Csv) => Format::Csv { field: named(), delimiter: b',' },
            Some(InputFormat::Tsv) => Format::Csv { field: named(), delimiter: b'\t' },
            Some(InputFormat::Parquet) => Format::Parquet { column: named() },
        }
    }

    /// What the output depends on.
    fn job(&self, model: &Path, format: OutputFormat) -> anyhow::Result<Job> {
        let left_out = self.left_out();
        let left_out: Vec<&Path> = left_out.iter().map(PathBuf::as_path).collect();
        let name =
            |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
        let options = [
            ("--from", self.from.and_then(|from| name(from.to_possible_value()))),
            ("--field", self.field.clone()),
            ("--by", self.by.and_then(|by| name(by.to_possible_value()))),
            ("--window", self.window.map(|window| window.to_string())),
            ("--overlap", (self.overlap > 0).then(|| self.overlap.to_string())),
            ("--precision", name(self.precision.to_possible_value())),
            ("--format", name(format.to_possible_value())),
        ];
        let options: BTreeMap<_, _> = options
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
            .collect();
        let inputs = Source::fingerprint(self.inputs(), &left_out)?;
        Ok(Job { inputs, model: Job::model(model)?, options })
    }

    /// What this run writes, and no run should read.
    fn left_out(&self) -> Vec<PathBuf> {
        let mut paths = vec![self.output.clone()];
        if self.resume {
            paths.extend(Resume::files(&self.output));
        }
        paths
    }

    fn model_directory(&self, progress: &Progress) -> anyhow::Result<PathBuf> {
        match &self.model {
            Some(directory) => Ok(directory.clone()),
            None => Ok(Cache::of_user()?.model(&mut |event| progress.fetching(&event))?),
        }
    }

    /// Opens everything but the sink, for a run that passes over the first documents.
    fn prepare(&self, model: &Path, done: u64, progress: Progress, signals: &Signals) -> anyhow::Result<Run> {
        let unusable = || format!("cannot use the model in {}", model.display());
        let threads = self.threads.unwrap_or_else(processors);
        let pool = self.pool(model, threads).with_context(unusable)?;
        let encoder = Encoder::open(model, self.precision.into(), &pool).with_context(unusable)?;
        let mut pipeline = Pipeline::new(&encoder, threads, &pool)?.skip(done);
        if let Some(tokens) = self.window {
            let format = self.input_format();
            let windows = Windows::new(&encoder, tokens, self.overlap)?
                .lines_where(move |place| matches!(format.of(&place.path), Format::Text(_)));
            pipeline = pipeline.windows(windows);
        }
        let mut source = Source::open(self.inputs(), pipeline.source_pool())?;
        self.left_out().iter().for_each(|path| source.leave_out(path));
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
