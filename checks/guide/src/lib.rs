//! The documents whose code is tested here.

/// The guide.
#[doc = include_str!("../../../docs/guide.md")]
pub mod guide {}

/// The README.
#[doc = include_str!("../../../README.md")]
pub mod readme {}
