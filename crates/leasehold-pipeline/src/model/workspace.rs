//! The blocks that a forward pass writes its intermediate values into.

use leasehold::{BoundedPool, MemoryOwner, RentError};

use super::{
    Config, Precision,
    attention::Heads,
    kernel::{Line, PANEL, ROWS},
    linear::BLOCK,
    words::Words,
};

/// Activations of one forward pass, in rented blocks.
///
/// Each worker rents one and keeps it, so a batch costs no allocation. Dropping it gives every block back.
#[derive(Debug)]
pub struct Workspace {
    pub(super) tokens: usize,
    /// What a layer gets and makes: one vector a token.
    pub(super) hidden: MemoryOwner<f32>,
    /// Query, key and value of each token, side by side.
    pub(super) projected: MemoryOwner<f32>,
    /// What attention makes of them.
    pub(super) context: MemoryOwner<f32>,
    /// The wide activations of one block of tokens.
    pub(super) inner: MemoryOwner<f32>,
    pub(super) scratch: Scratch,
    pub(super) words: Words,
}

/// What attention needs for one head of one row.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) keys: MemoryOwner<Line>,
    pub(super) values: MemoryOwner<Line>,
    pub(super) scores: MemoryOwner<f32>,
}

impl Workspace {
    /// Rents room for batches of at most `tokens` tokens, with rows of at most `longest`.
    pub(super) fn rent(
        pool: &BoundedPool,
        config: &Config,
        precision: Precision,
        tokens: usize,
        longest: usize,
    ) -> Result<Self, RentError> {
        let width = tokens * config.hidden_size;
        let heads = Heads { count: config.heads, width: config.head_width() };
        Ok(Self {
            tokens,
            hidden: pool.try_rent(width)?,
            projected: pool.try_rent(3 * width)?,
            context: pool.try_rent(width)?,
            inner: pool.try_rent(tokens.min(BLOCK) * config.intermediate_size)?,
            scratch: Scratch {
                keys: pool.try_rent(heads.key_lines(longest))?,
                values: pool.try_rent(heads.value_lines(longest))?,
                scores: pool.try_rent(ROWS * longest.next_multiple_of(PANEL))?,
            },
            words: Words::rent(pool, precision, config.hidden_size.max(config.intermediate_size))?,
        })
    }

    /// The number of tokens that a batch may hold.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}
