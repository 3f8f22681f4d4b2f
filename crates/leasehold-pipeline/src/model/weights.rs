//! Learned values, used where the mapped file has them.

use std::{collections::HashMap, fs::File, io, ops::Range, path::Path};

use leasehold::{MemoryOwner, SharedOwner};
use safetensors::{Dtype, SafeTensors};

use crate::{error::ModelError, mapping};

/// What the names of tensors begin with where the encoder is part of a larger model.
const PREFIXES: [&str; 3] = ["bert.", "roberta.", "camembert."];

/// One array of learned values.
#[derive(Clone, Debug)]
pub(super) enum Tensor {
    /// Bytes of the file, aligned for `f32`.
    Mapped(SharedOwner<u8>),
    /// A copy, for files that do not align their values.
    Copied(SharedOwner<f32>),
}

impl Tensor {
    fn new(bytes: SharedOwner<u8>) -> Self {
        if bytemuck::try_cast_slice::<u8, f32>(&bytes).is_ok() {
            return Self::Mapped(bytes);
        }
        let values: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        Self::Copied(MemoryOwner::from(values).into_shared())
    }

    /// The values, without a copy.
    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Mapped(bytes) => bytemuck::cast_slice(bytes),
            Self::Copied(values) => values,
        }
    }
}

/// The tensors of a `model.safetensors`.
pub(super) struct Weights<'a> {
    path: &'a Path,
    file: File,
    /// Shape of each, and the bytes of the file that it has.
    tensors: HashMap<String, (Vec<usize>, Range<usize>)>,
    prefix: &'static str,
}

impl<'a> Weights<'a> {
    /// Maps the file and reads its index; the values stay untouched.
    pub(super) fn open(path: &'a Path) -> Result<Self, ModelError> {
        if cfg!(target_endian = "big") {
            let reason = "its values are little-endian, this processor is not".to_owned();
            return Err(ModelError::Unsupported { path: path.to_owned(), reason });
        }
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ModelError::Missing { path: path.to_owned() },
            _ => ModelError::Read { path: path.to_owned(), source },
        })?;
        let mapping =
            mapping::map(&file).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        let malformed = |reason: String| ModelError::Malformed { path: path.to_owned(), reason };
        let index = SafeTensors::deserialize(&mapping)
            .map_err(|error| malformed(format!("{error}; is the file complete?")))?;
        let mut tensors = HashMap::new();
        for (name, view) in index.tensors() {
            if view.dtype() != Dtype::F32 {
                continue;
            }
            let start = view.data().as_ptr().addr() - mapping.as_ptr().addr();
            tensors.insert(name, (view.shape().to_vec(), start..start + view.data().len()));
        }
        let has = |prefix: &&&str| tensors.keys().any(|name: &String| name.starts_with(**prefix));
        let prefix = PREFIXES.iter().find(has).copied().unwrap_or_default();
        Ok(Self { path, file, tensors, prefix })
    }

    /// Maps the tensor of that name, which must have that shape. Its pages are let go of when it is dropped.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        let name = format!("{}{name}", self.prefix);
        let malformed = |reason: String| ModelError::Malformed { path: self.path.to_owned(), reason };
        let Some((found, bytes)) = self.tensors.get(&name) else {
            return Err(malformed(format!("there is no f32 tensor {name:?} in it")));
        };
        if found != shape {
            return Err(malformed(format!("{name:?} has shape {found:?} where config.json says {shape:?}")));
        }
        mapping::map_range(&self.file, bytes.start as u64, bytes.len())
            .map(Tensor::new)
            .map_err(|source| ModelError::Read { path: self.path.to_owned(), source })
    }
}
