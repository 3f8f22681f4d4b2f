//! The blocks that a forward pass writes its intermediate values into.

use leasehold::{BoundedPool, MemoryOwner, RentError};

use super::{
    Config, Precision,
    attention::Heads,
    kernel::{Line, PANEL, ROWS},
    linear::BLOCK,
    words::Words,
};

/// The most wide activations of a token that exist at a time.
///
/// All of a block of tokens, with the block itself and a panel of weights, are to stay in a second cache of one megabyte.
/// Integers have a scale for each slice, and in slices of this size eight bits are enough for the second product, whose
/// inputs are mostly near zero with some very large ones among them.
pub(super) const SLICE: usize = 256;

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
    pub(super) inner: Inner,
    pub(super) scratch: Scratch,
    pub(super) words: Words,
}

/// The wide activations of one block of tokens: one slice of them at a time.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) values: MemoryOwner<f32>,
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
    /// Rents room for batches of at most `tokens` tokens, with rows of at most as many as the model takes.
    pub(super) fn rent(
        pool: &BoundedPool,
        config: &Config,
        precision: Precision,
        tokens: usize,
    ) -> Result<Self, RentError> {
        let sizes = Sizes::of(config, tokens);
        Ok(Self {
            tokens,
            hidden: pool.try_rent(sizes.hidden)?,
            projected: pool.try_rent(3 * sizes.hidden)?,
            context: pool.try_rent(sizes.hidden)?,
            inner: Inner {
                values: pool.try_rent(BLOCK * sizes.slice)?,
                words: Words::rent(pool, precision, sizes.slice)?,
            },
            scratch: Scratch {
                keys: pool.try_rent(sizes.keys)?,
                values: pool.try_rent(sizes.values)?,
                scores: pool.try_rent(sizes.scores)?,
            },
            words: Words::rent(pool, precision, config.hidden_size)?,
        })
    }

    /// Bytes of the pool's budget that this takes.
    pub(super) fn cost(
        pool: &BoundedPool,
        config: &Config,
        precision: Precision,
        tokens: usize,
    ) -> Result<usize, RentError> {
        let sizes = Sizes::of(config, tokens);
        Ok(2 * pool.cost::<f32>(sizes.hidden)?
            + pool.cost::<f32>(3 * sizes.hidden)?
            + pool.cost::<f32>(BLOCK * sizes.slice)?
            + Words::cost(pool, precision, sizes.slice)?
            + pool.cost::<Line>(sizes.keys)?
            + pool.cost::<Line>(sizes.values)?
            + pool.cost::<f32>(sizes.scores)?
            + Words::cost(pool, precision, config.hidden_size)?)
    }

    /// The number of tokens that a batch may hold.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

/// Elements in each block.
struct Sizes {
    hidden: usize,
    /// Columns of a slice of the wide activations.
    slice: usize,
    keys: usize,
    values: usize,
    scores: usize,
}

impl Sizes {
    fn of(config: &Config, tokens: usize) -> Self {
        let heads = Heads { count: config.heads, width: config.head_width() };
        let longest = config.max_tokens.min(tokens);
        Self {
            hidden: tokens * config.hidden_size,
            slice: config.intermediate_size.min(SLICE),
            keys: heads.key_lines(longest),
            values: heads.value_lines(longest),
            scores: ROWS * longest.next_multiple_of(PANEL),
        }
    }
}
