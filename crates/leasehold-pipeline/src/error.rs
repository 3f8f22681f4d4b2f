//! What can go wrong, one type per stage.

use std::{error::Error, fmt, io, path::PathBuf};

use leasehold::RentError;
use thiserror::Error;

use crate::flow::{FlowError, StageError};

/// Input that cannot be read as documents.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory was named where a file belongs.
    #[error("{} is a directory; name the files in it, for example {}/*.txt", path.display(), path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Reading stopped half way.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file, or `-`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that became shorter while it was read; what came before was given.
    #[error("{} was cut while it was read; read a copy of it that nobody writes to", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
    },
    /// Standard input was named more than once.
    #[error("standard input (-) can be read only once, but was named {times} times")]
    StandardInputTwice {
        /// How often.
        times: usize,
    },
    /// Bytes that are not UTF-8.
    #[error(
        "{}:{line}: the byte at offset {offset} is not UTF-8; convert the file first, for example with iconv, or use \
         --invalid replace or --invalid skip",
        path.display()
    )]
    NotUtf8 {
        /// The file, or `-`.
        path: PathBuf,
        /// Line, counted from one.
        line: u64,
        /// Offset of the first wrong byte in the file.
        offset: u64,
    },
    /// A passage or record longer than the source's memory, of a kind that has to be read into memory as a whole.
    #[error(
        "{}:{line}: a passage or record here is longer than {most} bytes; split the input, give it more memory \
         (--memory), or let it be mapped where it is text: as a plain file, without --no-map",
        path.display()
    )]
    TooLong {
        /// The file, or `-`.
        path: PathBuf,
        /// Line or row at which the record starts, counted from one.
        line: u64,
        /// The most that it may have.
        most: usize,
    },
    /// A line that is not a JSON object with the wanted field.
    #[error("{}:{line}: {reason}", path.display())]
    Json {
        /// The file, or `-`.
        path: PathBuf,
        /// Line, counted from one.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A CSV record that cannot be taken apart, or a table without the wanted column.
    #[error("{}:{line}: {reason}", path.display())]
    Csv {
        /// The file, or `-`.
        path: PathBuf,
        /// Line at which the record starts, counted from one.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A Parquet file that cannot be read, or that has not the wanted column.
    #[error("{}: {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Compressed data that is damaged or cut off; every whole record before that place has been given.
    #[error("{}: the compressed data is damaged or cut off behind {offset} bytes of its content", path.display())]
    Compressed {
        /// The file, or `-`.
        path: PathBuf,
        /// Bytes that came out before.
        offset: u64,
        /// What the decoder said.
        source: io::Error,
    },
    /// A directory that cannot be listed, or a pattern that is wrong.
    #[error("cannot list {}: {reason}", path.display())]
    List {
        /// The directory, or the pattern.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A pattern that no file matches.
    #[error("no file matches {}", path.display())]
    NoMatch {
        /// The pattern.
        path: PathBuf,
    },
    /// A format that this build of the library leaves out.
    #[error("cannot read {}: this build has no {what}; build it with the feature {feature:?}", path.display())]
    LeftOut {
        /// The file, or `-`.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// The feature of this crate that brings it.
        feature: &'static str,
    },
    /// The pool has no memory to read the input into.
    #[error("cannot rent memory to read {}", path.display())]
    Memory {
        /// The file, or `-`.
        path: PathBuf,
        /// What the pool said.
        source: RentError,
    },
    /// The file was changed while it was being read.
    #[error("{}:{line}: the file was changed while it was being read; run again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Line, counted from one.
        line: u64,
    },
}

/// A tokenizer that cannot be loaded or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizeError {
    /// `tokenizer.json` is missing or broken.
    #[error("cannot load the tokenizer {}: {reason}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer refused a text.
    #[error("the tokenizer failed: {reason}")]
    Encode {
        /// What it said.
        reason: String,
    },
}

/// A model that cannot be loaded, or a batch that it cannot take.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the model is not there.
    #[error("{} is missing; a model directory needs config.json, tokenizer.json and model.safetensors", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file of the model cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the model is broken.
    #[error("{} is broken: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model is of a kind that is not supported.
    #[error("{} is of a model that is not supported: {reason}", path.display())]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The pool has no room for the weights.
    #[error("the memory budget is too small for the model's weights")]
    Memory(#[from] RentError),
    /// More tokens than the workspace was rented for.
    #[error("a batch of {tokens} tokens does not fit a workspace for {room}")]
    BatchTooLarge {
        /// Tokens in the batch.
        tokens: usize,
        /// Tokens the workspace has room for.
        room: usize,
    },
    /// The output does not have one vector per row.
    #[error("the output holds {length} values where the batch needs {expected}")]
    OutputLength {
        /// Values in the output.
        length: usize,
        /// Values that it should have.
        expected: usize,
    },
    /// A row without tokens or with more than the model takes.
    #[error("row {row} has {length} tokens, not 1 to {most}")]
    RowLength {
        /// Index of the row.
        row: usize,
        /// Its length.
        length: usize,
        /// The most that the model takes.
        most: usize,
    },
    /// A token that the model has not learned: tokenizer and model do not belong together.
    #[error("token {token} is not in the model's vocabulary of {vocabulary}; tokenizer and model differ")]
    UnknownToken {
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
}

/// Output that cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The reader of the output has gone.
    #[error("the reader of {target} has gone")]
    Closed {
        /// The output.
        target: String,
    },
    /// The output cannot be created.
    #[error("cannot create {target}")]
    Create {
        /// The output.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// The format is completed at its beginning, and the output cannot go back there.
    #[error(
        "cannot go back to the beginning of {target}, where an NPY file says how many rows it has; name a file, or write jsonl or arrows"
    )]
    OneWay {
        /// The output.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// What was written for another format to be made of it cannot be read.
    #[error("cannot read {target} back")]
    ReadBack {
        /// What was written.
        target: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Writing failed, for example because the disk is full; what was written has been removed.
    #[error("cannot write {target}")]
    Write {
        /// The output.
        target: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SinkError {
    pub(crate) fn write(target: &str, source: io::Error) -> Self {
        let target = target.to_owned();
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed { target },
            _ => Self::Write { target, source },
        }
    }
}

/// An interrupted run that cannot be gone on with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The target is no file that could grow.
    #[error("{} is not a regular file, so its run cannot be resumed", path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
    },
    /// The format is not one that can be gone on with.
    #[error("this output format cannot be resumed; write .jsonl, .npy or .arrows")]
    Format,
    /// There is a part without a state.
    #[error("{} is in the way: no run that can be resumed has left it; remove or rename it", path.display())]
    Foreign {
        /// The part.
        path: PathBuf,
    },
    /// The state cannot be understood.
    #[error("{} is broken: {reason}; remove it and {} to start anew", state.display(), part.display())]
    Malformed {
        /// The state.
        state: PathBuf,
        /// The part that it tells of.
        part: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The part belongs to a run that did something else.
    #[error(
        "the run that left {} was another one: {difference}; go on with what it had, or remove that file and {} \
         to start anew",
        part.display(), state.display()
    )]
    Different {
        /// The part.
        part: PathBuf,
        /// Its state.
        state: PathBuf,
        /// What differs.
        difference: String,
    },
    /// The part has lost something.
    #[error(
        "{} has {length} bytes where {expected} had been written; remove it and {} to start anew",
        path.display(), state.display()
    )]
    Short {
        /// The part.
        path: PathBuf,
        /// Its state.
        state: PathBuf,
        /// Bytes that it has.
        length: u64,
        /// Bytes that it should have.
        expected: u64,
    },
    /// Another process is writing the part.
    #[error("another run is writing {}", path.display())]
    InUse {
        /// The part.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A model that cannot be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There is no place for a cache.
    #[error("there is no cache directory: none of LEASEHOLD_CACHE, XDG_CACHE_HOME and HOME is set")]
    NoCache,
    /// The cache cannot be written.
    #[error("cannot write to the cache at {}", path.display())]
    Cache {
        /// The directory or file in the cache.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every way to get the model failed.
    #[error(
        "cannot fetch the model {model}: from the hub: {hub}; as the Python package: {package}; \
         connect this machine, or name a directory that has the model"
    )]
    Unreachable {
        /// Name of the model.
        model: &'static str,
        /// Why the hub could not give it.
        hub: String,
        /// Why the package could not.
        package: String,
    },
}

/// A cache of vectors that cannot be used. What was asked for can be computed without it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Its directory or files cannot be opened.
    #[error("cannot open the cache of vectors in {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A vector cannot be added.
    #[error("cannot write to the cache of vectors in {}", path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A turn that cannot be taken into a conversation, or a window that cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The pool has no room for the turn.
    #[error("the memory budget has no room for this turn; forget some or raise the budget")]
    Memory(#[from] RentError),
    /// The tokenizer is at fault.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The mapped file that a text lies in was changed.
    #[error("the text was changed while it was being read")]
    Changed,
    /// The system prompt alone is longer than the window.
    #[error("the system prompt has {tokens} tokens, where the window has room for {room}")]
    SystemTooLong {
        /// Its tokens.
        tokens: usize,
        /// Those that a window may have.
        room: usize,
    },
    /// The latest turn does not fit behind the system prompt.
    #[error(
        "the latest turn has {tokens} tokens, where the window has room for {room} behind the system prompt"
    )]
    TurnTooLong {
        /// Its tokens.
        tokens: usize,
        /// Those that are left for turns.
        room: usize,
    },
}

/// Why a run of the pipeline ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The input is at fault.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The tokenizer is at fault.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The model is at fault.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The output is at fault.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The run cannot go on where an earlier one was ended.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// The pool has no room.
    #[error("the memory budget is too small")]
    Memory(#[from] RentError),
    /// The budget is too small for a run.
    #[error(
        "a memory budget of {} is too small for this model and number of threads; the least that works is {}",
        Exactly(*budget), Mebibytes(*least)
    )]
    BudgetTooSmall {
        /// Bytes of the budget.
        budget: usize,
        /// Bytes that are enough.
        least: usize,
    },
    /// Texts cannot be cut into passages like these.
    #[error("passages of {tokens} tokens with an overlap of {overlap} are not possible: {reason}")]
    Window {
        /// Tokens in a passage.
        tokens: usize,
        /// Tokens that it shares with the one before.
        overlap: usize,
        /// Why.
        reason: String,
    },
    /// A stage failed with an error of its own.
    #[error(transparent)]
    Flow(FlowError),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Takes errors of this crate out of their stages.
impl From<FlowError> for EmbedError {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::Stage { stage, source } => Self::of_stage(stage, source),
            FlowError::Cancelled => Self::Cancelled,
            other => Self::Flow(other),
        }
    }
}

impl EmbedError {
    fn of_stage(stage: String, source: StageError) -> Self {
        fn take<E: Into<EmbedError> + Error + 'static>(source: StageError) -> Result<EmbedError, StageError> {
            source.downcast::<E>().map(|error| (*error).into())
        }
        take::<Self>(source)
            .or_else(take::<SourceError>)
            .or_else(take::<TokenizeError>)
            .or_else(take::<ModelError>)
            .or_else(take::<SinkError>)
            .or_else(take::<RentError>)
            .or_else(take::<FlowError>)
            .unwrap_or_else(|source| Self::Flow(FlowError::Stage { stage, source }))
    }
}

/// A size as `--memory` takes it, in the largest unit of which it is a whole number.
struct Exactly(usize);

impl fmt::Display for Exactly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(bits, _)| self.0 > 0 && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => write!(f, "{} {unit}", self.0 >> bits),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// A size as `--memory` takes it, rounded up.
struct Mebibytes(usize);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(1 << 20))
    }
}
