//! The command line as a whole; each command's own part is in its file.

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{
    bench::Bench, completions::Completions, embed::Embed, model::Model, search::Search, summarize::Summarize,
};

const OVERVIEW: &str = "\
Examples:
  leasehold search 'how is memory given back' docs --by paragraph
  leasehold summarize book.txt --sentences 7
  leasehold embed notes.txt --output notes.npy
  leasehold bench --seconds 5
  leasehold model pull
  leasehold completions bash > ~/.local/share/bash-completion/completions/leasehold

Each command has a page of its own: leasehold search --help.

Exit status:
  0    done
  1    something failed; standard error says what and what to do
  2    the command line was wrong
  3    a search has found nothing
  129, 130, 143
       ended by a closed terminal, by Ctrl-C, by SIGTERM (128 and the signal's number)
  141  the reader of standard output has gone

Environment:
  LEASEHOLD_CACHE  where models and vectors are kept, instead of leasehold/ in $XDG_CACHE_HOME or ~/.cache
  NO_COLOR         no colours, if it is not empty";

/// Embeds, searches and summarizes text on this machine, more of it than fits in memory.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 100, after_help = OVERVIEW)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Embed(Embed),
    Search(Search),
    Summarize(Summarize),
    Bench(Bench),
    Model(Model),
    Completions(Completions),
}

/// Ends the program because arguments of a command that are right by themselves are wrong together.
pub(crate) fn contradiction(command: &str, message: &str) -> ! {
    let mut program = Arguments::command();
    program.build();
    let mut command = program.find_subcommand(command).cloned().unwrap_or(program);
    command.error(ErrorKind::ValueValidation, message).exit()
}
