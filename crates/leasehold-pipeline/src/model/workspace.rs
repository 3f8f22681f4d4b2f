//! The blocks that a forward pass writes its intermediate values into.

use leasehold::{MemoryOwner, MemoryPool};

use super::Config;

/// Activations of one forward pass, in rented blocks.
///
/// Each worker rents one and keeps it, so a batch costs no allocation. Dropping it gives every block back.
#[derive(Debug)]
pub struct Workspace {
    pub(super) tokens: usize,
    pub(super) hidden: MemoryOwner<f32>,
    pub(super) query: MemoryOwner<f32>,
    pub(super) key: MemoryOwner<f32>,
    pub(super) value: MemoryOwner<f32>,
    pub(super) context: MemoryOwner<f32>,
    pub(super) inner: MemoryOwner<f32>,
    pub(super) scores: MemoryOwner<f32>,
    pub(super) inverse_sums: MemoryOwner<f32>,
}

impl Workspace {
    /// Rents room for batches of at most `tokens` tokens, with rows of at most `longest`.
    pub(super) fn rent(pool: &MemoryPool, config: &Config, tokens: usize, longest: usize) -> Self {
        let width = tokens * config.hidden_size;
        Self {
            tokens,
            hidden: pool.rent(width),
            query: pool.rent(width),
            key: pool.rent(width),
            value: pool.rent(width),
            context: pool.rent(width),
            inner: pool.rent(tokens * config.inner_slab()),
            scores: pool.rent(longest * longest),
            inverse_sums: pool.rent(longest),
        }
    }

    /// The number of tokens that a batch may hold.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}
