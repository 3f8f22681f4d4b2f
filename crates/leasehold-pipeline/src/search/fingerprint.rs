//! What makes two vectors of one text equal.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{
    error::ModelError,
    model::{Precision, files},
};

/// Is changed when the forward pass is, so that vectors of another version are not taken for its own.
const REVISION: u8 = 2;

/// How much of a file is read at a time.
const CHUNK: usize = 256 * 1024;

/// The SHA-256 of a model's files and of the precision: equal where the vectors are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Reads every file of the model in `directory`: about 60 ms for 90 MB where the processor has instructions for SHA-256.
    ///
    /// # Errors
    ///
    /// When a file that is there cannot be read.
    pub fn of_model(directory: &Path, precision: Precision) -> Result<Self, ModelError> {
        let mut hash = Sha256::new();
        hash.update([REVISION, tag(precision)]);
        for name in files(directory) {
            let path = directory.join(&name);
            hash_file(&mut hash, &name, &path).map_err(|source| ModelError::Read { path, source })?;
        }
        Ok(Self(hash.finalize().into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Adds name, length and content, so that no two sets of files read the same.
fn hash_file(hash: &mut Sha256, name: &str, path: &Path) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    hash.update(name);
    hash.update([0]);
    hash.update(file.metadata()?.len().to_le_bytes());
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            read => hash.update(&chunk[..read]),
        }
    }
}

fn tag(precision: Precision) -> u8 {
    match precision {
        Precision::F32 => 0,
        Precision::Bf16 => 1,
        Precision::Int16 => 2,
        Precision::Int8 => 3,
    }
}
