#![doc = include_str!("../README.md")]

mod buffer;
#[cfg(feature = "compio-buf")]
mod compio;
#[cfg(all(unix, feature = "monoio"))]
mod monoio;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
mod ring;
mod stable;

pub use buffer::Buffer;
#[cfg(feature = "compio-buf")]
pub use compio::Room;
#[cfg(all(target_os = "linux", feature = "io-uring"))]
pub use ring::{Failed, Operation, RegisteredBuffer, Ring, RingBuilder, SetupError};
pub use stable::{Stable, StableMut, StableSegments};
