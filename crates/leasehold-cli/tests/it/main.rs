//! Tests of the command through the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot get what it needs has failed")]

#[cfg(unix)]
mod commands;
mod embed;
mod formats;
mod invalid;
mod memory;
mod mistakes;
mod resume;
#[cfg(unix)]
mod search;
mod signals;
mod summarize;
mod support;
#[cfg(unix)]
mod terminal;
