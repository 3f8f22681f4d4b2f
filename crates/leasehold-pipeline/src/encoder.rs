//! Tokenizer and model as one, and the worker that carries texts through both.

use std::{path::Path, sync::Arc};

use leasehold::{BoundedPool, MemoryOwner, Ragged};

use crate::{
    error::{EmbedError, ModelError},
    model::{Model, Precision, Workspace},
    tokenize::Tokenizer,
};

/// About how many tokens are carried through the model at once.
///
/// Large enough for the matrix products to run at full speed, small enough for the activations to stay in
/// a processor's own cache.
pub(crate) const UNIT_TOKENS: usize = 512;

/// A tokenizer and the model it belongs to; clones share them.
///
/// ```no_run
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{Cache, Encoder, Precision};
///
/// let directory = Cache::of_user()?.model(&mut |_| {})?;
/// let pool = MemoryPool::builder().build_bounded(256 << 20);
/// let encoder = Encoder::open(&directory, Precision::F32, &pool)?;
/// let mut worker = encoder.worker(&pool)?;
/// let vectors = worker.embed([Ok("A span is a short view of a buffer.")].into_iter())?;
/// assert_eq!(vectors.len(), encoder.width());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tokenizer: Tokenizer,
    model: Model,
}

impl Encoder {
    /// Opens the directory of a model: `config.json`, `tokenizer.json`, `model.safetensors`. The weights of products
    /// are packed into blocks of the pool.
    ///
    /// # Errors
    ///
    /// When one of them is missing, broken, or of a kind that is not supported, or the pool has no room for the weights.
    pub fn open(directory: &Path, precision: Precision, pool: &BoundedPool) -> Result<Self, EmbedError> {
        let model = Model::open(directory, precision, pool)?;
        let path = directory.join("tokenizer.json");
        if !path.exists() {
            return Err(ModelError::Missing { path }.into());
        }
        let tokenizer = Tokenizer::open(&path, model.config().max_tokens)?;
        Ok(Self { shared: Arc::new(Shared { tokenizer, model }) })
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.shared.tokenizer
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.shared.model
    }

    /// Number of values in an embedding.
    #[must_use]
    pub fn width(&self) -> usize {
        self.model().config().hidden_size
    }

    /// Tokens that a batch has room for.
    pub(crate) fn batch_tokens(&self) -> usize {
        batch_tokens(self.tokenizer().max_tokens())
    }

    /// Rents what one thread needs to embed texts.
    ///
    /// # Errors
    ///
    /// When the pool has no room for that.
    pub fn worker(&self, pool: &BoundedPool) -> Result<Worker, EmbedError> {
        let tokens = self.batch_tokens();
        Ok(Worker {
            encoder: self.clone(),
            pool: pool.clone(),
            batch: Ragged::from_owners(pool.try_rent(tokens)?, pool.try_rent(tokens + 1)?),
            workspace: self.model().workspace(pool, tokens)?,
            tokens: 0,
        })
    }
}

/// Tokens that a batch has room for: whatever the unit had, and one passage of full length that does not fit any more.
pub(crate) fn batch_tokens(max_tokens: usize) -> usize {
    UNIT_TOKENS + max_tokens
}

/// One thread's way through tokenizer and model: a ragged batch and a workspace, rented once.
#[derive(Debug)]
pub struct Worker {
    encoder: Encoder,
    pool: BoundedPool,
    batch: Ragged<u32>,
    workspace: Workspace,
    tokens: u64,
}

impl Worker {
    /// Embeds texts in order: a rented block with one unit vector for each.
    ///
    /// # Errors
    ///
    /// When the pool has no room for the vectors, when tokenizer or model fail, or the first error among the texts
    /// themselves.
    pub fn embed<'t>(
        &mut self,
        texts: impl ExactSizeIterator<Item = Result<&'t str, EmbedError>>,
    ) -> Result<MemoryOwner<f32>, EmbedError> {
        // What an earlier call left behind when it failed half way.
        self.batch.clear();
        let width = self.encoder.width();
        let mut vectors = self.pool.try_rent(texts.len() * width)?;
        let mut done = 0;
        for text in texts {
            let tokens = self.encoder.tokenizer().encode(text?)?;
            if self.batch.push_row(tokens.ids()).is_err() {
                done += self.flush(&mut vectors[done * width..])?;
                self.batch.push_row(tokens.ids()).map_err(|_| ModelError::BatchTooLarge {
                    tokens: tokens.ids().len(),
                    room: self.workspace.tokens(),
                })?;
            }
        }
        self.flush(&mut vectors[done * width..])?;
        Ok(vectors)
    }

    /// Tokens that went through the model so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Carries the batch through the model and empties it; tells how many rows it had.
    fn flush(&mut self, vectors: &mut [f32]) -> Result<usize, EmbedError> {
        let rows = self.batch.rows();
        let vectors = &mut vectors[..rows * self.encoder.width()];
        self.encoder.model().embed(&self.batch, &mut self.workspace, vectors)?;
        self.tokens += self.batch.values().len() as u64;
        self.batch.clear();
        Ok(rows)
    }
}
