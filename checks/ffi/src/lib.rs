#![doc = include_str!("../../../docs/ffi.md")]

#[cfg(unix)]
mod device;
mod matrix;

#[cfg(unix)]
pub use device::{Device, Failed, Reading, checksum};
pub use matrix::{Matrix, MatrixMut, Misfit, multiply};
