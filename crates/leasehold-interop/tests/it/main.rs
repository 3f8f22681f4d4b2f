//! Each adapter keeps the address, and gives the block back when the foreign object dies.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
#![cfg_attr(feature = "dlpack", expect(unsafe_code, reason = "the tests play the C side of DLPack"))]

#[cfg(feature = "arrow-buffer")]
mod arrow;
#[cfg(feature = "candle")]
mod candle;
#[cfg(feature = "dlpack")]
mod dlpack;
#[cfg(feature = "futures-io")]
mod futures;
#[cfg(feature = "ndarray")]
mod ndarray;
#[cfg(feature = "safetensors")]
mod safetensors;

use bytemuck::Pod;
use leasehold::{MemoryOwner, MemoryPool};

/// A rented buffer of these elements.
#[allow(dead_code, reason = "not every feature needs it")]
fn rented<T: Pod + Send>(pool: &MemoryPool, elements: &[T]) -> MemoryOwner<T> {
    let mut owner = pool.rent(elements.len());
    owner.copy_from_slice(elements);
    owner
}
