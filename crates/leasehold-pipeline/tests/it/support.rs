//! What several tests need.

use std::{path::PathBuf, sync::OnceLock};

use leasehold::MemoryOwner;
use leasehold_pipeline::{Cache, Encoder};

/// The directory of the real model, fetched into the user's cache on first use.
pub(crate) fn model_directory() -> PathBuf {
    let cache = Cache::of_user().expect("these tests need a place for the model");
    cache.model(&mut |_| {}).unwrap_or_else(|error| panic!("these tests need the model: {error}"))
}

/// The real model, opened once.
pub(crate) fn encoder() -> &'static Encoder {
    static ENCODER: OnceLock<Encoder> = OnceLock::new();
    ENCODER.get_or_init(|| Encoder::open(&model_directory()).expect("the fetched model opens"))
}

/// One vector per text, computed on this thread.
pub(crate) fn embed(texts: &[&str]) -> MemoryOwner<f32> {
    let pool = leasehold::MemoryPool::shared();
    encoder().worker(pool).embed(texts.iter().map(|text| Ok(*text))).expect("these texts can be embedded")
}

/// The cosine of two vectors, in f64.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
