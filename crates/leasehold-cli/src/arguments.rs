//! The command line, the single source of its help.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
use leasehold_pipeline::Split;

use crate::{output::OutputFormat, size::Size};

/// Turns text into embeddings on this machine.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Embed(Embed),
}

const EMBED_EXAMPLES: &str = "\
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
/// Input is UTF-8; a byte that is not is an error which names its place. Blank lines and blank fields are
/// skipped. The output file appears when it is whole, never before.
#[derive(Args, Debug)]
#[command(after_help = EMBED_EXAMPLES)]
pub(crate) struct Embed {
    /// Files, directories, quoted patterns, or - for standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,

    /// The field of each JSON object, the column of CSV, TSV and Parquet that is embedded; "text" by default.
    ///
    /// Files without one of these endings, and standard input, are read as JSON lines then.
    #[arg(long, value_name = "NAME", conflicts_with = "by")]
    pub(crate) field: Option<String>,

    /// What of a text file is embedded as one; line by default. Reads everything but Parquet as text.
    #[arg(long, value_name = "UNIT")]
    pub(crate) by: Option<By>,

    /// How to read every input, whatever its ending.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) from: Option<InputFormat>,

    /// Where to write: a file in .jsonl, .npy, .parquet, .arrow, .feather or .arrows, or - for standard output.
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    pub(crate) output: PathBuf,

    /// What to write, whatever the ending; to standard output jsonl by default, and terminal where it is one.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<OutputFormat>,

    /// Cut texts into passages of N tokens, the two special ones counted, so 256 at most with the default model.
    ///
    /// Passages are whole words. Each is embedded and written on its own, with the line at which it starts.
    #[arg(long, value_name = "N")]
    pub(crate) window: Option<usize>,

    /// Begin each passage with up to M tokens of the one before.
    #[arg(long, value_name = "M", requires = "window", default_value_t = 0)]
    pub(crate) overlap: usize,

    /// Go on where an earlier run of the same command was ended, be it by Ctrl-C, kill -9 or a full disk.
    ///
    /// Until the output is whole it grows in PATH.part, and PATH.part.state says how far it is. Both stay when the
    /// run is ended. The next run must have the same inputs, model and options, and reads the inputs again, without
    /// embedding them again; - for standard input must be given the same text again. Parquet and .arrow
    /// are made of the part at the end, so both need room on the disk then. Works for every format but terminal.
    #[arg(long)]
    pub(crate) resume: bool,

    /// Directory of the model: config.json, tokenizer.json and model.safetensors of a BERT encoder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,

    /// How exactly the model computes; fewer bits need less memory and time.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub(crate) precision: Precision,

    /// Number of threads that run the model; as many as there are processors by default.
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// The most memory for weights, activations, vectors and text, such as 256MiB or 1G; by default what model and threads
    /// need, and 128 MiB for text.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
}

impl Embed {
    /// What is written; ends the program where the arguments contradict each other.
    pub(crate) fn output_format(&self) -> OutputFormat {
        let contradiction = match (self.from, self.by) {
            (Some(from), Some(_)) if from != InputFormat::Text => {
                Some("--by is for text, not for other formats")
            }
            (Some(InputFormat::Text), None) if self.field.is_some() => Some("text has no fields for --field"),
            _ if self.resume && self.output == Path::new("-") => {
                Some("standard output cannot be resumed; name a file with --output")
            }
            _ => None,
        };
        let format = contradiction.map_or(Ok(()), |message| Err(message.to_owned()));
        let format = format.and_then(|()| OutputFormat::of(&self.output, self.format));
        format.unwrap_or_else(|message| {
            let mut program = Arguments::command();
            program.build();
            let mut embed = program.find_subcommand("embed").cloned().unwrap_or(program);
            embed.error(ErrorKind::ValueValidation, message).exit()
        })
    }
}

/// What of a text file is embedded as one.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    /// Each line.
    Line,
    /// Each run of lines between blank ones.
    Paragraph,
    /// Each file as a whole.
    File,
}

impl From<By> for Split {
    fn from(by: By) -> Self {
        match by {
            By::Line => Self::Line,
            By::Paragraph => Self::Paragraph,
            By::File => Self::File,
        }
    }
}

/// How inputs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// Plain text, separated as --by says.
    Text,
    /// A JSON object per line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// Parquet; not from standard input.
    Parquet,
}

/// How exactly the model computes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Precision {
    /// The reference.
    F32,
    /// Half the memory; cosine to f32 at least 0.9999.
    Bf16,
    /// Half the memory, and faster on most processors; cosine to f32 at least 0.9999.
    Int16,
    /// The fastest, a third of the memory; cosine to f32 at least 0.998.
    Int8,
}

impl From<Precision> for leasehold_pipeline::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
            Precision::Int16 => Self::Int16,
            Precision::Int8 => Self::Int8,
        }
    }
}
