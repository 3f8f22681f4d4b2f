//! The cache of models.

use std::fs;

use leasehold_pipeline::{Cache, FileState};
use tempfile::TempDir;

use crate::support::model_directory;

#[test]
fn a_model_that_is_not_whole_is_not_taken_for_one() {
    let directory = TempDir::new().unwrap();
    let model = directory.path().join("all-MiniLM-L6-v2");
    fs::create_dir(&model).unwrap();
    for name in ["config.json", "sentence_bert_config.json", "tokenizer.json"] {
        fs::copy(model_directory().join(name), model.join(name)).unwrap();
    }
    fs::write(model.join("model.safetensors"), "cut off").unwrap();
    let mut events = Vec::new();
    let fetched = Cache::new(directory.path().to_owned()).model(&mut |event| events.push(event));
    let fetched = fetched.unwrap_or_else(|error| panic!("this test fetches the model: {error}"));
    assert_eq!(fs::metadata(fetched.join("model.safetensors")).unwrap().len(), 90_868_376);
    assert!(!events.is_empty());
    // Asked again, it is there.
    let again = Cache::new(directory.path().to_owned()).model(&mut |event| panic!("{event:?}"));
    assert_eq!(again.unwrap(), fetched);
    let left = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 2, "the model and the lock are all that is left");
}

#[test]
fn a_model_is_verified_file_by_file() {
    let directory = TempDir::new().unwrap();
    let cache = Cache::new(directory.path().to_owned());
    assert!(!cache.has_model());
    assert!(cache.verify().iter().all(|check| matches!(check.state, FileState::Missing)));
    let model = cache.model_directory();
    fs::create_dir(&model).unwrap();
    for check in Cache::of_user().unwrap().verify() {
        fs::copy(
            model_directory().join(check.path.file_name().unwrap()),
            model.join(check.path.file_name().unwrap()),
        )
        .unwrap();
    }
    assert!(cache.has_model());
    assert!(cache.verify().iter().all(|check| matches!(check.state, FileState::Whole { .. })));
    // As long as it was, and still not what it should be.
    let config = model.join("config.json");
    let changed = fs::read_to_string(&config).unwrap().replace("bert", "BERT");
    fs::write(&config, changed).unwrap();
    assert!(cache.has_model());
    let wrong: Vec<_> = cache
        .verify()
        .into_iter()
        .filter(|check| !matches!(check.state, FileState::Whole { .. }))
        .map(|check| check.path)
        .collect();
    assert_eq!(wrong, [config]);
    let sum: u64 = cache.verify().iter().map(|check| fs::metadata(&check.path).unwrap().len()).sum();
    assert_eq!(sum, Cache::MODEL_BYTES);
}
