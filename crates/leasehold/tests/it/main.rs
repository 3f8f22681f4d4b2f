//! The behaviour of the library through its public API, one sentence per test.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod after_revocation;
mod auto_traits;
mod backing;
mod cast;
mod ending;
mod examples;
#[cfg(all(unix, not(miri)))]
mod guard_pages;
mod interop;
mod memory;
mod pipe;
mod pitfalls;
mod pool;
mod pool_figures;
mod pool_memory;
mod pool_promises;
mod pool_threads;
#[cfg(not(miri))]
mod pool_watch;
mod ragged;
mod ranges;
mod rules;
mod scope;
#[cfg(all(target_os = "linux", not(miri)))]
mod sealed;
mod sequence;
mod shared;
mod sources;
#[cfg(all(feature = "tracing", not(miri)))]
mod subscriber;
mod support;
mod watched;
mod windows;
mod writer;
