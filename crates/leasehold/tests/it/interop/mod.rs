//! The buffer types and traits of other crates.

#[cfg(feature = "bytes")]
mod bytes;
mod owner;
