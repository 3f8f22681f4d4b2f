//! Tests of the command through the real program.

mod embed;
mod mistakes;
mod signals;
mod support;
