//! candle's BERT as its example runs it: batches padded to their longest passage, mean pooling over the mask.
//!
//! Usage: `peer-candle MODEL_DIRECTORY PASSAGES BATCH VECTORS`; set `RAYON_NUM_THREADS` for the number of threads. The
//! vectors are written back to back, as f32.

use std::{env, fs, path::PathBuf, time::Instant};

use anyhow::{Context, Error};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().context("usage: peer-candle MODEL_DIRECTORY PASSAGES BATCH VECTORS");
    let (directory, passages, batch) = (PathBuf::from(next()?), next()?, next()?.parse::<usize>()?);
    let written = next()?;
    let config: Config = serde_json::from_slice(&fs::read(directory.join("config.json"))?)?;
    let weights = fs::read(directory.join("model.safetensors"))?;
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
    let model = BertModel::load(weights, &config)?;
    let mut tokenizer = Tokenizer::from_file(directory.join("tokenizer.json")).map_err(Error::msg)?;
    tokenizer.with_padding(Some(PaddingParams::default()));
    let truncation = TruncationParams { max_length: 256, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(Error::msg)?;
    let text = fs::read_to_string(passages)?;
    let started = Instant::now();
    let texts: Vec<&str> = text.lines().collect();
    let mut tokens = 0;
    let mut vectors = Vec::new();
    for texts in texts.chunks(batch) {
        let encodings = tokenizer.encode_batch(texts.to_vec(), true).map_err(Error::msg)?;
        let rows = |pick: fn(&tokenizers::Encoding) -> &[u32]| {
            encodings.iter().map(|row| Tensor::new(pick(row), &Device::Cpu)).collect::<Result<Vec<_>, _>>()
        };
        let ids = Tensor::stack(&rows(|row| row.get_ids())?, 0)?;
        let mask = Tensor::stack(&rows(|row| row.get_attention_mask())?, 0)?;
        tokens += mask.sum_all()?.to_scalar::<u32>()?;
        let hidden = model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let mean = hidden.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?;
        let unit = mean.broadcast_div(&mean.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)?;
        vectors.extend(unit.flatten_all()?.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes));
    }
    println!("{tokens} tokens in {:.3} seconds", started.elapsed().as_secs_f64());
    fs::write(written, vectors)?;
    Ok(())
}
