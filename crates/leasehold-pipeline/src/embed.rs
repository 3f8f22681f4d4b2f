//! The two stages that turn units of documents into vectors.

use std::mem;

use leasehold::{BoundedPool, MemoryOwner, Ragged, RentError};

use crate::{
    batch::Unit,
    document::Document,
    encoder::Encoder,
    error::{EmbedError, ModelError},
    flow::{Emit, Stage, StageError},
    model::Workspace,
};

/// The most documents that go through the model together, so that the block of their vectors has a bound.
pub(crate) const MOST_ROWS: usize = 128;

/// Documents and their tokens, row by row.
#[derive(Debug)]
pub struct TokenBatch {
    /// The documents, in the order of the input.
    pub documents: Vec<Document>,
    /// The tokens of each.
    pub tokens: Ragged<u32>,
}

/// Documents and their vectors.
#[derive(Debug)]
pub struct Embedded {
    /// The documents, in the order of the input.
    pub documents: Vec<Document>,
    /// One unit vector for each, back to back.
    pub vectors: MemoryOwner<f32>,
    /// Tokens that went through the model for them.
    pub tokens: u64,
}

/// The stage that turns the texts of a unit into batches of tokens.
///
/// Each batch has blocks of one size, so who knows how many can be under way knows how much they take.
#[derive(Debug)]
pub struct Tokenize {
    encoder: Encoder,
    pool: BoundedPool,
}

impl Tokenize {
    /// Rents the blocks of batches from `pool`.
    #[must_use]
    pub fn new(encoder: &Encoder, pool: &BoundedPool) -> Self {
        Self { encoder: encoder.clone(), pool: pool.clone() }
    }

    /// Bytes of a pool's budget that a batch takes.
    pub(crate) fn cost(pool: &BoundedPool, batch_tokens: usize) -> Result<usize, RentError> {
        Ok(pool.cost::<u32>(batch_tokens)? + pool.cost::<usize>(MOST_ROWS + 1)?)
    }

    fn rent(&self) -> Result<Ragged<u32>, RentError> {
        let values = self.pool.rent_blocking(self.encoder.batch_tokens())?;
        Ok(Ragged::from_owners(values, self.pool.rent_blocking(MOST_ROWS + 1)?))
    }
}

impl Stage for Tokenize {
    type Input = Unit;
    type Output = TokenBatch;

    fn process(&mut self, unit: Unit, output: &mut Emit<'_, TokenBatch>) -> Result<(), StageError> {
        let mut batch = TokenBatch { documents: Vec::new(), tokens: self.rent()? };
        for document in unit.documents {
            let encoded = self.encoder.tokenizer().encode(document.text()?)?;
            if batch.tokens.push_row(encoded.ids()).is_err() {
                let documents = mem::take(&mut batch.documents);
                output.send(TokenBatch { documents, tokens: batch.tokens })?;
                batch.tokens = self.rent()?;
                batch.tokens.push_row(encoded.ids()).map_err(|full| ModelError::BatchTooLarge {
                    tokens: full.row_len,
                    room: full.spare_values,
                })?;
            }
            batch.documents.push(document);
        }
        Ok(output.send(batch)?)
    }
}

/// The stage that carries batches of tokens through the model.
///
/// Each block of vectors has one size, as those of [`Tokenize`].
#[derive(Debug)]
pub struct Encode {
    encoder: Encoder,
    workspace: Workspace,
    vectors: BoundedPool,
}

impl Encode {
    /// Rents a workspace from `pool`, and later the vectors of each batch from `vectors`.
    ///
    /// # Errors
    ///
    /// When there is no room for the workspace.
    pub fn new(encoder: &Encoder, pool: &BoundedPool, vectors: &BoundedPool) -> Result<Self, EmbedError> {
        let workspace = encoder.model().workspace(pool, encoder.batch_tokens())?;
        Ok(Self { encoder: encoder.clone(), workspace, vectors: vectors.clone() })
    }

    /// Bytes of a pool's budget that the vectors of a batch take.
    pub(crate) fn cost(pool: &BoundedPool, width: usize) -> Result<usize, RentError> {
        pool.cost::<f32>(MOST_ROWS * width)
    }
}

impl Stage for Encode {
    type Input = TokenBatch;
    type Output = Embedded;

    fn process(&mut self, batch: TokenBatch, output: &mut Emit<'_, Embedded>) -> Result<(), StageError> {
        let width = self.encoder.width();
        let mut vectors = self.vectors.rent_blocking(MOST_ROWS * width)?;
        vectors.truncate(batch.tokens.rows() * width);
        self.encoder.model().embed(&batch.tokens, &mut self.workspace, &mut vectors)?;
        let tokens = batch.tokens.values().len() as u64;
        Ok(output.send(Embedded { documents: batch.documents, vectors, tokens })?)
    }
}
