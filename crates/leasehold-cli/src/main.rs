//! The `leasehold` command: parsing, wiring and exit codes; the work is done in `leasehold-pipeline`.

mod arguments;
mod bench;
mod completions;
mod computing;
mod embed;
mod inputs;
mod memory;
mod model;
mod output;
mod progress;
mod search;
mod signals;
mod size;
mod summarize;
mod terminal;

use std::{io, panic, process::ExitCode};

use clap::Parser;
use leasehold_pipeline::{EmbedError, SinkError};

use crate::{
    arguments::{Arguments, Command},
    signals::Signals,
};

/// What a run that was not able to do its work exits with.
const FAILURE: u8 = 1;

/// What a shell reports for a program that the closed pipe behind it has ended: 128 and SIGPIPE.
const CLOSED_PIPE: u8 = 141;

fn main() -> ExitCode {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !leasehold_pipeline::panic_is_caught() {
            hook(panic);
        }
    }));
    let arguments = Arguments::parse();
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot install signal handlers")),
    };
    let result = match &arguments.command {
        Command::Embed(command) => command.run(&signals),
        Command::Search(command) => command.run(&signals),
        Command::Summarize(command) => command.run(&signals),
        Command::Bench(command) => command.run(&signals),
        Command::Model(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        // Whatever failed, it was asked to.
        Err(_) if signals.received().is_some() => signals.exit_code(),
        Err(error) if is_closed_pipe(&error) => ExitCode::from(CLOSED_PIPE),
        // Whatever else can fail says what it is.
        Err(error) if error.is::<io::Error>() => fail(&error.context("cannot write standard output")),
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    use io::Write;
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "leasehold: {error:#}");
    ExitCode::from(FAILURE)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(EmbedError::Sink(SinkError::Closed { .. })))
            || matches!(cause.downcast_ref(), Some(SinkError::Closed { .. }))
            || cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
