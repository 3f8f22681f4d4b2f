//! What every command that computes lets its user choose: model, precision, threads, memory.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use leasehold::{BoundedPool, MemoryPool};
use leasehold_pipeline::{Cache, EmbedError, Encoder, Pipeline};

use crate::{inputs, progress::Progress, size::Size};

/// Bytes for text, where the budget is not given.
const TEXT: usize = 128 << 20;

/// Which model computes, and with what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Computing")]
pub(crate) struct Computing {
    /// Directory of the model: config.json, tokenizer.json and model.safetensors of a BERT encoder.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,

    /// How exactly the model computes; fewer bits need less memory and time.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    precision: Precision,

    /// Number of threads that run the model; as many as there are processors by default.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZeroUsize>,

    /// The most memory for weights, activations, vectors and text, such as 256MiB or 1G; by default what model and threads
    /// need, and 128 MiB for text.
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
}

/// A model that is ready to compute.
pub(crate) struct Machine {
    /// Where the model came from.
    pub(crate) directory: PathBuf,
    pub(crate) encoder: Encoder,
    pub(crate) pipeline: Pipeline,
}

impl Computing {
    /// Where the model is, which is fetched first where it is not there and none was named.
    pub(crate) fn directory(&self, progress: &Progress) -> anyhow::Result<PathBuf> {
        match &self.model {
            Some(directory) => Ok(directory.clone()),
            None => Ok(Cache::of_user()?.model(&mut |event| progress.fetching(&event))?),
        }
    }

    /// Opens the model, as [`directory`](Self::directory) finds it.
    pub(crate) fn prepare(&self, progress: &Progress) -> anyhow::Result<Machine> {
        let directory = self.directory(progress)?;
        let help = if self.model.is_none() { " (try `leasehold model verify`)" } else { "" };
        let unusable = || format!("cannot use the model in {}{help}", directory.display());
        let pool = self.pool(&directory).with_context(unusable)?;
        let encoder = Encoder::open(&directory, self.precision(), &pool).with_context(unusable)?;
        let pipeline = Pipeline::new(&encoder, self.threads(), &pool)?;
        Ok(Machine { directory, encoder, pipeline })
    }

    /// How exactly the model computes.
    pub(crate) fn precision(&self) -> leasehold_pipeline::Precision {
        self.precision.into()
    }

    /// What that is called on the command line.
    pub(crate) fn precision_name(&self) -> Option<String> {
        inputs::name(&self.precision)
    }

    /// Number of threads that run the model.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }

    /// The pool that everything is rented from.
    fn pool(&self, model: &Path) -> anyhow::Result<BoundedPool> {
        let least = Pipeline::least_memory(model, self.precision(), self.threads())?;
        let budget = match self.memory {
            Some(size) if size.0 < least => {
                return Err(EmbedError::BudgetTooSmall { budget: size.0, least }.into());
            }
            Some(size) => size.0,
            None => least.saturating_add(TEXT),
        };
        Ok(MemoryPool::builder().build_bounded(budget))
    }
}

/// More threads than processors make nothing faster, and starting very many takes all memory that the system has.
const MOST_THREADS: usize = 1024;

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|threads: &NonZeroUsize| threads.get() <= MOST_THREADS)
        .ok_or_else(|| format!("it is no number of threads from 1 to {MOST_THREADS}"))
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
