//! Models of every supported shape, made up here, against a slow and obvious forward pass in f64.

use std::{collections::HashMap, fs};

use leasehold_pipeline::{Model, Precision};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Random, cosine, pool, ragged, write_weights};

/// A made-up model: its directory, and the same values for the oracle.
pub(crate) struct Made {
    pub(crate) directory: TempDir,
    config: Value,
    pooling: &'static str,
    tensors: HashMap<String, Vec<f64>>,
}

/// Makes a model as `config` says, with weights in no order and names that begin with `prefix`.
pub(crate) fn make(config: &Value, prefix: &str, pooling: &'static str) -> Made {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    fs::create_dir(directory.path().join("1_Pooling")).unwrap();
    let modes =
        json!({"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"});
    fs::write(directory.path().join("1_Pooling/config.json"), modes.to_string()).unwrap();
    let mut writer = Writer { prefix, ..Writer::default() };
    let size = |name: &str| config[name].as_u64().unwrap() as usize;
    let (width, wide) = (size("hidden_size"), size("intermediate_size"));
    writer.put("embeddings.word_embeddings.weight", &[size("vocab_size"), width], 0.0, 1.0);
    writer.put("embeddings.position_embeddings.weight", &[size("max_position_embeddings"), width], 0.0, 1.0);
    writer.put("embeddings.token_type_embeddings.weight", &[size("type_vocab_size"), width], 0.0, 1.0);
    writer.norm("embeddings", width);
    for layer in 0..size("num_hidden_layers") {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        for part in ["query", "key", "value"] {
            writer.linear(&name(&format!("attention.self.{part}")), width, width);
        }
        writer.linear(&name("attention.output.dense"), width, width);
        writer.norm(&name("attention.output"), width);
        writer.linear(&name("intermediate.dense"), wide, width);
        writer.linear(&name("output.dense"), width, wide);
        writer.norm(&name("output"), width);
    }
    let header = Value::Object(writer.header).to_string();
    write_weights(directory.path(), &header, &writer.bytes);
    Made { directory, config: config.clone(), pooling, tensors: writer.tensors }
}

/// Collects tensors as a file of weights and as values.
#[derive(Default)]
struct Writer<'a> {
    prefix: &'a str,
    header: serde_json::Map<String, Value>,
    bytes: Vec<u8>,
    tensors: HashMap<String, Vec<f64>>,
    state: u32,
}

impl Writer<'_> {
    fn put(&mut self, name: &str, shape: &[usize], middle: f32, spread: f32) {
        let start = self.bytes.len();
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| {
                self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                middle + spread * ((self.state >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect();
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, self.bytes.len()]});
        self.header.insert(format!("{}{name}", self.prefix), entry);
        self.tensors.insert(name.to_owned(), values.into_iter().map(f64::from).collect());
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.put(&format!("{name}.LayerNorm.weight"), &[width], 1.0, 0.3);
        self.put(&format!("{name}.LayerNorm.bias"), &[width], 0.0, 0.2);
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize) {
        self.put(&format!("{name}.weight"), &[rows, columns], 0.0, 2.0 / (columns as f32).sqrt());
        self.put(&format!("{name}.bias"), &[rows], 0.0, 0.3);
    }
}

/// The oracle: one passage, one token, one value at a time.
impl Made {
    fn size(&self, name: &str) -> usize {
        self.config[name].as_u64().unwrap() as usize
    }

    pub(crate) fn embed(&self, ids: &[u32]) -> Vec<f64> {
        let width = self.size("hidden_size");
        // RoBERTa numbers what is not padding from behind the number of the padding token, which all padding has.
        let padding = match self.config["model_type"].as_str().unwrap() {
            "bert" => None,
            _ => Some(self.size("pad_token_id")),
        };
        let counted = |ids: &[u32]| ids.iter().filter(|id| Some(**id as usize) != padding).count();
        let position = |place: usize| match padding {
            None => place,
            Some(padding) if ids[place] as usize == padding => padding,
            Some(padding) => padding + counted(&ids[..=place]),
        };
        let table = |name: &str, row: usize| {
            self.tensors[&format!("embeddings.{name}_embeddings.weight")][row * width..][..width].to_vec()
        };
        let mut hidden: Vec<Vec<f64>> = ids
            .iter()
            .enumerate()
            .map(|(place, id)| {
                let kind = add(&table("position", position(place)), &table("token_type", 0));
                self.norm("embeddings", &add(&table("word", *id as usize), &kind))
            })
            .collect();
        for layer in 0..self.size("num_hidden_layers") {
            hidden = self.layer(&format!("encoder.layer.{layer}"), &hidden);
        }
        let mut pooled = match self.pooling {
            "cls" => hidden[0].clone(),
            _ => hidden.iter().fold(vec![0.0; width], |sum, vector| add(&sum, vector)),
        };
        let length = pooled.iter().map(|value| value * value).sum::<f64>().sqrt();
        pooled.iter_mut().for_each(|value| *value /= length);
        pooled
    }

    fn layer(&self, name: &str, hidden: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [queries, keys, values] = ["query", "key", "value"].map(|part| {
            hidden
                .iter()
                .map(|vector| self.linear(&format!("{name}.attention.self.{part}"), vector))
                .collect::<Vec<_>>()
        });
        let width = self.size("hidden_size");
        let head_width = width / self.size("num_attention_heads");
        let mut out = Vec::new();
        for (vector, query) in hidden.iter().zip(&queries) {
            let mut context = Vec::new();
            for head in (0..width).step_by(head_width) {
                let part = head..head + head_width;
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|key| {
                        (dot(&query[part.clone()], &key[part.clone()]) / (head_width as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                context.extend(part.map(|column| {
                    scores
                        .iter()
                        .zip(&values)
                        .map(|(score, value)| score / total * value[column])
                        .sum::<f64>()
                }));
            }
            let context = self.linear(&format!("{name}.attention.output.dense"), &context);
            let vector = self.norm(&format!("{name}.attention.output"), &add(vector, &context));
            let mut inner = self.linear(&format!("{name}.intermediate.dense"), &vector);
            inner.iter_mut().for_each(|value| *value = self.activation(*value));
            let inner = self.linear(&format!("{name}.output.dense"), &inner);
            out.push(self.norm(&format!("{name}.output"), &add(&vector, &inner)));
        }
        out
    }

    fn linear(&self, name: &str, vector: &[f64]) -> Vec<f64> {
        let rows = self.tensors[&format!("{name}.weight")].chunks_exact(vector.len());
        rows.zip(&self.tensors[&format!("{name}.bias")]).map(|(row, bias)| dot(row, vector) + bias).collect()
    }

    fn norm(&self, name: &str, vector: &[f64]) -> Vec<f64> {
        let count = vector.len() as f64;
        let mean = vector.iter().sum::<f64>() / count;
        let variance = vector.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let epsilon = self.config["layer_norm_eps"].as_f64().unwrap();
        let learned = |part: &str| &self.tensors[&format!("{name}.LayerNorm.{part}")];
        vector
            .iter()
            .zip(learned("weight").iter().zip(learned("bias")))
            .map(|(value, (weight, bias))| (value - mean) / (variance + epsilon).sqrt() * weight + bias)
            .collect()
    }

    fn activation(&self, x: f64) -> f64 {
        match self.config["hidden_act"].as_str().unwrap() {
            "relu" => x.max(0.0),
            "gelu" => x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            _ => x * 0.5 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()),
        }
    }
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The error function by its series.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// Embeds passages of many lengths, alone and together, and returns the worst cosine to the oracle.
fn worst(made: &Made, precision: Precision) -> f64 {
    let model = Model::open(made.directory.path(), precision, pool()).unwrap();
    let vocabulary = made.size("vocab_size") as u32;
    let passages: Vec<Vec<u32>> = [1, 2, 3, 13, 14, 15, 31, 32, 33, 50]
        .iter()
        .map(|length| (0..*length).map(|place| (place * 7 + length * 5) % vocabulary).collect())
        .collect();
    let tokens = passages.iter().map(Vec::len).sum();
    let mut batch = ragged(passages.len(), tokens);
    for passage in &passages {
        batch.push_row(passage).unwrap();
    }
    let width = model.config().hidden_size;
    let mut out = vec![0.0; passages.len() * width];
    model.embed(&batch, &mut model.workspace(pool(), tokens).unwrap(), &mut out).unwrap();
    let compare = |(passage, vector): (&Vec<u32>, &[f32])| {
        let exact: Vec<f32> = made.embed(passage).iter().map(|value| *value as f32).collect();
        cosine(vector, &exact)
    };
    passages.iter().zip(out.chunks_exact(width)).map(compare).fold(1.0, f64::min)
}

pub(crate) fn shape(model_type: &str, width: usize, heads: usize, wide: usize, activation: &str) -> Value {
    json!({
        "model_type": model_type, "hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": 2,
        "intermediate_size": wide, "vocab_size": 40, "max_position_embeddings": 60, "hidden_act": activation,
        "layer_norm_eps": 1e-5, "type_vocab_size": if model_type == "bert" { 2 } else { 1 }, "pad_token_id": 1,
    })
}

#[test]
fn every_shape_gives_what_the_slow_forward_pass_gives() {
    let cases = [
        (shape("bert", 24, 3, 40, "gelu"), "", "mean"),
        (shape("bert", 7, 1, 5, "relu"), "bert.", "cls"),
        (shape("bert", 96, 2, 130, "gelu_new"), "", "cls"),
        (shape("bert", 80, 2, 64, "gelu_pytorch_tanh"), "bert.", "mean"),
        (shape("roberta", 64, 1, 33, "gelu"), "roberta.", "mean"),
        (shape("xlm-roberta", 36, 4, 70, "gelu"), "", "cls"),
    ];
    for (config, prefix, pooling) in cases {
        let made = make(&config, prefix, pooling);
        let bounds = [
            (Precision::F32, 1.0 - 1e-6),
            (Precision::Bf16, 0.999),
            (Precision::Int16, 0.9999),
            (Precision::Int8, 0.98),
        ];
        for (precision, least) in bounds {
            let worst = worst(&made, precision);
            assert!(worst >= least, "{precision:?}: {worst} for {config} with {pooling}");
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_whatever_batch_it_is() {
    let shapes = [shape("bert", 24, 3, 40, "gelu"), shape("roberta", 36, 2, 70, "relu")];
    let precisions = [Precision::F32, Precision::Bf16, Precision::Int16, Precision::Int8];
    for (seed, (shape, precision)) in
        shapes.iter().flat_map(|shape| precisions.map(|precision| (shape, precision))).enumerate()
    {
        let made = make(shape, "", if seed % 2 == 0 { "mean" } else { "cls" });
        let model = Model::open(made.directory.path(), precision, pool()).unwrap();
        let width = model.config().hidden_size;
        let mut random = Random::new(seed as u64 + 1);
        let rows: Vec<Vec<u32>> = (0..120)
            .map(|_| {
                let longest = [4, 20, 58][random.below(3)];
                let length = 1 + random.below(longest);
                (0..length).map(|_| random.below(40) as u32).collect()
            })
            .collect();
        let mut workspace = model.workspace(pool(), 16 * 58).unwrap();
        let mut embed = |rows: &[&Vec<u32>]| {
            let mut batch = ragged(rows.len(), rows.iter().map(|row| row.len()).sum());
            rows.iter().for_each(|row| batch.push_row(row).unwrap());
            let mut out = vec![0.0; rows.len() * width];
            model.embed(&batch, &mut workspace, &mut out).unwrap();
            out.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
        };
        let alone: Vec<Vec<u32>> = rows.iter().map(|row| embed(&[row])).collect();
        for case in 0..60 {
            let picked: Vec<usize> = (0..=random.below(16)).map(|_| random.below(rows.len())).collect();
            let together = embed(&picked.iter().map(|row| &rows[*row]).collect::<Vec<_>>());
            for (row, vector) in picked.iter().zip(together.chunks_exact(width)) {
                assert_eq!(vector, alone[*row], "{precision:?}, case {case}, row {row} of {picked:?}");
            }
        }
    }
}
