//! The shape of a model, as `config.json` and its neighbours state it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::error::ModelError;

/// Tokens that a passage may have, special ones included, where the model does not say.
const DEFAULT_MAX_TOKENS: usize = 256;

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
    /// What is added to a variance before it divides.
    pub epsilon: f32,
    /// Longest passage in tokens, special ones included; the rest is cut off.
    pub max_tokens: usize,
}

impl Config {
    /// Reads `config.json`, and where they exist `sentence_bert_config.json` and `1_Pooling/config.json`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, is not the JSON it should be, or describes a model of another kind.
    pub fn open(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join("config.json");
        let raw: RawConfig = read(&path)?.ok_or_else(|| ModelError::Missing { path: path.clone() })?;
        let limits: RawLimits = read(&directory.join("sentence_bert_config.json"))?.unwrap_or_default();
        let pooling_path = directory.join("1_Pooling").join("config.json");
        if let Some(pooling) = read::<RawPooling>(&pooling_path)?
            && !pooling.is_mean()
        {
            return Err(unsupported(&pooling_path, "it pools otherwise than by the mean of all tokens"));
        }
        raw.check(&path)?;
        Ok(Self {
            hidden_size: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate_size: raw.intermediate_size,
            vocabulary: raw.vocab_size,
            positions: raw.max_position_embeddings,
            epsilon: raw.layer_norm_eps,
            max_tokens: limits
                .max_seq_length
                .unwrap_or(DEFAULT_MAX_TOKENS)
                .clamp(2, raw.max_position_embeddings),
        })
    }

    /// Width of one head.
    #[must_use]
    pub fn head_width(&self) -> usize {
        self.hidden_size / self.heads
    }

    /// How many columns of the feed-forward part are computed at a time, so that they stay in cache.
    pub(super) fn inner_slab(&self) -> usize {
        self.hidden_size.min(self.intermediate_size)
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
}

impl RawConfig {
    fn default_epsilon() -> f32 {
        1e-12
    }

    fn default_activation() -> String {
        "gelu".to_owned()
    }

    fn check(&self, path: &Path) -> Result<(), ModelError> {
        if self.model_type != "bert" {
            return Err(unsupported(path, &format!("its model_type is {:?}, not \"bert\"", self.model_type)));
        }
        if self.hidden_act != "gelu" {
            return Err(unsupported(path, &format!("its hidden_act is {:?}, not \"gelu\"", self.hidden_act)));
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
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(unsupported(path, "its hidden_size is not a multiple of its num_attention_heads"));
        }
        Ok(())
    }
}

#[derive(Default, Deserialize)]
struct RawLimits {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct RawPooling {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
}

impl RawPooling {
    fn is_mean(&self) -> bool {
        self.pooling_mode_mean_tokens
            && !self.pooling_mode_cls_token
            && !self.pooling_mode_max_tokens
            && !self.pooling_mode_mean_sqrt_len_tokens
    }
}

fn unsupported(path: &Path, reason: &str) -> ModelError {
    ModelError::Unsupported { path: path.to_owned(), reason: reason.to_owned() }
}

/// Reads a JSON file; `None` when there is no such file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Read { path: PathBuf::from(path), source }),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| ModelError::Malformed { path: path.to_owned(), reason: error.to_string() })
}
