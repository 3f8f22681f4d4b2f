//! What `docs/ffi.md` promises, one sentence per test.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

#[cfg(unix)]
mod device;
#[cfg(unix)]
#[path = "../../examples/ffi.rs"]
mod example;
#[cfg(unix)]
mod large_matrix;

#[cfg(unix)]
#[test]
fn the_example_shows_what_it_says() {
    example::main().unwrap();
}
