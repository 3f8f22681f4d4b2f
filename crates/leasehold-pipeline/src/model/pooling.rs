//! How the vectors of a passage's tokens become one.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    files::{malformed, read, unsupported},
    modules::Modules,
};
use crate::error::ModelError;

/// How the vectors of a passage's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first one, which is the classification token's.
    Cls,
}

impl Pooling {
    /// Reads the `config.json` of the model's Pooling; the mean where it has none, as sentence-transformers does.
    pub(super) fn of_model(directory: &Path) -> Result<Self, ModelError> {
        let modules = Modules::read(directory)?;
        let path = directory.join(&modules.pooling).join("config.json");
        match read::<Map<String, Value>>(&path)? {
            Some(raw) => Self::from_modes(&modes(&raw).map_err(|reason| malformed(&path, &reason))?)
                .map_err(|reason| unsupported(&path, &reason)),
            None if modules.listed => {
                let reason = format!("it lists a Pooling, but {} is missing", path.display());
                Err(malformed(&directory.join("modules.json"), &reason))
            }
            None => Ok(Self::Mean),
        }
    }

    fn from_modes(modes: &[&str]) -> Result<Self, String> {
        match modes {
            [] | ["mean" | "pooling_mode_mean_tokens"] => Ok(Self::Mean),
            ["cls" | "pooling_mode_cls_token"] => Ok(Self::Cls),
            others => Err(format!(
                "it pools by {}; only the mean of all tokens or the first one alone is computed here",
                others.join(" and ")
            )),
        }
    }
}

/// The ways of pooling that are asked for, by their names in the file.
///
/// Today's sentence-transformers writes one name, or a list, as `pooling_mode`; earlier ones wrote a boolean for each way. Where a file
/// has both, the booleans do not count.
fn modes(raw: &Map<String, Value>) -> Result<Vec<&str>, String> {
    match raw.get("pooling_mode") {
        Some(Value::String(mode)) => return Ok(vec![mode]),
        Some(Value::Array(modes)) if !modes.is_empty() => {
            let names = modes.iter().map(Value::as_str).collect::<Option<_>>();
            return names.ok_or_else(|| "its pooling_mode has something that is no name".to_owned());
        }
        Some(other) => return Err(format!("its pooling_mode is {other}, not a name")),
        None => {}
    }
    let mut modes = Vec::new();
    for (name, value) in raw.iter().filter(|(name, _)| name.starts_with("pooling_mode_")) {
        match value {
            Value::Bool(true) => modes.push(name.as_str()),
            Value::Bool(false) => {}
            other => return Err(format!("its {name} is {other}, not true or false")),
        }
    }
    Ok(modes)
}
