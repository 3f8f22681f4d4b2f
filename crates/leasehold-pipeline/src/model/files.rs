//! The files that make a model what it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{config::LIMITS, modules::Modules};
use crate::error::ModelError;

/// Names of the files on which a model's vectors depend, as seen from its directory; not every model has all of them.
///
/// Where the list of modules cannot be understood, and so the model not be opened, Pooling is taken to be in its usual folder.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let pooling = Modules::read(directory).unwrap_or_default().pooling;
    let mut names = vec!["config.json".to_owned()];
    names.extend(LIMITS.map(str::to_owned));
    names.push(format!("{pooling}/config.json"));
    let rest = ["tokenizer.json", "model.safetensors", "modules.json", "tokenizer_config.json"];
    names.extend(rest.map(str::to_owned));
    names
}

/// Reads a JSON file; `None` when there is no such file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Read { path: PathBuf::from(path), source }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| malformed(path, &error.to_string()))
}

pub(super) fn malformed(path: &Path, reason: &str) -> ModelError {
    ModelError::Malformed { path: path.to_owned(), reason: reason.to_owned() }
}

pub(super) fn unsupported(path: &Path, reason: &str) -> ModelError {
    ModelError::Unsupported { path: path.to_owned(), reason: reason.to_owned() }
}
