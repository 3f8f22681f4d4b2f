//! `leasehold model`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use leasehold::MemoryPool;
use leasehold_pipeline::{Cache, Encoder, FileState, Fingerprint, Precision};

use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  leasehold model list
  leasehold model pull
  leasehold model verify
  leasehold model verify ./my-model
  leasehold embed notes.txt --model \"$(leasehold model where)\"

Exit status:
  0    done, and all is well
  1    something failed or is not as it should be; standard error says what
  2    the command line was wrong

Environment:
  LEASEHOLD_CACHE  where models are kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache";

/// Fetches models and looks after them.
///
/// Models come by themselves when they are needed first; these commands are for machines that will not be connected then,
/// and for those who want to know.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Model {
    #[command(subcommand)]
    action: Action,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
enum Action {
    /// Prints each model that can be fetched: its name, whether it was, its size, and where it is.
    List,
    /// Fetches a model, unless it is there and whole; each file is checked against its SHA-256.
    Pull {
        /// Its name.
        #[arg(default_value = Cache::MODEL)]
        name: String,
    },
    /// Compares a fetched model with the SHA-256 of its files, or makes sure that a model of your own can be used.
    Verify {
        /// Its name, or the directory of a model of your own.
        #[arg(value_name = "NAME|DIR", default_value = Cache::MODEL)]
        model: PathBuf,
    },
    /// Prints the directory of a fetched model.
    Where {
        /// Its name.
        #[arg(default_value = Cache::MODEL)]
        name: String,
    },
}

impl Model {
    /// Does what was asked for.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        match &self.action {
            Action::List => list(&mut out)?,
            Action::Pull { name } => {
                let cache = cache_of(name)?;
                let progress = Progress::new(false);
                let path = cache.pull(&mut |event| progress.fetching(&event))?;
                progress.clear();
                writeln!(out, "{}", path.display())?;
            }
            Action::Verify { model } if model == Path::new(Cache::MODEL) => {
                verify(&Cache::of_user()?, &mut out)?
            }
            Action::Verify { model } => verify_own(model, &mut out)?,
            Action::Where { name } => {
                let cache = cache_of(name)?;
                ensure!(
                    cache.has_model(),
                    "{name} was not fetched yet; fetch it with: leasehold model pull {name}"
                );
                writeln!(out, "{}", cache.model_directory().display())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The cache, where it knows a model of that name.
fn cache_of(name: &str) -> anyhow::Result<Cache> {
    if name != Cache::MODEL {
        bail!(
            "there is no model {name:?} to fetch, only {}; a model of your own is used with --model DIR",
            Cache::MODEL
        );
    }
    Ok(Cache::of_user()?)
}

fn list(out: &mut impl Write) -> anyhow::Result<()> {
    let cache = Cache::of_user()?;
    let state = if cache.has_model() { "fetched" } else { "not fetched" };
    let mebibytes = Cache::MODEL_BYTES.div_ceil(1 << 20);
    writeln!(out, "{}  {state}  {mebibytes} MiB  {}", Cache::MODEL, cache.model_directory().display())?;
    Ok(())
}

fn verify(cache: &Cache, out: &mut impl Write) -> anyhow::Result<()> {
    let mut wrong = 0;
    for check in cache.verify() {
        let path = check.path.display();
        match check.state {
            FileState::Whole { digest } => {
                writeln!(out, "{path}: whole (SHA-256 {digest})")?;
                continue;
            }
            FileState::Missing => writeln!(out, "{path}: missing")?,
            FileState::Differs { digest, expected } => {
                writeln!(out, "{path}: changed (SHA-256 {digest}, not {expected})")?;
            }
            FileState::Unreadable(error) => writeln!(out, "{path}: cannot be read ({error})")?,
            other => writeln!(out, "{path}: {other:?}")?,
        }
        wrong += 1;
    }
    ensure!(
        wrong == 0,
        "{wrong} files are not as they should be; fetch them again with: leasehold model pull"
    );
    Ok(())
}

/// Opens a model whose files nobody has published the digests of.
fn verify_own(directory: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    if !directory.exists() {
        bail!(
            "{} is neither a directory nor the name of a model that can be fetched ({})",
            directory.display(),
            Cache::MODEL
        );
    }
    let pool = MemoryPool::builder().build_bounded(usize::MAX >> 1);
    let encoder = Encoder::open(directory, Precision::F32, &pool)?;
    let config = encoder.model().config();
    writeln!(
        out,
        "{}: usable; {} layers, vectors of {} values, {} words, at most {} tokens; fingerprint {}",
        directory.display(),
        config.layers,
        config.hidden_size,
        config.vocabulary,
        config.max_tokens,
        Fingerprint::of_model(directory, Precision::F32)?
    )?;
    Ok(())
}
