#![doc = include_str!("../README.md")]
//!
//! ## Why not all in one crate
//!
//! Crates of version 1 that seldom break (`bytes`, `tokio`, `serde`, `half`) are features of `leasehold` itself; here are
//! those whose types change more often, so that the core need not change with them.
//!
//! Adapters take what keeps its elements by itself: an owner, a shared owner or a pin ([`Held`]). A leased memory is pinned
//! first, so that a revocation waits for the foreign object.

#[cfg(feature = "arrow-buffer")]
pub mod arrow;
#[cfg(feature = "candle")]
pub mod candle;
#[cfg(feature = "dlpack")]
pub mod dlpack;
#[cfg(feature = "futures-io")]
pub mod futures;
mod held;
#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "safetensors")]
pub mod safetensors;

pub use held::Held;
