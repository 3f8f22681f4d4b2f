//! What every command that reads many inputs lets its user choose: which, and how they separate into texts.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueEnum};
use leasehold::{BoundedPool, MemoryPool};
use leasehold_pipeline::{Access, EmbedError, Format, Input, Pipeline, Source, SourceError, Split, Windows};

use crate::arguments::contradiction;

/// The field of inputs that have fields, where none is named.
const DEFAULT_FIELD: &str = "text";

/// Inputs, and how they are read.
#[derive(Args, Debug)]
pub(crate) struct Inputs {
    /// Files, directories, quoted patterns, or - for standard input.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// The field of each JSON object, the column of CSV, TSV and Parquet that is read; "text" by default.
    ///
    /// Files without one of these endings, and standard input, are read as JSON lines then.
    #[arg(long, value_name = "NAME", conflicts_with = "by")]
    field: Option<String>,

    /// What of a text file is one text; line by default. Reads everything but Parquet as text.
    #[arg(long, value_name = "UNIT")]
    by: Option<By>,

    /// How to read every input, whatever its ending.
    #[arg(long, value_name = "FORMAT")]
    from: Option<InputFormat>,

    /// Cut texts into passages of N tokens, the two special ones counted, so 256 at most with the default model.
    ///
    /// Passages are whole words. Each counts as a text of its own, with the line at which it starts.
    #[arg(long, value_name = "N")]
    window: Option<usize>,

    /// Begin each passage with up to M tokens of the one before.
    #[arg(long, value_name = "M", requires = "window", default_value_t = 0)]
    overlap: usize,

    #[command(flatten)]
    mending: Mending,

    #[command(flatten)]
    mapping: Mapping,
}

/// Whether files are mapped.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Mapping {
    /// Read text files instead of mapping them: if one is cut meanwhile, as some logs are, that is an error and does not end the
    /// program. Files that were changed within the last minute are read in any case.
    ///
    /// A text may have a quarter of the memory for text then.
    #[arg(long)]
    no_map: bool,
}

impl Mapping {
    /// Has the source do so.
    pub(crate) fn of(self, mut source: Source) -> Source {
        source.access(if self.no_map { Access::Read } else { Access::MapQuiet });
        source
    }
}

/// What becomes of text that is not UTF-8.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Mending {
    /// What to do with a text that is not UTF-8: a line, a JSON object, a field; how many there were is said at the end.
    #[arg(long, value_name = "HOW", default_value = "error")]
    invalid: Invalid,
}

impl Mending {
    /// Has the source do it.
    pub(crate) fn of(self, mut source: Source) -> Source {
        source.treat_invalid(match self.invalid {
            Invalid::Error => leasehold_pipeline::Invalid::Error,
            Invalid::Replace => leasehold_pipeline::Invalid::Replace,
            Invalid::Skip => leasehold_pipeline::Invalid::Skip,
        });
        source
    }

    /// What a user should know of so many texts; `None` where there is nothing to say.
    pub(crate) fn note(self, texts: u64) -> Option<String> {
        let were = if texts == 1 { "1 text was".to_owned() } else { format!("{texts} texts were") };
        match self.invalid {
            _ if texts == 0 => None,
            Invalid::Skip => Some(format!("{were} left out, because of bytes that are not UTF-8")),
            Invalid::Error | Invalid::Replace => {
                Some(format!("{were} not UTF-8; what was wrong has been replaced by U+FFFD"))
            }
        }
    }

    /// The option by its name, where it is given.
    fn option(self) -> (&'static str, Option<String>) {
        let value = name(&self.invalid).filter(|_| self.invalid != Invalid::Error);
        ("--invalid", value)
    }
}

impl Inputs {
    /// Ends the program where the arguments contradict each other, and makes sure that every input is there, before anything
    /// is made or fetched.
    pub(crate) fn check(&self, command: &str) -> Result<(), SourceError> {
        match (self.from, self.by) {
            (Some(from), Some(_)) if from != InputFormat::Text => {
                contradiction(command, "--by is for text, not for other formats");
            }
            (Some(InputFormat::Text), None) if self.field.is_some() => {
                contradiction(command, "text has no fields for --field");
            }
            _ => {}
        }
        self.open(&MemoryPool::builder().build_bounded(0)).map(drop)
    }

    /// Opens them, with blocks of that pool to read into.
    pub(crate) fn open(&self, pool: &BoundedPool) -> Result<Source, SourceError> {
        Source::open(self.list(), pool).map(|source| self.mapping.of(self.mending.of(source)))
    }

    /// What becomes of text that is not UTF-8.
    pub(crate) fn mending(&self) -> Mending {
        self.mending
    }

    /// Has the pipeline cut texts into passages, where that was asked for.
    pub(crate) fn cut(&self, pipeline: Pipeline) -> Result<Pipeline, EmbedError> {
        let Some(tokens) = self.window else { return Ok(pipeline) };
        let format = self.format();
        let windows = Windows::new(pipeline.encoder(), tokens, self.overlap)?
            .lines_where(move |place| matches!(format.of(&place.path), Format::Text(_)));
        Ok(pipeline.windows(windows))
    }

    /// Paths, and how each is read.
    pub(crate) fn list(&self) -> Vec<(Input, Format)> {
        let format = self.format();
        self.inputs.iter().map(|path| (Input::from(path.clone()), format.clone())).collect()
    }

    /// The options that decide about the texts, by name.
    pub(crate) fn options(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("--from", self.from.as_ref().and_then(name)),
            ("--field", self.field.clone()),
            ("--by", self.by.as_ref().and_then(name)),
            ("--window", self.window.map(|window| window.to_string())),
            ("--overlap", (self.overlap > 0).then(|| self.overlap.to_string())),
            self.mending.option(),
        ]
    }

    fn format(&self) -> Format {
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
}

/// What a value is called on the command line.
pub(crate) fn name(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

/// Opens one text, paragraph by paragraph.
pub(crate) fn paragraphs(path: &Path, pool: &BoundedPool) -> Result<Source, SourceError> {
    let format = Format::ByEnding { split: Some(Split::Paragraph), field: None };
    Source::open(vec![(Input::from(path.to_owned()), format)], pool)
}

/// What of a text file is one text.
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

/// What to do with a text that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Invalid {
    /// End with an error that names its place.
    Error,
    /// Replace what is wrong by U+FFFD; places stay those of the input.
    Replace,
    /// Leave it out.
    Skip,
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
