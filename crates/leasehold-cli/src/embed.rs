//! `leasehold embed`.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
};

use clap::Args;

use crate::{
    arguments::contradiction,
    computing::Computing,
    inputs::Inputs,
    output::{OutputFormat, Target},
    progress::{Progress, Skipped},
    signals::Signals,
};

const EXAMPLES: &str = "\
Examples:
  leasehold embed notes.txt --output notes.npy
  leasehold embed --by paragraph book.txt --output book.jsonl
  leasehold embed --field body posts.jsonl --output posts.npy
  leasehold embed --field title news.csv.zst more.parquet --output news.parquet
  leasehold embed src 'docs/**/*.md' --by file --output tree.arrow
  journalctl -f | leasehold embed - --format arrows | ./consumer

Exit status:
  0    everything was embedded and written
  1    something failed; standard error says what, and no output file was made or changed
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
/// Input is UTF-8; a byte that is not is an error which names its place. Blank lines and blank fields are
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

    #[command(flatten)]
    computing: Computing,
}

impl Embed {
    /// Embeds every input. What can be wrong is looked at from cheap to dear: arguments, inputs, output, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<ExitCode> {
        let format = OutputFormat::of(&self.output, self.format);
        let format = format.unwrap_or_else(|message| contradiction(&message));
        self.inputs.check()?;
        let on_terminal = self.output == Path::new("-") && io::stdout().is_terminal();
        let mut progress = Progress::new(on_terminal);
        let mut target = Target::open(&self.output, signals)?;
        let machine = self.computing.prepare(&progress)?;
        let mut source = self.inputs.open(machine.pipeline.source_pool())?;
        source.leave_out(&self.output);
        let (skipped, skipped_files) = (source.skipped(), source.skipped_files());
        progress.start(source.total_bytes(), &machine.pipeline);
        let mut sink = format.sink(&mut target, machine.encoder.width())?;
        let cancel = signals.cancel();
        let update = &mut |summary: &_| progress.update(summary);
        let summary = machine.pipeline.run(source, &mut *sink, &cancel, update)?;
        drop(sink);
        // Relaxed: statistics, and the thread that counted has ended.
        let skipped =
            Skipped { blank: skipped.load(Ordering::Relaxed), files: skipped_files.load(Ordering::Relaxed) };
        progress.finish(&summary, skipped);
        target.commit()?;
        Ok(ExitCode::SUCCESS)
    }
}
