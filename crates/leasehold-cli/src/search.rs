//! `leasehold search`.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use leasehold_pipeline::{Cache, Fingerprint, Hit, StoreEvent, VectorStore};

use crate::{
    computing::{Computing, Machine},
    inputs::Inputs,
    progress::Progress,
    signals::Signals,
    size::Size,
    terminal::{self, Terminal},
};

/// What a search that has found nothing exits with.
const NOTHING_FOUND: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  leasehold search 'how is memory given back' docs --by paragraph
  leasehold search 'what do owls eat' books --by file --window 128 --overlap 32 -k 3 --full
  leasehold search 'connection refused by the proxy' 'logs/**/*.gz' --min-score 0.5
  leasehold search 'cheap flights' posts.jsonl --field body --json | jq -r .text
  man bash | leasehold search 'repeat a command until it fails' - --by paragraph

Exit status:
  0    passages were found and printed
  1    something failed; standard error says what
  2    the command line was wrong
  3    nothing was found: there was no text, or none with the score of --min-score
  130  interrupted with Ctrl-C (128 and the signal's number)
  141  the reader of standard output has gone

Environment:
  LEASEHOLD_CACHE  where the model and the vectors are kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache
  NO_COLOR         no colours, if it is not empty";

/// Searches by meaning: prints the passages that are nearest to a query, the nearest first.
///
/// Each passage is compared: the result is exact. The score is the cosine of the two vectors; between texts about the
/// same thing it is about 0.5 and more, between unrelated ones about 0. A line of the result is the place of the
/// passage, its score, and the passage on one line, cut to the width of the terminal.
///
/// What was embedded once is kept, by its text, for each model and precision: the second search reads it from there, and
/// after an edit only what was edited is embedded. Of several searches at a time the first one writes.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Search {
    /// What to look for: a question, a sentence, a few words.
    #[arg(value_parser = query)]
    query: String,

    #[command(flatten)]
    inputs: Inputs,

    /// How many passages to print.
    #[arg(long, short = 'k', value_name = "N", default_value_t = 10)]
    count: usize,

    /// Prints only passages with at least this cosine to the query, from -1 to 1.
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = score)]
    min_score: Option<f32>,

    /// Prints whole passages, however wide the terminal is.
    #[arg(long)]
    full: bool,

    /// Prints a JSON object per passage: {"text": .., "source": {"path": .., "line": .., "offset": ..}, "score": ..}.
    #[arg(long, conflicts_with = "full")]
    json: bool,

    /// Neither reads nor keeps vectors of earlier searches.
    #[arg(long)]
    no_cache: bool,

    /// How much room vectors may take on disk, for this model and precision. When it is full, what was not looked at for
    /// longest makes room.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", conflicts_with = "no_cache")]
    cache_size: Size,

    #[command(flatten)]
    computing: Computing,
}

impl Search {
    /// Searches every input. What can be wrong is looked at from cheap to dear: inputs, model.
    pub(crate) fn run(&self, signals: &Signals) -> anyhow::Result<ExitCode> {
        self.inputs.check("search")?;
        let mut progress = Progress::new(false);
        let mut machine = self.computing.prepare(&progress)?;
        machine.pipeline = self.inputs.cut(machine.pipeline)?;
        let store = if self.no_cache { None } else { self.store(&machine, &progress)? };
        let source = self.inputs.open(machine.pipeline.source_pool())?;
        let cancel = signals.cancel();
        let query = leasehold_pipeline::Search::query(&machine.pipeline, &self.query, &cancel)?;
        progress.start(&source, self.inputs.mending(), &machine.pipeline);
        let least = self.min_score.unwrap_or(-1.0);
        let search = leasehold_pipeline::Search { most: self.count, least, store };
        let update = &mut |summary: &_| progress.update(summary);
        let found = search.run(&machine.pipeline, &query, source, &cancel, update)?;
        progress.clear();
        if let Some(error) = found.store_error {
            progress.note(&format!(
                "{:#}; the next search will be as slow as this one",
                anyhow::Error::from(error)
            ));
        }
        self.print(&found.hits)?;
        Ok(if found.hits.is_empty() { ExitCode::from(NOTHING_FOUND) } else { ExitCode::SUCCESS })
    }

    /// The cache of vectors; `None` where there can be none, which makes a search slower and nothing else.
    fn store(&self, machine: &Machine, progress: &Progress) -> anyhow::Result<Option<Arc<VectorStore>>> {
        let Ok(cache) = Cache::of_user() else { return Ok(None) };
        let fingerprint = Fingerprint::of_model(&machine.directory, self.computing.precision())?;
        let mut notify = |event| {
            if let StoreEvent::PutAside { path, reason } = event {
                let path = path.display();
                progress.note(&format!("the cache of vectors was damaged ({reason}); it is in {path} now"));
            }
        };
        let (width, limit) = (machine.encoder.width(), self.cache_size.0 as u64);
        match VectorStore::open(&cache.vectors(), fingerprint, width, limit, &mut notify) {
            Ok(store) => Ok(Some(Arc::new(store))),
            Err(error) => {
                progress.note(&format!("{:#}; going on without", anyhow::Error::from(error)));
                Ok(None)
            }
        }
    }

    fn print(&self, hits: &[Hit]) -> io::Result<()> {
        let stdout = io::stdout();
        let terminal = Terminal::of(stdout.is_terminal(), stdout.is_terminal() && !self.full);
        let mut out = BufWriter::new(stdout.lock());
        for hit in hits {
            if self.json {
                writeln!(out, "{}", json(hit))?;
            } else {
                writeln!(out, "{}", line(hit, &terminal))?;
            }
        }
        out.flush()
    }
}

fn json(hit: &Hit) -> serde_json::Value {
    serde_json::json!({
        "text": hit.passage,
        "source": {
            "path": hit.place.path.to_string_lossy(),
            "line": hit.place.line,
            "offset": hit.place.offset,
        },
        "score": hit.score,
    })
}

/// `path:line: score  passage`.
fn line(hit: &Hit, terminal: &Terminal) -> String {
    let path = terminal::on_one_line(&hit.place.path.to_string_lossy());
    let (number, score) = (hit.place.line.to_string(), format!("{:.3}", hit.score));
    let before = terminal::width(&path) + number.len() + score.len() + ":: ".len() + "  ".len();
    let passage = terminal.cut(&terminal::on_one_line(&hit.passage), before);
    let (path, number) = (terminal.paint("35", &path), terminal.paint("32", &number));
    format!("{path}:{number}: {}  {passage}", terminal.paint("36", &score))
}

fn query(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("there is nothing in it to look for".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn score(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(score) if (-1.0..=1.0).contains(&score) => Ok(score),
        _ => Err("a cosine is a number from -1 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use leasehold_pipeline::Place;
    use std::path::Path;

    use super::*;

    fn hit(passage: &str) -> Hit {
        let place = Place { path: Path::new("a.txt").into(), line: 7, offset: 0 };
        Hit { passage: passage.to_owned(), place, score: 0.5 }
    }

    #[test]
    fn a_line_fits_the_terminal_and_shows_no_control_characters() {
        let narrow = Terminal { colours: false, columns: Some(40) };
        let long = hit("one\n  two \u{1b}[31mthree four five six seven eight");
        assert_eq!(line(&long, &narrow), "a.txt:7: 0.500  one two \u{fffd}[31mthree four…");
        assert_eq!(terminal::width(&line(&long, &narrow)), 40);
        let wide = hit("猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫猫");
        assert!(terminal::width(&line(&wide, &narrow)) <= 40);
        assert_eq!(line(&hit("short"), &narrow), "a.txt:7: 0.500  short");
    }

    #[test]
    fn colours_do_not_count() {
        let plain = Terminal { colours: false, columns: Some(30) };
        let coloured = Terminal { colours: true, columns: Some(30) };
        let shown = line(&hit("one two three four five six"), &coloured);
        assert!(shown.starts_with("\u{1b}[35ma.txt\u{1b}[0m:\u{1b}[32m7\u{1b}[0m: "));
        let stripped = ["\u{1b}[35m", "\u{1b}[32m", "\u{1b}[36m", "\u{1b}[0m"]
            .iter()
            .fold(shown.clone(), |text, code| text.replace(code, ""));
        assert_eq!(stripped, line(&hit("one two three four five six"), &plain));
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let none = Terminal { colours: false, columns: None };
        let text = "word ".repeat(1000);
        assert!(line(&hit(&text), &none).ends_with(text.trim_end()));
    }
}
