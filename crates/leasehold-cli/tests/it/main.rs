//! Tests of the command through the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot get what it needs has failed")]

mod embed;
mod formats;
mod mistakes;
mod resume;
mod signals;
mod support;
