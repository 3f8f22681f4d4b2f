//! The buffer types and traits of other crates, each behind the feature of its name.

#[cfg(feature = "bytes")]
#[expect(unsafe_code, reason = "a trait that is unsafe to implement; nothing unsafe is done in it")]
pub mod bytes;
#[cfg(feature = "serde")]
pub mod serde;
#[cfg(feature = "tokio")]
pub mod tokio;
