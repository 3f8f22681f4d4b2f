//! The buffer types and traits of other crates.

#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "half")]
mod half;
mod owner;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "tokio")]
mod tokio;
