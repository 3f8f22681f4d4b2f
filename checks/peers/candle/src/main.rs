//! candle's BERT as its example runs it: batches padded to their longest passage, mean pooling over the mask.
//!
//! Usage: `peer-candle MODEL_DIRECTORY PASSAGES BATCH`; set `RAYON_NUM_THREADS` for the number of threads.

use std::{env, fs, path::PathBuf, time::Instant};

use anyhow::{Context, Error};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().context("usage: peer-candle MODEL_DIRECTORY PASSAGES BATCH");
    let (directory, passages, batch) = (PathBuf::from(next()?), next()?, next()?.parse::<usize>()?);
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
    let mut checksum = 0.0;
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
        checksum += unit.get(0)?.get(0)?.to_scalar::<f32>()?;
    }
    println!("{tokens} tokens in {:.3} seconds, checksum {checksum}", started.elapsed().as_secs_f64());
    Ok(())
}
