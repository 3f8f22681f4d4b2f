//! The command line, the single source of its help.

use std::{fs, num::NonZeroUsize, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use leasehold_pipeline::Split;

use crate::size::Size;

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
  zcat log.gz | leasehold embed - | head

Exit status:
  0    everything was embedded and written
  1    something failed; standard error says what, and no output file was made or changed
  2    the command line was wrong
  130  interrupted with Ctrl-C (128 and the signal's number)
  141  the reader of standard output has gone

Environment:
  LEASEHOLD_CACHE  where the model is kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache";

/// Embeds text: one unit vector per line, paragraph or JSON object, in the order of the input.
///
/// The model is all-MiniLM-L6-v2, fetched on first use. Its vectors have 384 values and are the mean over
/// the tokens, scaled to length one. Of each text the first 256 tokens count.
///
/// Input is UTF-8; a byte that is not is an error which names its place. Blank lines and blank fields are
/// skipped. The output file appears when it is whole, never before.
#[derive(Args, Debug)]
#[command(after_help = EMBED_EXAMPLES)]
pub(crate) struct Embed {
    /// Text files, JSON lines (by the ending .jsonl or .ndjson, or with --field), or - for standard input.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Read every input as JSON lines and embed this field of each object; "text" for files in .jsonl.
    #[arg(long, value_name = "NAME", conflicts_with = "by")]
    pub(crate) field: Option<String>,

    /// What of a text file is embedded as one; line by default.
    #[arg(long, value_name = "UNIT")]
    pub(crate) by: Option<By>,

    /// Where to write: a file in .jsonl or .npy, or - for JSON lines on standard output.
    #[arg(long, short, value_name = "PATH", default_value = "-", value_parser = output)]
    pub(crate) output: Output,

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

/// What of a text file is embedded as one.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    /// Each line.
    Line,
    /// Each run of lines between blank ones.
    Paragraph,
}

impl From<By> for Split {
    fn from(by: By) -> Self {
        match by {
            By::Line => Self::Line,
            By::Paragraph => Self::Paragraph,
        }
    }
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

/// Where embeddings go, and how they are written there.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Standard,
    JsonLines(PathBuf),
    Npy(PathBuf),
}

fn output(text: &str) -> Result<Output, String> {
    let path = PathBuf::from(text);
    if text == "-" {
        return Ok(Output::Standard);
    }
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => Ok(Output::Npy(path)),
        Some("jsonl" | "ndjson") => Ok(Output::JsonLines(path)),
        // Devices and named pipes have no endings.
        _ if fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) => {
            Ok(Output::JsonLines(path))
        }
        _ => Err("the ending says what to write, so it must be .jsonl or .npy".to_owned()),
    }
}
