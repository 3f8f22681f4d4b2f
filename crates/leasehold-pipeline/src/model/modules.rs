//! The steps that a model is made of, as sentence-transformers lists them.

use std::path::{Component, Path};

use serde::Deserialize;

use super::files::{malformed, read, unsupported};
use crate::error::ModelError;

/// Where Pooling is in a model that has no list.
const POOLING: &str = "1_Pooling";

/// What `modules.json` says, once it is known to list nothing but what is computed here.
pub(super) struct Modules {
    /// The folder of Pooling's `config.json`.
    pub(super) pooling: String,
    /// Whether there is a list.
    pub(super) listed: bool,
}

impl Modules {
    /// Reads `modules.json`. Without that file a model is its Transformer, and Pooling if its folder is there.
    pub(super) fn read(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join("modules.json");
        let Some(modules) = read::<Vec<Module>>(&path)? else { return Ok(Self::default()) };
        for module in &modules {
            module.check(directory, &path)?;
        }
        let kinds: Vec<Option<Kind>> = modules.iter().map(Module::kind).collect();
        match kinds.as_slice() {
            [Some(Kind::Transformer), Some(Kind::Pooling), rest @ ..]
                if rest.iter().all(|kind| *kind == Some(Kind::Normalize)) =>
            {
                Ok(Self { pooling: modules[1].path.clone(), listed: true })
            }
            _ => Err(unsupported(
                &path,
                "it does not list Transformer, Pooling and at most Normalize, in this order",
            )),
        }
    }
}

impl Default for Modules {
    fn default() -> Self {
        Self { pooling: POOLING.to_owned(), listed: false }
    }
}

#[derive(Deserialize)]
struct Module {
    /// The class in Python.
    #[serde(rename = "type")]
    class: String,
    /// The folder with its files.
    #[serde(default)]
    path: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transformer,
    Pooling,
    Normalize,
}

impl Module {
    /// What it is; its package has moved from one release to the next, its name has not.
    fn kind(&self) -> Option<Kind> {
        let name = self.class.strip_prefix("sentence_transformers.")?;
        match name.rsplit('.').next()? {
            "Transformer" => Some(Kind::Transformer),
            "Pooling" => Some(Kind::Pooling),
            "Normalize" => Some(Kind::Normalize),
            _ => None,
        }
    }

    fn check(&self, directory: &Path, list: &Path) -> Result<(), ModelError> {
        let Self { class, path } = self;
        let refused = |reason: String| Err(unsupported(list, &reason));
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(path).components().all(inside) {
            return Err(malformed(list, &format!("the path {path:?} leads out of the model's directory")));
        }
        match self.kind() {
            None => refused(format!(
                "it lists the module {class:?} (in {path:?}), which is not computed here, so the vectors would be \
                 wrong; use a model of Transformer, Pooling and Normalize alone"
            )),
            Some(Kind::Transformer) if Path::new(path).components().any(|part| part != Component::CurDir) => {
                refused(format!(
                    "its Transformer is in {path:?}, not beside this file; load the model with sentence-transformers \
                     and save it again, which moves it there"
                ))
            }
            Some(Kind::Normalize) => check_normalize(&directory.join(path).join("config.json")),
            Some(Kind::Transformer | Kind::Pooling) => Ok(()),
        }
    }
}

/// Normalize may be told to work on something else than the embedding.
fn check_normalize(path: &Path) -> Result<(), ModelError> {
    const EMBEDDING: &str = "sentence_embedding";

    let raw: RawNormalize = read(path)?.unwrap_or_default();
    for name in [raw.module_input_name, raw.module_output_name].into_iter().flatten() {
        if name != EMBEDDING {
            return Err(unsupported(path, &format!("it normalises {name:?}, not {EMBEDDING:?}")));
        }
    }
    Ok(())
}

#[derive(Default, Deserialize)]
struct RawNormalize {
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}
