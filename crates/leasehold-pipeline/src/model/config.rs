//! The shape of a model, as `config.json` and its neighbours state it.

use std::path::Path;

use serde::Deserialize;

use super::{
    Pooling,
    files::{read, unsupported},
    kernel::Activation,
};
use crate::error::ModelError;

/// Where sentence-transformers keeps the longest passage of a model; the first that is there counts.
pub(super) const LIMITS: [&str; 4] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
];

/// The shape of a BERT encoder and how it is to be used.
#[derive(Clone, Debug)]
pub struct Config {
    /// Width of a token's vector, and of the embedding.
    pub hidden_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of attention heads; they share the width equally.
    pub heads: usize,
    /// Width between the two products of the feed-forward part.
    pub intermediate_size: usize,
    /// Number of tokens in the vocabulary.
    pub vocabulary: usize,
    /// Number of positions the model has learned.
    pub positions: usize,
    /// Kinds of token that the model has learned; embedding uses the first.
    pub kinds: usize,
    /// The position of a passage's first token; RoBERTa leaves out as many as its padding token's number, and one more.
    /// A padding token that stands in a text has the position before this one there, and is not counted in those of others.
    pub first_position: usize,
    /// What comes between the two products of the feed-forward part.
    pub activation: Activation,
    /// How the vectors of a passage's tokens become one.
    pub pooling: Pooling,
    /// What is added to a variance before it divides.
    pub epsilon: f32,
    /// Longest passage in tokens, special ones included; the rest is cut off.
    pub max_tokens: usize,
}

impl Config {
    /// Reads `config.json`, and where they exist `modules.json`, Pooling's `config.json`, `sentence_bert_config.json` and
    /// `tokenizer_config.json`, as sentence-transformers does.
    ///
    /// The longest passage is the `max_seq_length` of `sentence_bert_config.json`, else the tokenizer's `model_max_length`, else
    /// what the model has positions for, and never more than that.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, is not the JSON it should be, or describes a model of another kind: one that has
    /// modules besides Transformer, Pooling and Normalize, or that pools otherwise than [`Pooling`] can.
    pub fn open(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join("config.json");
        let raw: RawConfig = read(&path)?.ok_or_else(|| ModelError::Missing { path: path.clone() })?;
        let pooling = Pooling::of_model(directory)?;
        raw.check(&path)?;
        let first_position = raw.first_position();
        Ok(Self {
            hidden_size: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate_size: raw.intermediate_size,
            vocabulary: raw.vocab_size,
            positions: raw.max_position_embeddings,
            kinds: raw.type_vocab_size,
            first_position,
            activation: raw.activation(&path)?,
            pooling,
            epsilon: raw.layer_norm_eps,
            max_tokens: max_tokens(directory, raw.max_position_embeddings - first_position)?,
        })
    }

    /// Width of one head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.heads
    }
}

#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "RawConfig::default_epsilon")]
    layer_norm_eps: f32,
    #[serde(default = "RawConfig::default_activation")]
    hidden_act: String,
    position_embedding_type: Option<String>,
    #[serde(default = "RawConfig::default_kinds")]
    type_vocab_size: usize,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    is_decoder: bool,
}

impl RawConfig {
    fn default_epsilon() -> f32 {
        1e-12
    }

    fn default_activation() -> String {
        "gelu".to_owned()
    }

    fn default_kinds() -> usize {
        2
    }

    fn is_roberta(&self) -> bool {
        ["roberta", "xlm-roberta", "camembert"].contains(&self.model_type.as_str())
    }

    fn first_position(&self) -> usize {
        if self.is_roberta() { self.pad_token_id.unwrap_or(1).saturating_add(1) } else { 0 }
    }

    fn activation(&self, path: &Path) -> Result<Activation, ModelError> {
        match self.hidden_act.as_str() {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            other => {
                Err(unsupported(path, &format!("its hidden_act is {other:?}, not gelu, gelu_new or relu")))
            }
        }
    }

    fn check(&self, path: &Path) -> Result<(), ModelError> {
        if self.model_type != "bert" && !self.is_roberta() {
            let kind = &self.model_type;
            return Err(unsupported(
                path,
                &format!("its model_type is {kind:?}, not bert, roberta or xlm-roberta"),
            ));
        }
        if self.is_decoder {
            return Err(unsupported(path, "it is a decoder"));
        }
        if self.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return Err(unsupported(path, "its positions are not absolute"));
        }
        let sizes = [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("intermediate_size", self.intermediate_size, 1 << 18),
            ("vocab_size", self.vocab_size, 1 << 26),
            ("type_vocab_size", self.type_vocab_size, 1 << 10),
        ];
        for (name, size, most) in sizes {
            if size == 0 || size > most {
                return Err(unsupported(path, &format!("its {name} is {size}, not 1 to {most}")));
            }
        }
        if !(2..=1 << 20).contains(&self.max_position_embeddings) {
            let positions = self.max_position_embeddings;
            return Err(unsupported(path, &format!("its max_position_embeddings is {positions}")));
        }
        if self.first_position() > self.max_position_embeddings - 2 {
            return Err(unsupported(path, "its pad_token_id leaves no positions"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(unsupported(path, "its hidden_size is not a multiple of its num_attention_heads"));
        }
        Ok(())
    }
}

/// Tokens that a passage may have, of `most` that there are positions for.
fn max_tokens(directory: &Path, most: usize) -> Result<usize, ModelError> {
    let mut limit = None;
    for name in LIMITS {
        let path = directory.join(name);
        if let Some(raw) = read::<RawLimits>(&path)? {
            limit = raw.max_seq_length.map(|limit| (path, "max_seq_length", limit));
            break;
        }
    }
    if limit.is_none() {
        let path = directory.join("tokenizer_config.json");
        let raw: RawTokenizer = read(&path)?.unwrap_or_default();
        limit = raw.model_max_length.map(|limit| (path, "model_max_length", limit));
    }
    match limit {
        Some((path, name, limit)) if limit < 2.0 || limit.fract() != 0.0 => {
            Err(unsupported(&path, &format!("its {name} is {limit}, not a number of tokens from 2 on")))
        }
        // Tokenizers without a limit say 1e30.
        Some((_, _, limit)) if limit < most as f64 => Ok(limit as usize),
        _ => Ok(most),
    }
}

#[derive(Default, Deserialize)]
struct RawLimits {
    max_seq_length: Option<f64>,
}

#[derive(Default, Deserialize)]
struct RawTokenizer {
    model_max_length: Option<f64>,
}
