//! What several tests need.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use leasehold::{BoundedPool, MemoryOwner, MemoryPool, Ragged};
use leasehold_pipeline::{Cache, Document, Encoder, Format, Input, Precision, Source, SourceError};
use tempfile::TempDir;

/// The directory of the real model, fetched into the user's cache on first use.
pub(crate) fn model_directory() -> PathBuf {
    let cache = Cache::of_user().expect("these tests need a place for the model");
    cache.model(&mut |_| {}).unwrap_or_else(|error| panic!("these tests need the model: {error}"))
}

/// A pool that has room for whatever a test needs.
pub(crate) fn pool() -> &'static BoundedPool {
    static POOL: OnceLock<BoundedPool> = OnceLock::new();
    POOL.get_or_init(|| MemoryPool::builder().build_bounded(4 << 30))
}

/// An empty batch with room for so many rows and values.
pub(crate) fn ragged(rows: usize, values: usize) -> Ragged<u32> {
    Ragged::from_owners(pool().try_rent(values).unwrap(), pool().try_rent(rows + 1).unwrap())
}

/// The real model, opened once.
pub(crate) fn encoder() -> &'static Encoder {
    static ENCODER: OnceLock<Encoder> = OnceLock::new();
    ENCODER.get_or_init(|| {
        Encoder::open(&model_directory(), Precision::F32, pool()).expect("the fetched model opens")
    })
}

/// The real tokenizer with a model so small that it takes no time.
pub(crate) fn small_encoder() -> &'static Encoder {
    static ENCODER: OnceLock<Encoder> = OnceLock::new();
    ENCODER.get_or_init(|| {
        let directory = small_directory();
        // The mapping outlives the directory.
        Encoder::open(directory.path(), Precision::F32, pool()).expect("the small model opens")
    })
}

/// A directory with that tokenizer and model.
pub(crate) fn small_directory() -> TempDir {
    let directory = small_model(|config| {
        config["vocab_size"] = 30_522.into();
        config["max_position_embeddings"] = 512.into();
    });
    file(&directory, "sentence_bert_config.json", br#"{"max_seq_length": 256}"#);
    let tokenizer = model_directory().join("tokenizer.json");
    fs::copy(tokenizer, directory.path().join("tokenizer.json")).unwrap();
    directory
}

/// Writes a file.
pub(crate) fn file(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// All documents of an input.
pub(crate) fn read(path: PathBuf, format: Format) -> Result<Vec<Document>, SourceError> {
    Source::open(vec![(Input::from(path), format)], pool())?.collect()
}

/// All documents of an input up to its end or its first error, and that.
pub(crate) fn read_to_error(path: PathBuf, format: Format) -> (Vec<Document>, Option<SourceError>) {
    let mut documents = Vec::new();
    let source = match Source::open(vec![(Input::from(path), format)], pool()) {
        Ok(source) => source,
        Err(error) => return (documents, Some(error)),
    };
    for document in source {
        match document {
            Ok(document) => documents.push(document),
            Err(error) => return (documents, Some(error)),
        }
    }
    (documents, None)
}

/// Line and text of each document.
pub(crate) fn texts(documents: &[Document]) -> Vec<(u64, &str)> {
    documents.iter().map(|document| (document.place.line, document.text().unwrap())).collect()
}

/// One vector per text, computed on this thread.
pub(crate) fn embed(texts: &[&str]) -> MemoryOwner<f32> {
    let mut worker = encoder().worker(pool()).expect("the pool has room");
    worker.embed(texts.iter().map(|text| Ok(*text))).expect("these texts can be embedded")
}

/// The cosine of two vectors, in f64.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// A directory with a small model of its own: width 8, two heads, one layer, weights that count upwards.
pub(crate) fn small_model(change: impl Fn(&mut serde_json::Value)) -> TempDir {
    let directory = TempDir::new().unwrap();
    let mut config = serde_json::json!({
        "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 12, "vocab_size": 5, "max_position_embeddings": 6, "hidden_act": "gelu",
    });
    change(&mut config);
    fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    let mut header = serde_json::Map::new();
    let mut values: Vec<u8> = Vec::new();
    let mut tensor = |name: &str, shape: &[usize]| {
        let start = values.len();
        let count: usize = shape.iter().product();
        values.extend((0..count).flat_map(|i| ((i % 13) as f32 / 13.0 - 0.4).to_le_bytes()));
        let entry =
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, values.len()]});
        header.insert(name.to_owned(), entry);
    };
    let size = |name: &str| config[name].as_u64().unwrap_or(0) as usize;
    tensor("embeddings.word_embeddings.weight", &[size("vocab_size").clamp(5, 1 << 16), 8]);
    tensor("embeddings.position_embeddings.weight", &[size("max_position_embeddings"), 8]);
    tensor("embeddings.token_type_embeddings.weight", &[2, 8]);
    let layer = "encoder.layer.0";
    let norms = ["embeddings", &format!("{layer}.attention.output"), &format!("{layer}.output")];
    for name in norms {
        tensor(&format!("{name}.LayerNorm.weight"), &[8]);
        tensor(&format!("{name}.LayerNorm.bias"), &[8]);
    }
    let linear = [
        ("attention.self.query", 8, 8),
        ("attention.self.key", 8, 8),
        ("attention.self.value", 8, 8),
        ("attention.output.dense", 8, 8),
        ("intermediate.dense", 12, 8),
        ("output.dense", 8, 12),
    ];
    for (name, rows, columns) in linear {
        tensor(&format!("{layer}.{name}.weight"), &[rows, columns]);
        tensor(&format!("{layer}.{name}.bias"), &[rows]);
    }
    write_weights(directory.path(), &serde_json::Value::Object(header).to_string(), &values);
    directory
}

pub(crate) fn write_weights(directory: &Path, header: &str, values: &[u8]) {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(values);
    fs::write(directory.join("model.safetensors"), file).unwrap();
}

/// Numbers that look random and are the same in each run (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}
