//! The encoder: weights in, ragged batches through, one vector per row out.

use std::{fmt, mem, ops::Range, path::Path};

use leasehold::{BoundedPool, Ragged, RentError};

use super::{
    Config, Pooling, Precision, Workspace,
    attention::{Heads, attend},
    kernel::{Kernel, LayerNorm, Line, Then},
    linear::{Linear, Matrix, block_of},
    packing::Packing,
    weights::{Tensor, Weights},
    words::Words,
    workspace::{Inner, SLICE},
};
use crate::error::ModelError;

/// A BERT or RoBERTa encoder with its pooling, whose embeddings lie in a mapped file and whose products are packed.
///
/// Immutable and shared by all workers; each brings its own [`Workspace`].
pub struct Model {
    config: Config,
    precision: Precision,
    kernel: Kernel,
    words: Tensor,
    positions: Tensor,
    /// The embedding of the first token type, the only one that embedding uses.
    kind: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Model {
    /// Opens the model in a directory with `config.json` and `model.safetensors`.
    ///
    /// Embeddings are mapped and used in place; the weights of products are packed once, for all workers, into
    /// blocks of the pool. The file must not be written to or cut while the model lives.
    ///
    /// # Errors
    ///
    /// When a file is missing, broken, or of a model that is not supported, or the pool has no room for the weights.
    pub fn open(directory: &Path, precision: Precision, pool: &BoundedPool) -> Result<Self, ModelError> {
        let config = Config::open(directory)?;
        let path = directory.join("model.safetensors");
        let weights = Weights::open(&path)?;
        let width = config.hidden_size;
        let words = weights.tensor("embeddings.word_embeddings.weight", &[config.vocabulary, width])?;
        let positions =
            weights.tensor("embeddings.position_embeddings.weight", &[config.positions, width])?;
        let kind = weights.tensor("embeddings.token_type_embeddings.weight", &[config.kinds, width])?;
        let norm = Norm::take(&weights, "embeddings.LayerNorm", width)?;
        let layers = (0..config.layers)
            .map(|layer| Layer::take(&weights, &config, precision, layer, pool))
            .collect::<Result<_, _>>()?;
        Ok(Self { config, precision, kernel: Kernel::detect(), words, positions, kind, norm, layers })
    }

    /// Bytes of a pool's budget that the weights take, and that each [`workspace`](Self::workspace) for so many tokens does.
    ///
    /// # Errors
    ///
    /// When no pool could have that much.
    pub fn cost(
        config: &Config,
        precision: Precision,
        pool: &BoundedPool,
        tokens: usize,
    ) -> Result<(usize, usize), RentError> {
        let layer = Layer::cost(config, precision, pool)?;
        Ok((config.layers * layer, Workspace::cost(pool, config, precision, tokens)?))
    }

    /// How exactly it computes.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Rents the blocks that [`embed`](Self::embed) needs for batches of at most `tokens` tokens.
    ///
    /// # Errors
    ///
    /// When the pool has no room for them.
    pub fn workspace(&self, pool: &BoundedPool, tokens: usize) -> Result<Workspace, RentError> {
        Workspace::rent(pool, &self.config, self.precision, tokens)
    }

    /// Writes one unit vector of `hidden_size` values into `out` for each row of `batch`.
    ///
    /// Vectors have length one whether or not the model lists Normalize: cosines are the same, so nothing is lost for who compares
    /// by them. Those of a model without it, made for dot products of vectors of any length, compare by direction alone.
    ///
    /// Runs on the calling thread and allocates nothing of note: what it needs is in `workspace`.
    ///
    /// # Errors
    ///
    /// When the batch does not fit the workspace, a row is empty or longer than the model allows, a token
    /// is not in the vocabulary, or `out` has another length than all the vectors together.
    pub fn embed(
        &self,
        batch: &Ragged<u32>,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let width = self.config.hidden_size;
        self.check(batch, workspace, out)?;
        if batch.rows() == 0 {
            return Ok(());
        }
        self.look_up(batch, workspace);
        for layer in &self.layers {
            self.attention(layer, batch, workspace);
            self.feed_forward(layer, batch.values().len(), workspace);
        }
        for (row, out) in batch.offsets().windows(2).zip(out.chunks_exact_mut(width)) {
            let pooled = match self.config.pooling {
                Pooling::Mean => row[0]..row[1],
                Pooling::Cls => row[0]..row[0] + 1,
            };
            self.kernel.mean_unit(&workspace.hidden[pooled.start * width..pooled.end * width], out);
        }
        Ok(())
    }

    fn check(&self, batch: &Ragged<u32>, workspace: &Workspace, out: &[f32]) -> Result<(), ModelError> {
        let tokens = batch.values().len();
        let width = self.config.hidden_size;
        if tokens > workspace.tokens || workspace.hidden.len() != workspace.tokens * width {
            return Err(ModelError::BatchTooLarge { tokens, room: workspace.tokens });
        }
        if out.len() != batch.rows() * width {
            return Err(ModelError::OutputLength { length: out.len(), expected: batch.rows() * width });
        }
        for (row, bounds) in batch.offsets().windows(2).enumerate() {
            let length = bounds[1] - bounds[0];
            if length == 0 || length > self.config.max_tokens {
                return Err(ModelError::RowLength { row, length, most: self.config.max_tokens });
            }
        }
        let vocabulary = self.config.vocabulary;
        match batch.values().iter().find(|token| **token as usize >= vocabulary) {
            Some(&token) => Err(ModelError::UnknownToken { token, vocabulary }),
            None => Ok(()),
        }
    }

    /// The sum of what a token's word, place and kind mean, normalised.
    fn look_up(&self, batch: &Ragged<u32>, workspace: &mut Workspace) {
        let width = self.config.hidden_size;
        let (words, positions) = (self.words.values(), self.positions.values());
        let kind = &self.kind.values()[..width];
        let hidden = &mut workspace.hidden[..batch.values().len() * width];
        let mut vectors = hidden.chunks_exact_mut(width);
        // The position that RoBERTa leaves out is its padding token's, and has its number.
        let padding = self.config.first_position.checked_sub(1);
        for row in 0..batch.rows() {
            let mut next = self.config.first_position;
            for (token, vector) in batch.row(row).iter().zip(&mut vectors) {
                let is_padding = padding == Some(*token as usize);
                let place = if is_padding { *token as usize } else { next };
                next += usize::from(!is_padding);
                let place = &positions[place * width..][..width];
                let word = &words[*token as usize * width..][..width];
                for (((value, word), place), kind) in vector.iter_mut().zip(word).zip(place).zip(kind) {
                    *value = word + kind + place;
                }
            }
        }
        self.kernel.layer_norm(hidden, self.norm.view(&self.config));
    }

    fn attention(&self, layer: &Layer, batch: &Ragged<u32>, workspace: &mut Workspace) {
        let width = self.config.hidden_size;
        let tokens = batch.values().len();
        let hidden = &workspace.hidden[..tokens * width];
        let projected = &mut workspace.projected[..tokens * 3 * width];
        layer.project.apply(self.kernel, hidden, projected, Then::Store, &mut workspace.words);
        let heads = Heads { count: self.config.heads, width: self.config.head_width() };
        for row in batch.offsets().windows(2) {
            let projected = &projected[row[0] * 3 * width..row[1] * 3 * width];
            let context = &mut workspace.context[row[0] * width..row[1] * width];
            attend(self.kernel, heads, projected, context, &mut workspace.scratch);
        }
    }

    /// What comes after the attention, for one block of tokens after the other, so that a block stays in the processor's
    /// own cache on its way.
    fn feed_forward(&self, layer: &Layer, tokens: usize, workspace: &mut Workspace) {
        let width = self.config.hidden_size;
        let block = block_of(tokens) * width;
        let hidden = workspace.hidden[..tokens * width].chunks_mut(block);
        for (hidden, context) in hidden.zip(workspace.context[..tokens * width].chunks_mut(block)) {
            layer.output.apply(self.kernel, context, hidden, Then::Add, &mut workspace.words);
            self.kernel.layer_norm(hidden, layer.attention_norm.view(&self.config));
            // Each slice takes all of `hidden` as it is here, so what they make of it is gathered elsewhere.
            context.copy_from_slice(hidden);
            self.wide(layer, hidden, context, &mut workspace.inner, &mut workspace.words);
            self.kernel.layer_norm(context, layer.output_norm.view(&self.config));
        }
        mem::swap(&mut workspace.hidden, &mut workspace.context);
    }

    /// Adds to `out` what the wide part makes of a block, slice by slice: of the wide activations only one slice exists.
    fn wide(&self, layer: &Layer, block: &[f32], out: &mut [f32], inner: &mut Inner, words: &mut Words) {
        let width = self.config.hidden_size;
        let Some(first) = layer.wide.first() else { return };
        let mut block = words.take(self.kernel, first.up.format, block, width);
        for slice in &layer.wide {
            let columns = slice.up.columns;
            let values = &mut inner.values[..out.len() / width * columns];
            slice.up.apply_to_block(self.kernel, &mut block, values, Then::Activate(self.config.activation));
            let mut values = inner.words.take(self.kernel, slice.down.format, values, columns);
            slice.down.apply_to_block(self.kernel, &mut values, out, Then::Add);
        }
    }
}

/// Says what the model is, not what it has learned.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("config", &self.config)
            .field("precision", &self.precision)
            .finish_non_exhaustive()
    }
}

struct Layer {
    /// Queries, keys and values in one product.
    project: Linear,
    output: Linear,
    attention_norm: Norm,
    wide: Vec<Slice>,
    output_norm: Norm,
}

/// Some columns of the wide part, and what they give to its result.
struct Slice {
    up: Linear,
    down: Linear,
}

impl Layer {
    fn take(
        weights: &Weights<'_>,
        config: &Config,
        precision: Precision,
        layer: usize,
        pool: &BoundedPool,
    ) -> Result<Self, ModelError> {
        let (width, wide) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let matrix = |part: &str, shape| Matrix::take(weights, &name(part), shape);
        let projections = ["query", "key", "value"]
            .map(|part| matrix(&format!("attention.self.{part}"), (width, width)))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let output = matrix("attention.output.dense", (width, width))?;
        let up = matrix("intermediate.dense", (wide, width))?;
        let down = matrix("output.dense", (width, wide))?;
        let slice = |columns: Range<usize>| {
            Ok::<_, RentError>(Slice {
                up: Linear::of_columns(&up, columns.clone(), precision, pool)?,
                down: Linear::of_inputs(&down, columns, precision, pool)?,
            })
        };
        Ok(Self {
            project: Linear::join(&projections, precision, pool)?,
            output: Linear::join(&[output], precision, pool)?,
            wide: slices(wide).map(slice).collect::<Result<_, _>>()?,
            attention_norm: Norm::take(weights, &name("attention.output.LayerNorm"), width)?,
            output_norm: Norm::take(weights, &name("output.LayerNorm"), width)?,
        })
    }

    fn cost(config: &Config, precision: Precision, pool: &BoundedPool) -> Result<usize, RentError> {
        let width = config.hidden_size;
        let cost = |precision, columns, depth| pool.cost::<Line>(Packing::lines(precision, columns, depth));
        let mut total = cost(precision, 3 * width, width)? + cost(precision, width, width)?;
        for slice in slices(config.intermediate_size) {
            total += cost(precision, slice.len(), width)?;
            total += cost(precision, width, slice.len())?;
        }
        Ok(total)
    }
}

/// The parts that the wide activations are made and used in.
fn slices(wide: usize) -> impl Iterator<Item = Range<usize>> {
    (0..wide).step_by(SLICE).map(move |start| start..wide.min(start + SLICE))
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn take(weights: &Weights<'_>, name: &str, width: usize) -> Result<Self, ModelError> {
        let weight = weights.tensor(&format!("{name}.weight"), &[width])?;
        let bias = weights.tensor(&format!("{name}.bias"), &[width])?;
        Ok(Self { weight, bias })
    }

    fn view(&self, config: &Config) -> LayerNorm<'_> {
        LayerNorm { weight: self.weight.values(), bias: self.bias.values(), epsilon: config.epsilon }
    }
}
