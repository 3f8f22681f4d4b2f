//! `leasehold summarize`.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;
use leasehold::MemoryPool;
use leasehold_pipeline::{Extract, Extracted, Length, Sentence};

use crate::{
    computing::Computing,
    inputs::{Mapping, Mending, paragraphs},
    progress::Progress,
    signals::Signals,
    terminal,
};

/// Sentences of a summary where nothing is said.
const SENTENCES: NonZeroUsize = NonZeroUsize::new(5).expect("five is not zero");

const EXAMPLES: &str = "\
Examples:
  leasehold summarize book.txt
  leasehold summarize report.md --words 120
  leasehold summarize minutes.txt.gz --sentences 3 --json | jq -r .sentence
  man tar | leasehold summarize -

Exit status:
  0    the summary was printed; it is empty where there was no text
  1    something failed; standard error says what
  2    the command line was wrong
  130  interrupted with Ctrl-C (128 and the signal's number)
  141  the reader of standard output has gone

Environment:
  LEASEHOLD_CACHE  where the model is kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache";

/// Summarizes a text: prints those of its sentences that stand for it, in their order.
///
/// A sentence is chosen because it is near to what the text says as a whole, early in it, and unlike the sentences chosen
/// before. Headings, rows of tables and other fragments count a quarter. The text may be of any length, and memory does not
/// grow with it: of more than 2048 sentences every part of the text, from its beginning to its end, has its share of the summary.
/// Nothing is made up, and nothing is rewritten; words that were cut at the end of a line are put together.
///
/// Sentences end where Unicode's rules and common abbreviations say, at blank lines, headings and items of lists. Whatever
/// is not Parquet is read as text, after decompression.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Summarize {
    /// The text, or - for standard input.
    #[arg(value_name = "FILE")]
    input: PathBuf,

    /// How many sentences to print; 5 by default.
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "words")]
    sentences: Option<NonZeroUsize>,

    /// How many words the sentences may have together.
    #[arg(long, value_name = "N")]
    words: Option<NonZeroUsize>,

    /// Prints a JSON object per sentence: {"sentence": .., "path": .., "line": .., "start": .., "end": .., "score": ..}, where
    /// start and end are bytes of the input as it is after decompression.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    mending: Mending,

    #[command(flatten)]
    mapping: Mapping,

    #[command(flatten)]
    computing: Computing,
}

impl Summarize {
    /// Summarizes the input. What can be wrong is looked at from cheap to dear: input, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<ExitCode> {
        drop(paragraphs(&self.input, &MemoryPool::builder().build_bounded(0))?);
        let mut progress = Progress::new(false);
        let machine = self.computing.prepare(&progress)?;
        let source = paragraphs(&self.input, machine.pipeline.source_pool())?;
        let source = self.mapping.of(self.mending.of(source));
        progress.start(&source, self.mending, &machine.pipeline);
        let length = match self.words {
            Some(words) => Length::Words(words.get()),
            None => Length::Sentences(self.sentences.unwrap_or(SENTENCES).get()),
        };
        let update = &mut |summary: &_| progress.update(summary);
        let extracted = Extract { length }.run(&machine.pipeline, source, &signals.cancel(), update)?;
        progress.clear();
        self.check(&extracted)?;
        print(&extracted.sentences, self.json)?;
        Ok(ExitCode::SUCCESS)
    }

    /// That no sentence was short enough is not what was asked for.
    fn check(&self, extracted: &Extracted) -> anyhow::Result<()> {
        if let (true, Some(words), Some(shortest)) =
            (extracted.sentences.is_empty(), self.words, extracted.shortest)
        {
            bail!(
                "no sentence has {words} words or fewer; the shortest has {shortest}, so ask for more with --words"
            );
        }
        Ok(())
    }
}

fn print(sentences: &[Sentence], json: bool) -> io::Result<()> {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let mut out = BufWriter::new(stdout.lock());
    for sentence in sentences {
        if json {
            writeln!(out, "{}", to_json(sentence))?;
        } else if is_terminal {
            writeln!(out, "{}", terminal::on_one_line(&sentence.text))?;
        } else {
            writeln!(out, "{}", sentence.text)?;
        }
    }
    out.flush()
}

fn to_json(sentence: &Sentence) -> serde_json::Value {
    serde_json::json!({
        "sentence": sentence.text,
        "path": sentence.place.path.to_string_lossy(),
        "line": sentence.place.line,
        "start": sentence.place.offset,
        "end": sentence.end,
        "score": sentence.score,
    })
}
