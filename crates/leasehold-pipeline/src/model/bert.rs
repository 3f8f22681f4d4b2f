//! The encoder: weights in, ragged batches through, one vector per row out.

use std::path::Path;

use leasehold::{MemoryPool, Ragged};

use super::{
    Config, Workspace,
    attention::{Heads, Projected, attend},
    matmul::{Output, matrix, matrix_mut, multiply},
    pointwise::{LayerNorm, Pointwise},
    weights::{Tensor, Weights},
};
use crate::error::ModelError;

/// A BERT encoder with mean pooling, whose weights lie in a mapped file.
///
/// Immutable and shared by all workers; each brings its own [`Workspace`].
#[derive(Debug)]
pub struct Model {
    config: Config,
    pointwise: Pointwise,
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
    /// The weights are mapped and used in place: this reads the index of the file, no more. The file must not
    /// be written to or cut while the model lives.
    ///
    /// # Errors
    ///
    /// When a file is missing, broken, or of a model that is not a BERT encoder in f32.
    pub fn open(directory: &Path) -> Result<Self, ModelError> {
        let config = Config::open(directory)?;
        let path = directory.join("model.safetensors");
        let mut weights = Weights::open(&path)?;
        let width = config.hidden_size;
        let words = weights.take("embeddings.word_embeddings.weight", &[config.vocabulary, width])?;
        let positions = weights.take("embeddings.position_embeddings.weight", &[config.positions, width])?;
        let kind = weights.take("embeddings.token_type_embeddings.weight", &[2, width])?;
        let norm = Norm::take(&mut weights, "embeddings.LayerNorm", width)?;
        let layers = (0..config.layers)
            .map(|layer| Layer::take(&mut weights, &config, layer))
            .collect::<Result<_, _>>()?;
        Ok(Self { config, pointwise: Pointwise::detect(), words, positions, kind, norm, layers })
    }

    /// The shape of the model.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Rents the blocks that [`embed`](Self::embed) needs for batches of at most `tokens` tokens.
    #[must_use]
    pub fn workspace(&self, pool: &MemoryPool, tokens: usize) -> Workspace {
        Workspace::rent(pool, &self.config, tokens, self.config.max_tokens.min(tokens))
    }

    /// Writes one unit vector of `hidden_size` values into `out` for each row of `batch`.
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
            self.pointwise.mean_unit(&workspace.hidden[row[0] * width..row[1] * width], out);
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
        for row in 0..batch.rows() {
            let places = positions.chunks_exact(width);
            for ((token, place), vector) in batch.row(row).iter().zip(places).zip(&mut vectors) {
                let word = &words[*token as usize * width..][..width];
                for (((value, word), place), kind) in vector.iter_mut().zip(word).zip(place).zip(kind) {
                    *value = word + kind + place;
                }
            }
        }
        self.pointwise.layer_norm(hidden, self.norm.view(&self.config));
    }

    fn attention(&self, layer: &Layer, batch: &Ragged<u32>, workspace: &mut Workspace) {
        let width = self.config.hidden_size;
        let used = ..batch.values().len() * width;
        let hidden = &mut workspace.hidden[used];
        let query = &mut workspace.query[used];
        let key = &mut workspace.key[used];
        let value = &mut workspace.value[used];
        let context = &mut workspace.context[used];
        for (linear, out) in [(&layer.query, &mut *query), (&layer.key, key), (&layer.value, value)] {
            linear.apply(hidden, out);
            self.pointwise.add_bias(out, linear.bias.values());
        }
        let (key, value) = (&workspace.key[used], &workspace.value[used]);
        let heads = Heads { count: self.config.heads, width: self.config.head_width() };
        for row in batch.offsets().windows(2) {
            let row = row[0] * width..row[1] * width;
            let projected =
                Projected { query: &query[row.clone()], key: &key[row.clone()], value: &value[row.clone()] };
            let (scores, sums) = (&mut workspace.scores, &mut workspace.inverse_sums);
            attend(self.pointwise, heads, projected, &mut context[row], scores, sums);
        }
        // The queries are done with; their block takes the next product.
        layer.output.apply(context, query);
        let norm = layer.attention_norm.view(&self.config);
        self.pointwise.add_layer_norm(hidden, query, layer.output.bias.values(), norm);
    }

    /// Widens, activates and narrows one slab of columns at a time, so that a slab stays in cache between
    /// the three and the wide activations never exist as a whole.
    fn feed_forward(&self, layer: &Layer, tokens: usize, workspace: &mut Workspace) {
        let width = self.config.hidden_size;
        let wide = self.config.intermediate_size;
        let hidden = &mut workspace.hidden[..tokens * width];
        let sum = &mut workspace.query[..tokens * width];
        let up = matrix(layer.up.weight.values(), width);
        let down = matrix(layer.down.weight.values(), wide);
        let mut column = 0;
        while column < wide {
            let columns = self.config.inner_slab().min(wide - column);
            let slab = &mut workspace.inner[..tokens * columns];
            let rows = up.submatrix(column, 0, columns, width).transpose();
            multiply(matrix_mut(slab, columns), Output::Replace, matrix(hidden, width), rows, 1.0);
            self.pointwise.bias_gelu(slab, &layer.up.bias.values()[column..column + columns]);
            let output = if column == 0 { Output::Replace } else { Output::Add };
            let rows = down.submatrix(0, column, width, columns).transpose();
            multiply(matrix_mut(sum, width), output, matrix(slab, columns), rows, 1.0);
            column += columns;
        }
        let norm = layer.output_norm.view(&self.config);
        self.pointwise.add_layer_norm(hidden, sum, layer.down.bias.values(), norm);
    }
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    output_norm: Norm,
}

impl Layer {
    fn take(weights: &mut Weights<'_>, config: &Config, layer: usize) -> Result<Self, ModelError> {
        let (width, wide) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let mut linear = |part: &str, rows, columns| Linear::take(weights, &name(part), rows, columns);
        let query = linear("attention.self.query", width, width)?;
        let key = linear("attention.self.key", width, width)?;
        let value = linear("attention.self.value", width, width)?;
        let output = linear("attention.output.dense", width, width)?;
        let up = linear("intermediate.dense", wide, width)?;
        let down = linear("output.dense", width, wide)?;
        let attention_norm = Norm::take(weights, &name("attention.output.LayerNorm"), width)?;
        let output_norm = Norm::take(weights, &name("output.LayerNorm"), width)?;
        Ok(Self { query, key, value, output, attention_norm, up, down, output_norm })
    }
}

/// A learned product: one row of weights per output column, as PyTorch stores it.
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
    columns: usize,
}

impl Linear {
    fn take(weights: &mut Weights<'_>, name: &str, rows: usize, columns: usize) -> Result<Self, ModelError> {
        let weight = weights.take(&format!("{name}.weight"), &[rows, columns])?;
        let bias = weights.take(&format!("{name}.bias"), &[rows])?;
        Ok(Self { weight, bias, columns })
    }

    /// Writes the product without the bias, which the step that follows adds on its way.
    fn apply(&self, input: &[f32], out: &mut [f32]) {
        let weight = matrix(self.weight.values(), self.columns);
        let out = matrix_mut(out, weight.nrows());
        multiply(out, Output::Replace, matrix(input, self.columns), weight.transpose(), 1.0);
    }
}

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn take(weights: &mut Weights<'_>, name: &str, width: usize) -> Result<Self, ModelError> {
        let weight = weights.take(&format!("{name}.weight"), &[width])?;
        let bias = weights.take(&format!("{name}.bias"), &[width])?;
        Ok(Self { weight, bias })
    }

    fn view(&self, config: &Config) -> LayerNorm<'_> {
        LayerNorm { weight: self.weight.values(), bias: self.bias.values(), epsilon: config.epsilon }
    }
}
