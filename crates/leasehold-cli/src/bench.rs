//! `leasehold bench`.

use std::{
    io::{self, Write},
    iter,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use leasehold::{BoundedPool, MemoryPool, RentError};
use leasehold_pipeline::{Document, Place, Source, SourceError, Text, flow::StageMetrics};

use crate::{
    computing::{Computing, Machine},
    inputs::paragraphs,
    memory,
    progress::Progress,
    signals::Signals,
};

const EXAMPLES: &str = "\
Examples:
  leasehold bench
  leasehold bench book.txt --precision int8 --threads 4
  leasehold bench --seconds 60 --json

Exit status:
  0    the figures were printed
  1    something failed; standard error says what
  2    the command line was wrong
  130  interrupted with Ctrl-C (128 and the signal's number)

Environment:
  LEASEHOLD_CACHE  where the model is kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache";

/// Measures the pipeline on this machine: tokens per second, what each stage waits for, and memory.
///
/// Without a file the text is made up: passages of 5 to 250 words in no order. A file is read by paragraphs, over and
/// over again until the time is up. The tokens per second of a stage are what it would do if it never had to wait. A stage
/// that is always busy is the one that the others wait for; with enough text that should be \"encode\", which runs the model.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// A text to measure with; not standard input, which cannot be read again.
    #[arg(value_name = "FILE")]
    input: Option<PathBuf>,

    /// How long to measure, in seconds.
    #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
    seconds: Duration,

    /// Prints one JSON object with all figures; times are in seconds, sizes in bytes.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    computing: Computing,
}

impl Bench {
    /// Measures, and prints the figures.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.input {
            ensure!(path.as_os_str() != "-", "standard input cannot be read again and again; name a file");
            let first =
                paragraphs(path, &MemoryPool::builder().build_bounded(16 << 20))?.next().transpose()?;
            ensure!(first.is_some(), "there is no text in {}", path.display());
        }
        let progress = Progress::new(false);
        let machine = self.computing.prepare(&progress)?;
        let pool = machine.pipeline.source_pool().clone();
        let figures = match &self.input {
            Some(path) => {
                let path = path.clone();
                let again = iter::repeat_with(move || paragraphs(&path, &pool));
                self.measure(&machine, signals, again.flat_map(opened))?
            }
            None => self.measure(&machine, signals, Passages::new(pool))?,
        };
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", figures.to_json())?;
        } else {
            write!(out, "{}", figures.to_text())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Runs until the time is up, and looks at the figures then: what is under way does not count.
    fn measure<I>(&self, machine: &Machine, signals: &Signals, documents: I) -> anyhow::Result<Figures>
    where
        I: Iterator<Item = Result<Document, SourceError>> + Send + 'static,
    {
        let barriers = leasehold::counters().heavy_barriers;
        let started = Instant::now();
        let mut run = machine.pipeline.start(documents, &signals.cancel())?;
        let (mut passages, mut tokens, mut bytes) = (0, 0, 0);
        for embedded in &mut run {
            let embedded = embedded.map_err(leasehold_pipeline::EmbedError::from)?;
            passages += embedded.documents.len() as u64;
            tokens += embedded.tokens;
            bytes += embedded.documents.iter().map(|document| document.text.len() as u64).sum::<u64>();
            if started.elapsed() >= self.seconds {
                break;
            }
        }
        let wall = started.elapsed();
        let stages = run.metrics();
        let pool = Pool::of(machine);
        run.join();
        Ok(Figures {
            input: self.input.as_ref().map_or("made up".to_owned(), |path| path.display().to_string()),
            precision: format!("{:?}", self.computing.precision()).to_lowercase(),
            threads: self.computing.threads().get(),
            wall,
            passages,
            tokens,
            bytes,
            stages,
            pool,
            barriers: leasehold::counters().heavy_barriers - barriers,
        })
    }
}

/// The documents of a source, or the error that it cannot be opened with.
fn opened(
    source: Result<Source, SourceError>,
) -> Box<dyn Iterator<Item = Result<Document, SourceError>> + Send> {
    match source {
        Ok(source) => Box::new(source),
        Err(error) => Box::new(iter::once(Err(error))),
    }
}

/// What was measured.
struct Figures {
    input: String,
    precision: String,
    threads: usize,
    wall: Duration,
    passages: u64,
    tokens: u64,
    bytes: u64,
    stages: Vec<StageMetrics>,
    pool: Pool,
    barriers: u64,
}

/// The figures of all pools of a run together.
struct Pool {
    budget: usize,
    peak: usize,
    hits: u64,
    misses: u64,
    waited: u64,
}

impl Pool {
    fn of(machine: &Machine) -> Self {
        let pools = machine.pipeline.pools().map(BoundedPool::stats);
        // The first has the budget, of which the others are shares, used or not.
        let shares = &pools[1..];
        let shared: usize = shares.iter().filter_map(|share| share.budget).sum();
        let used: usize = shares.iter().map(|share| share.peak_bytes).sum();
        Self {
            budget: pools[0].budget.unwrap_or(0),
            peak: pools[0].peak_bytes.saturating_sub(shared) + used,
            hits: pools.iter().map(leasehold::PoolStats::hits).sum(),
            misses: pools.iter().map(leasehold::PoolStats::misses).sum(),
            waited: pools.iter().map(|pool| pool.waited).sum(),
        }
    }
}

impl Figures {
    fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    /// What the stage would do if all its threads were always busy.
    fn tokens_per_second_of(&self, stage: &StageMetrics) -> f64 {
        (self.tokens * stage.workers as u64) as f64 / stage.busy.as_secs_f64().max(1e-9)
    }

    fn to_json(&self) -> serde_json::Value {
        let stage = |stage: &StageMetrics| {
            serde_json::json!({
                "name": &*stage.name,
                "threads": stage.workers,
                "taken": stage.taken,
                "given": stage.given,
                "tokens_per_second": self.tokens_per_second_of(stage),
                "busy": stage.busy.as_secs_f64(),
                "waiting_for_input": stage.waiting_for_input.as_secs_f64(),
                "waiting_for_room": stage.waiting_for_room.as_secs_f64(),
            })
        };
        serde_json::json!({
            "input": self.input,
            "precision": self.precision,
            "threads": self.threads,
            "seconds": self.wall.as_secs_f64(),
            "passages": self.passages,
            "tokens": self.tokens,
            "bytes": self.bytes,
            "tokens_per_second": self.tokens_per_second(),
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
            "pool": {
                "budget": self.pool.budget,
                "peak": self.pool.peak,
                "hits": self.pool.hits,
                "misses": self.pool.misses,
                "waited": self.pool.waited,
            },
            "heavy_barriers": self.barriers,
            "peak_resident": memory::peak_resident(),
        })
    }

    fn to_text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let seconds = self.wall.as_secs_f64();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:.0} tokens/s: {} tokens of {} passages ({} KiB) in {seconds:.1} s; text {}, {}, threads {}\n",
            self.tokens_per_second(),
            self.tokens,
            self.passages,
            self.bytes >> 10,
            self.input,
            self.precision,
            self.threads,
        );
        let _ = writeln!(
            text,
            "stage      threads    given    tokens/s     busy  waits for input  waits for room"
        );
        for stage in &self.stages {
            let share =
                |time: Duration| 100.0 * time.as_secs_f64() / (seconds * stage.workers as f64).max(1e-9);
            let _ = writeln!(
                text,
                "{:<10} {:>7} {:>8}  {:>10.0}  {:>5.1} %          {:>5.1} %         {:>5.1} %",
                &*stage.name,
                stage.workers,
                stage.given,
                self.tokens_per_second_of(stage),
                share(stage.busy),
                share(stage.waiting_for_input),
                share(stage.waiting_for_room),
            );
        }
        let pool = &self.pool;
        let rents = (pool.hits + pool.misses).max(1);
        let _ = writeln!(
            text,
            "\npool: {} of {} MiB at the peak; {} rents, {:.1} % from stock, {} had to wait; {} heavy barriers",
            pool.peak.div_ceil(1 << 20),
            pool.budget.div_ceil(1 << 20),
            pool.hits + pool.misses,
            100.0 * pool.hits as f64 / rents as f64,
            pool.waited,
            self.barriers,
        );
        if let Some(peak) = memory::peak_resident() {
            let _ = writeln!(text, "process: {} MiB of memory at the peak", peak.div_ceil(1 << 20));
        }
        text
    }
}

/// Bytes of the blocks that passages are made up in.
const BLOCK: usize = 64 * 1024;

/// Words that passages are made of.
const WORDS: [&str; 24] = [
    "the",
    "owner",
    "of",
    "a",
    "buffer",
    "lends",
    "it",
    "to",
    "many",
    "readers",
    "and",
    "waits",
    "until",
    "last",
    "one",
    "has",
    "gone",
    "while",
    "pool",
    "keeps",
    "memory",
    "for",
    "tenants",
    "unbelievably",
];

/// Passages of 5 to 250 words in rented blocks, always the same ones, without an end.
struct Passages {
    pool: BoundedPool,
    random: u64,
    block: Vec<Document>,
    made: u64,
}

impl Passages {
    fn new(pool: BoundedPool) -> Self {
        Self { pool, random: 0x9E37_79B9_7F4A_7C15, block: Vec::new(), made: 0 }
    }

    /// A number below `bound`, by xorshift.
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) % bound
    }

    /// Fills a block with passages.
    fn refill(&mut self) -> Result<(), RentError> {
        let mut block = self.pool.rent_blocking::<u8>(BLOCK)?;
        let mut ends = Vec::new();
        let mut at = 0;
        loop {
            let words = 5 + self.below(246);
            let passage: Vec<&str> =
                (0..words).map(|_| WORDS[self.below(WORDS.len() as u64) as usize]).collect();
            let passage = passage.join(" ");
            let Some(room) = block.get_mut(at..at + passage.len()) else { break };
            room.copy_from_slice(passage.as_bytes());
            ends.push((at, at + passage.len()));
            at += passage.len();
        }
        let block = block.into_shared();
        let path: Arc<std::path::Path> = std::path::Path::new("made-up").into();
        for (start, end) in ends.into_iter().rev() {
            self.made += 1;
            let place = Place { path: Arc::clone(&path), line: self.made, offset: start as u64 };
            let text = Text::new(block.slice(start..end)).expect("words are text");
            self.block.push(Document { text, place, consumed: self.made });
        }
        Ok(())
    }
}

impl Iterator for Passages {
    type Item = Result<Document, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block.is_empty()
            && let Err(source) = self.refill()
        {
            return Some(Err(SourceError::Memory { path: "made-up".into(), source }));
        }
        self.block.pop().map(Ok)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| *time <= Duration::from_secs(1 << 24))
        .ok_or_else(|| "it is no number of seconds above zero, such as 0.5 or 10".to_owned())
}
