//! Where embeddings go, and how they are written there.

use std::{
    fs,
    io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Stdout, Write},
    path::Path,
};

use clap::ValueEnum;
use leasehold_pipeline::{
    ArrowSink, JsonlSink, NpySink, OutputFile, ParquetSink, Sink, SinkError, TerminalSink,
};

use crate::signals::Signals;

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// How embeddings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A JSON object per line: {"text": .., "source": {"path": .., "line": ..}, "embedding": [..]}.
    Jsonl,
    /// A NumPy array of f32, a row per text; not to standard output.
    Npy,
    /// Parquet with the columns path, line, text and embedding.
    Parquet,
    /// An Arrow IPC file, also called Feather, with the same columns.
    Arrow,
    /// An Arrow IPC stream, whose batches can be read as they come.
    Arrows,
    /// A line per text for people; what standard output gets when it is a terminal.
    Terminal,
}

impl OutputFormat {
    /// The format that was asked for, or the one that the output's ending says; an error for a person otherwise.
    pub(crate) fn of(output: &Path, asked: Option<Self>) -> Result<Self, String> {
        let standard = output == Path::new("-");
        let format = match asked {
            Some(format) => format,
            None if standard && io::stdout().is_terminal() => Self::Terminal,
            None if standard => Self::Jsonl,
            None => Self::of_ending(output)?,
        };
        if standard && format == Self::Npy {
            return Err("npy cannot be written to standard output; name a file with --output".to_owned());
        }
        let readable = matches!(format, Self::Jsonl | Self::Terminal);
        if standard && !readable && io::stdout().is_terminal() {
            return Err("a terminal cannot show this format; name a file with --output".to_owned());
        }
        Ok(format)
    }

    fn of_ending(output: &Path) -> Result<Self, String> {
        match output.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("npy") => Ok(Self::Npy),
            Some("parquet") => Ok(Self::Parquet),
            Some("arrow" | "feather") => Ok(Self::Arrow),
            Some("arrows") => Ok(Self::Arrows),
            // Devices and named pipes have no endings.
            _ if fs::metadata(output).is_ok_and(|found| !found.is_file() && !found.is_dir()) => {
                Ok(Self::Jsonl)
            }
            _ => Err(format!(
                "the ending of {} does not say what to write: use .jsonl, .npy, .parquet, .arrow, .feather or .arrows, \
                 or --format",
                output.display()
            )),
        }
    }

    /// How the part of an output grows that may take several runs: as itself where its format allows that.
    pub(crate) fn growing(self) -> Self {
        match self {
            Self::Parquet | Self::Arrow => Self::Arrows,
            other => other,
        }
    }

    /// Writes vectors of `width` values to `target`, which has so many already.
    pub(crate) fn sink(
        self,
        target: &mut Target,
        width: usize,
        rows: u64,
    ) -> Result<Box<dyn Sink + '_>, SinkError> {
        let name = target.name.clone();
        Ok(match self {
            Self::Npy if rows > 0 => Box::new(NpySink::resume(target, width, rows, name)),
            Self::Arrows if rows > 0 => Box::new(ArrowSink::resume_stream(target, width, name)?),
            Self::Jsonl => Box::new(JsonlSink::new(target, name)),
            Self::Npy => Box::new(NpySink::new(target, width, name)?),
            Self::Parquet => Box::new(ParquetSink::new(target, width, name)?),
            Self::Arrow => Box::new(ArrowSink::file(target, width, name)?),
            Self::Arrows => Box::new(ArrowSink::stream(target, width, name)?),
            Self::Terminal => {
                let columns = terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| width.0.into());
                Box::new(TerminalSink::new(target, columns, name))
            }
        })
    }
}

/// Standard output, or a file that appears when it is whole.
pub(crate) struct Target {
    /// What errors call it.
    name: String,
    writer: Writer,
}

enum Writer {
    Standard(BufWriter<Stdout>),
    File(OutputFile),
}

impl Target {
    /// Opens the file at that path, or standard output for `-`.
    pub(crate) fn open(path: &Path, signals: &Signals) -> Result<Self, SinkError> {
        if path == Path::new("-") {
            let writer = Writer::Standard(BufWriter::new(io::stdout()));
            return Ok(Self { name: "standard output".to_owned(), writer });
        }
        let file = OutputFile::create(path)?;
        signals.remove_at_exit(file.temporary());
        Ok(Self { name: path.display().to_string(), writer: Writer::File(file) })
    }

    /// A file that an earlier run may have begun, and that a later one may go on with.
    pub(crate) fn resumed(path: &Path, file: OutputFile) -> Self {
        Self { name: path.display().to_string(), writer: Writer::File(file) }
    }

    /// Gives the file its name; what it is must be whole.
    pub(crate) fn commit(self) -> Result<(), SinkError> {
        match self.writer {
            // The sink has flushed it.
            Writer::Standard(_) => Ok(()),
            Writer::File(file) => file.commit(),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Writer::Standard(writer) => writer.write(bytes),
            Writer::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Writer::Standard(writer) => writer.flush(),
            Writer::File(file) => file.flush(),
        }
    }
}

impl Seek for Target {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match &mut self.writer {
            Writer::Standard(_) => Err(io::ErrorKind::NotSeekable.into()),
            Writer::File(file) => file.seek(position),
        }
    }
}
