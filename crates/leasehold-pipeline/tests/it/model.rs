//! Models and batches that are not as they should be.

use std::fs;

use leasehold_pipeline::{EmbedError, Encoder, Model, ModelError, Precision, TokenizeError};
use tempfile::TempDir;

use crate::support::{encoder, model_directory, pool, ragged, small_model as small, write_weights};

fn vector(model: &Model, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
    let mut batch = ragged(4, 32);
    batch.push_row(ids).unwrap();
    let mut out = vec![0.0; model.config().hidden_size];
    model.embed(&batch, &mut model.workspace(pool(), 32).unwrap(), &mut out)?;
    Ok(out)
}

#[test]
fn weights_need_not_be_aligned() {
    let aligned = small(|_| {});
    let path = aligned.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let expected = vector(&Model::open(aligned.path(), Precision::F32, pool()).unwrap(), &[0, 3, 1]).unwrap();
    for spaces in 0..4 {
        let moved = small(|_| {});
        let header = format!("{header}{}", " ".repeat(spaces));
        write_weights(moved.path(), &header, &bytes[8 + length..]);
        assert_eq!(
            vector(&Model::open(moved.path(), Precision::F32, pool()).unwrap(), &[0, 3, 1]).unwrap(),
            expected
        );
    }
}

#[test]
fn batches_that_a_model_cannot_take_are_errors() {
    let directory = small(|_| {});
    let model = Model::open(directory.path(), Precision::F32, pool()).unwrap();
    let unknown = vector(&model, &[0, 5]).unwrap_err();
    assert!(matches!(unknown, ModelError::UnknownToken { token: 5, vocabulary: 5 }), "{unknown}");
    let empty = vector(&model, &[]).unwrap_err();
    assert!(matches!(empty, ModelError::RowLength { length: 0, .. }), "{empty}");
    let long = vector(&model, &[1; 7]).unwrap_err();
    assert!(matches!(long, ModelError::RowLength { length: 7, most: 6, .. }), "{long}");
    let mut batch = ragged(4, 32);
    batch.push_row(&[1, 2]).unwrap();
    let short = model.embed(&batch, &mut model.workspace(pool(), 32).unwrap(), &mut [0.0; 9]).unwrap_err();
    assert!(matches!(short, ModelError::OutputLength { length: 9, expected: 8 }), "{short}");
    batch.push_row(&[1; 5]).unwrap();
    let large = model.embed(&batch, &mut model.workspace(pool(), 6).unwrap(), &mut [0.0; 16]).unwrap_err();
    assert!(matches!(large, ModelError::BatchTooLarge { tokens: 7, room: 6 }), "{large}");
}

#[test]
fn models_of_other_kinds_are_refused_with_the_reason() {
    let cases = [
        ("model_type", serde_json::json!("distilbert"), "model_type is \"distilbert\""),
        ("hidden_act", serde_json::json!("silu"), "hidden_act is \"silu\""),
        ("is_decoder", serde_json::json!(true), "is a decoder"),
        ("num_attention_heads", serde_json::json!(3), "not a multiple"),
        ("num_attention_heads", serde_json::json!(0), "num_attention_heads is 0"),
        ("hidden_size", serde_json::json!(16), "has shape [5, 8] where config.json says [5, 16]"),
        ("num_hidden_layers", serde_json::json!(2), "no f32 tensor \"encoder.layer.1."),
        ("vocab_size", serde_json::json!(-1), "config.json is broken"),
        ("position_embedding_type", serde_json::json!("relative_key"), "positions are not absolute"),
    ];
    for (name, value, expected) in cases {
        let directory = small(|config| config[name] = value.clone());
        let error = Model::open(directory.path(), Precision::F32, pool()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn a_model_with_another_pooling_is_refused() {
    let directory = small(|_| {});
    fs::create_dir(directory.path().join("1_Pooling")).unwrap();
    let path = directory.path().join("1_Pooling").join("config.json");
    fs::write(&path, r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#).unwrap();
    let error = Model::open(directory.path(), Precision::F32, pool()).unwrap_err();
    assert!(matches!(error, ModelError::Unsupported { .. }), "{error}");
    fs::write(&path, r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#).unwrap();
    Model::open(directory.path(), Precision::F32, pool()).unwrap();
}

#[test]
fn broken_and_missing_files_of_a_model_are_named() {
    let directory = TempDir::new().unwrap();
    let open = || Encoder::open(directory.path(), Precision::F32, pool()).unwrap_err();
    assert!(open().to_string().contains("config.json is missing"), "{}", open());
    fs::copy(model_directory().join("config.json"), directory.path().join("config.json")).unwrap();
    assert!(open().to_string().contains("model.safetensors is missing"), "{}", open());
    let weights = fs::read(model_directory().join("model.safetensors")).unwrap();
    for length in [0, 4, 100, 1_000_000, weights.len() - 1] {
        fs::write(directory.path().join("model.safetensors"), &weights[..length]).unwrap();
        let error = open();
        assert!(matches!(error, EmbedError::Model(ModelError::Malformed { .. })), "{length}: {error}");
    }
    fs::write(directory.path().join("model.safetensors"), &weights).unwrap();
    assert!(open().to_string().contains("tokenizer.json is missing"), "{}", open());
    fs::write(directory.path().join("tokenizer.json"), "{}").unwrap();
    assert!(matches!(open(), EmbedError::Tokenize(TokenizeError::Load { .. })), "{}", open());
}

#[test]
fn a_model_is_shared_by_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(encoder());
}
