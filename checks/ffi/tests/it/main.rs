//! What `docs/ffi.md` promises, one sentence per test.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

#[cfg(unix)]
mod device;
#[cfg(unix)]
mod large_matrix;
