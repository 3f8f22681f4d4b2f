//! Models and batches that are not as they should be.

use std::fs;

use leasehold_pipeline::{Config, EmbedError, Encoder, Model, ModelError, Pooling, Precision, TokenizeError};
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

fn put(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn config(directory: &TempDir) -> Result<Config, String> {
    Config::open(directory.path()).map_err(|error| error.to_string())
}

#[test]
fn pooling_is_read_in_todays_form_and_in_the_earlier_one() {
    let cases = [
        (r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#, Pooling::Mean),
        (r#"{"pooling_mode_cls_token": true, "pooling_mode_lasttoken": false}"#, Pooling::Cls),
        (r#"{"embedding_dimension": 8, "pooling_mode": "mean", "include_prompt": true}"#, Pooling::Mean),
        (r#"{"pooling_mode": "cls"}"#, Pooling::Cls),
        (r#"{"pooling_mode": ["cls"]}"#, Pooling::Cls),
        (r#"{"pooling_mode": "cls", "pooling_mode_mean_tokens": true}"#, Pooling::Cls),
        (r#"{"word_embedding_dimension": 8}"#, Pooling::Mean),
    ];
    let directory = small(|_| {});
    assert_eq!(config(&directory).unwrap().pooling, Pooling::Mean);
    for (text, expected) in cases {
        put(&directory, "1_Pooling/config.json", text);
        assert_eq!(config(&directory).unwrap().pooling, expected, "{text}");
    }
}

#[test]
fn a_model_with_another_pooling_is_refused_by_its_name() {
    let all = r#"{"pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": true, "pooling_mode_weightedmean_tokens": true}"#;
    let cases = [
        (
            r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#,
            "cls_token and pooling_mode_mean",
        ),
        (all, "pooling_mode_lasttoken"),
        (all, "pooling_mode_weightedmean_tokens"),
        (r#"{"pooling_mode_max_tokens": true}"#, "pools by pooling_mode_max_tokens;"),
        (r#"{"pooling_mode_mean_tokens": true, "pooling_mode_unheard_of": true}"#, "pooling_mode_unheard_of"),
        (r#"{"pooling_mode": "lasttoken"}"#, "pools by lasttoken;"),
        (r#"{"pooling_mode": ["mean", "max"]}"#, "pools by mean and max;"),
        (r#"{"pooling_mode": 3}"#, "its pooling_mode is 3, not a name"),
        (r#"{"pooling_mode": []}"#, "its pooling_mode is [], not a name"),
        (r#"{"pooling_mode": [1]}"#, "something that is no name"),
        (r#"{"pooling_mode_mean_tokens": "yes"}"#, "not true or false"),
        ("[]", "config.json is broken"),
    ];
    let directory = small(|_| {});
    for (text, expected) in cases {
        put(&directory, "1_Pooling/config.json", text);
        let error = config(&directory).unwrap_err();
        assert!(
            error.contains(expected) && error.contains("1_Pooling"),
            "{error:?} does not say {expected:?}"
        );
    }
}

/// A list of modules, each with its class and its folder.
fn modules(list: &[(&str, &str)]) -> String {
    let modules = list.iter().map(|(class, path)| serde_json::json!({"type": class, "path": path}));
    serde_json::Value::from_iter(modules).to_string()
}

const TRANSFORMER: (&str, &str) = ("sentence_transformers.models.Transformer", "");
const POOLING: (&str, &str) = ("sentence_transformers.models.Pooling", "1_Pooling");
const NORMALIZE: (&str, &str) = ("sentence_transformers.models.Normalize", "2_Normalize");

#[test]
fn modules_that_are_not_computed_are_refused_with_their_name() {
    let cases = [
        (
            vec![TRANSFORMER, POOLING, ("sentence_transformers.models.Dense", "2_Dense")],
            "models.Dense\" (in \"2_Dense\")",
        ),
        (vec![("custom_st.Transformer", ""), POOLING], "\"custom_st.Transformer\""),
        (vec![TRANSFORMER], "does not list Transformer, Pooling and at most Normalize"),
        (vec![TRANSFORMER, NORMALIZE, POOLING], "in this order"),
        (
            vec![("sentence_transformers.models.Transformer", "0_Transformer"), POOLING],
            "in \"0_Transformer\"",
        ),
        (vec![TRANSFORMER, ("sentence_transformers.models.Pooling", "../elsewhere")], "leads out of"),
        (
            vec![TRANSFORMER, ("sentence_transformers.models.Pooling", "3_Pooling")],
            "3_Pooling/config.json is missing",
        ),
    ];
    let directory = small(|_| {});
    put(&directory, "1_Pooling/config.json", r#"{"pooling_mode": "cls"}"#);
    for (list, expected) in cases {
        put(&directory, "modules.json", &modules(&list));
        let error = config(&directory).unwrap_err();
        assert!(
            error.contains(expected) && error.contains("modules.json"),
            "{error:?} does not say {expected:?}"
        );
    }
    put(&directory, "modules.json", "{}");
    assert!(config(&directory).unwrap_err().contains("modules.json is broken"));
    put(&directory, "modules.json", &modules(&[TRANSFORMER, POOLING, NORMALIZE]));
    assert_eq!(config(&directory).unwrap().pooling, Pooling::Cls);
    put(&directory, "2_Normalize/config.json", r#"{"module_input_name": "token_embeddings"}"#);
    assert!(config(&directory).unwrap_err().contains("normalises \"token_embeddings\""));
}

#[test]
fn the_list_of_modules_says_where_pooling_is_and_vectors_have_length_one_without_normalize() {
    let directory = small(|_| {});
    put(&directory, "1_Pooling/config.json", r#"{"pooling_mode": "max"}"#);
    put(&directory, "pooling/config.json", r#"{"pooling_mode": "cls"}"#);
    let today = [
        ("sentence_transformers.base.modules.transformer.Transformer", ""),
        ("sentence_transformers.sentence_transformer.modules.pooling.Pooling", "pooling"),
    ];
    put(&directory, "modules.json", &modules(&today));
    assert_eq!(config(&directory).unwrap().pooling, Pooling::Cls);
    let model = Model::open(directory.path(), Precision::F32, pool()).unwrap();
    let vector = vector(&model, &[0, 3, 1]).unwrap();
    let length = vector.iter().map(|value| value * value).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-6, "{length}");
}

#[test]
fn the_longest_passage_is_what_the_model_says_before_what_its_tokenizer_says() {
    const LARGE: &str = r#"{"model_max_length": 1000000000000000019884624838656}"#;
    let directory = small(|config| config["max_position_embeddings"] = 50.into());
    assert_eq!(config(&directory).unwrap().max_tokens, 50);
    let cases = [
        (LARGE, r#"{"transformer_task": "feature-extraction"}"#, 50),
        (r#"{"model_max_length": null}"#, "{}", 50),
        (r#"{"model_max_length": 24}"#, r#"{"max_seq_length": null}"#, 24),
        (r#"{"model_max_length": 24}"#, r#"{"max_seq_length": 32}"#, 32),
        (r#"{"model_max_length": 512}"#, "{}", 50),
        (LARGE, r#"{"max_seq_length": 1e30}"#, 50),
    ];
    for (tokenizer, own, expected) in cases {
        put(&directory, "tokenizer_config.json", tokenizer);
        put(&directory, "sentence_bert_config.json", own);
        assert_eq!(config(&directory).unwrap().max_tokens, expected, "{tokenizer} {own}");
    }
    for wrong in ["0", "1", "-5", "12.5"] {
        put(&directory, "sentence_bert_config.json", &format!(r#"{{"max_seq_length": {wrong}}}"#));
        let error = config(&directory).unwrap_err();
        assert!(error.contains("sentence_bert_config.json") && error.contains(wrong), "{error}");
    }
    fs::remove_file(directory.path().join("sentence_bert_config.json")).unwrap();
    put(&directory, "sentence_roberta_config.json", r#"{"max_seq_length": 40}"#);
    assert_eq!(config(&directory).unwrap().max_tokens, 40);
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
