//! Why a run ends early.

use std::{any::Any, error::Error, io};

use thiserror::Error;

/// What a stage may fail with: any error, by `?`.
pub type StageError = Box<dyn Error + Send + Sync>;

/// Nobody wants what a stage makes any more; the stage passes this on with `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the run has been stopped")]
pub struct Stopped;

/// Why a run ended before its source did.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FlowError {
    /// A stage, or the source, failed.
    #[error("the stage {stage} failed")]
    Stage {
        /// Its name.
        stage: String,
        /// What it failed with; `source.downcast::<E>()` gives the stage's own type back.
        source: StageError,
    },
    /// A stage, or the source, panicked.
    #[error("the stage {stage} panicked: {message}")]
    Panicked {
        /// Its name.
        stage: String,
        /// What it said.
        message: String,
    },
    /// The run was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A thread could not be started.
    #[error("cannot start a thread for the stage {stage}")]
    Spawn {
        /// Name of the stage.
        stage: String,
        /// What the system said.
        source: io::Error,
    },
}

impl FlowError {
    pub(super) fn panicked(stage: &str, payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("it did not say why");
        Self::Panicked { stage: stage.to_owned(), message: message.to_owned() }
    }
}
