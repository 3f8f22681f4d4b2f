//! `leasehold embed`.

use std::{
    fs::{self, File},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use leasehold_pipeline::{Job, Resume, Sink, Source, replay};

use crate::{
    arguments::contradiction,
    computing::{Computing, Machine},
    inputs::{self, Inputs, Mending},
    output::{OutputFormat, Target},
    progress::Progress,
    signals::Signals,
};

/// Name of the command.
const NAME: &str = "embed";

const EXAMPLES: &str = "\
Examples:
  leasehold embed notes.txt --output notes.npy
  leasehold embed --by paragraph book.txt --output book.jsonl
  leasehold embed --field body posts.jsonl --output posts.npy
  leasehold embed --field title news.csv.zst more.parquet --output news.parquet
  leasehold embed src 'docs/**/*.md' --by file --output tree.arrow
  leasehold embed --by file --window 128 --overlap 32 books --output books.npy --resume
  journalctl -f | leasehold embed - --format arrows | ./consumer

Exit status:
  0    everything was embedded and written
  1    something failed; standard error says what, and no output file was made or changed; with
       --resume, what was done is kept in PATH.part
  2    the command line was wrong
  130  interrupted with Ctrl-C (128 and the signal's number)
  141  the reader of standard output has gone

Environment:
  LEASEHOLD_CACHE  where the model is kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache";

/// Embeds text: one unit vector per line, paragraph, file, or row of a table, in the order of the input.
///
/// The model is all-MiniLM-L6-v2, fetched on first use. Its vectors have 384 values and are the mean over
/// the tokens, scaled to length one. Of each text the first 256 tokens count.
///
/// Files are read as their ending says: JSON lines (.jsonl, .ndjson), CSV (.csv), TSV (.tsv), Parquet (.parquet),
/// else text. Of a directory all files are read that are text, in the order of their names, but for hidden ones and
/// those that version control ignores; quote a pattern such as '**/*.md' to have it matched here. Gzip and zstd are
/// decompressed on the way.
///
/// Input is UTF-8; a byte that is not is an error which names its place, unless --invalid says otherwise. Blank lines and blank fields are
/// skipped. The output file appears when it is whole, never before.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Embed {
    #[command(flatten)]
    inputs: Inputs,

    /// Where to write: a file in .jsonl, .npy, .parquet, .arrow, .feather or .arrows, or - for standard output.
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,

    /// What to write, whatever the ending; to standard output jsonl by default, and terminal where it is one.
    #[arg(long, value_name = "FORMAT")]
    format: Option<OutputFormat>,

    /// Go on where an earlier run of the same command was ended, be it by Ctrl-C, kill -9 or a full disk.
    ///
    /// Until the output is whole it grows in PATH.part, and PATH.part.state says how far it is. Both stay when the
    /// run is ended. The next run must have the same inputs, model and options, and reads the inputs again, without
    /// embedding them again; - for standard input must be given the same text again. Parquet and .arrow
    /// are made of the part at the end, so both need room on the disk then. Works for every format but terminal.
    #[arg(long)]
    resume: bool,

    #[command(flatten)]
    computing: Computing,
}

impl Embed {
    /// Embeds every input. What can be wrong is looked at from cheap to dear: arguments, inputs, output, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<ExitCode> {
        if self.resume && self.output == Path::new("-") {
            contradiction(NAME, "standard output cannot be resumed; name a file with --output");
        }
        let format = OutputFormat::of(&self.output, self.format);
        let format = format.unwrap_or_else(|message| contradiction(NAME, &message));
        self.inputs.check(NAME)?;
        let on_terminal = self.output == Path::new("-") && io::stdout().is_terminal();
        let progress = Progress::new(on_terminal);
        if self.resume {
            return self.run_resumable(format, progress, signals);
        }
        let mut target = Target::open(&self.output, signals)?;
        let run = self.prepare(0, progress, signals)?;
        let mut sink = format.sink(&mut target, run.machine.encoder.width(), 0)?;
        run.into_sink(&mut *sink)?;
        drop(sink);
        target.commit()?;
        Ok(ExitCode::SUCCESS)
    }

    /// As [`run`](Self::run), going on where an earlier run was ended.
    fn run_resumable(
        &self,
        format: OutputFormat,
        progress: Progress,
        signals: &Signals,
    ) -> anyhow::Result<ExitCode> {
        let directory = self.computing.directory(&progress)?;
        let (file, resume) = Resume::open(&self.output, self.job(&directory, format)?)?;
        let done = resume.documents();
        let mut target = Target::resumed(&self.output, file);
        let run = self.prepare(done, progress, signals)?;
        let width = run.machine.encoder.width();
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
        resume.finish()?;
        Ok(ExitCode::SUCCESS)
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

    /// What the output depends on.
    fn job(&self, model: &Path, format: OutputFormat) -> anyhow::Result<Job> {
        let left_out = self.left_out();
        let left_out: Vec<&Path> = left_out.iter().map(PathBuf::as_path).collect();
        let mut options = self.inputs.options();
        options.push(("--precision", self.computing.precision_name()));
        options.push(("--format", inputs::name(&format)));
        let set = |(name, value): (&str, Option<String>)| value.map(|value| (name.to_owned(), value));
        let options = options.into_iter().filter_map(set).collect();
        let inputs = Source::fingerprint(self.inputs.list(), &left_out)?;
        Ok(Job { inputs, model: Job::model(model)?, options })
    }

    /// What this run writes, and no run should read.
    fn left_out(&self) -> Vec<PathBuf> {
        // What is written through a link grows beside the file that it leads to.
        let output = fs::canonicalize(&self.output).unwrap_or_else(|_| self.output.clone());
        let mut paths = if self.resume { Resume::files(&output).to_vec() } else { Vec::new() };
        paths.push(output);
        paths
    }

    /// Opens everything but the sink, for a run that passes over the first documents.
    fn prepare(&self, done: u64, progress: Progress, signals: &Signals) -> anyhow::Result<Run> {
        let machine = self.computing.prepare(&progress)?;
        let pipeline = self.inputs.cut(machine.pipeline.skip(done))?;
        let mut source = self.inputs.open(pipeline.source_pool())?;
        self.left_out().iter().for_each(|path| source.leave_out(path));
        let mending = self.inputs.mending();
        Ok(Run {
            source,
            mending,
            machine: Machine { pipeline, ..machine },
            progress,
            signals: signals.clone(),
        })
    }
}

/// Everything that a run needs but its sink.
struct Run {
    source: Source,
    mending: Mending,
    machine: Machine,
    progress: Progress,
    signals: Signals,
}

impl Run {
    fn into_sink(mut self, sink: &mut dyn Sink) -> anyhow::Result<()> {
        let pipeline = &self.machine.pipeline;
        self.progress.start(&self.source, self.mending, pipeline);
        let progress = &self.progress;
        let cancel = self.signals.cancel();
        let summary = pipeline.run(self.source, sink, &cancel, &mut |summary| progress.update(summary))?;
        progress.finish(&summary);
        Ok(())
    }
}
