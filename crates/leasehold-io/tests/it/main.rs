//! The behaviour of the crate through its public API, one sentence per test.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

#[cfg(feature = "compio-buf")]
mod compio;
mod examples;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod later_tenant;
#[cfg(all(target_os = "linux", feature = "monoio"))]
mod monoio;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod ring;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod vectored;
