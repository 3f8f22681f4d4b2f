//! What several tests need.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use leasehold_pipeline::Cache;
use tempfile::TempDir;

/// A directory to run the program in.
pub(crate) struct Place {
    directory: TempDir,
    cache: Option<Cache>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), cache: None }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A cache of its own, with the real model.
    #[cfg(unix)]
    pub(crate) fn with_cache(self) -> Self {
        let cache = Cache::new(self.path().join("cache"));
        fs::create_dir(cache.directory()).unwrap();
        let model = Cache::of_user().unwrap().model(&mut |_| {});
        let model = model.unwrap_or_else(|error| panic!("these tests need the model: {error}"));
        std::os::unix::fs::symlink(model, cache.model_directory()).unwrap();
        Self { cache: Some(cache), ..self }
    }

    /// Bytes of vectors in the cache.
    #[cfg(unix)]
    pub(crate) fn cached(&self) -> u64 {
        fn bytes(path: &Path) -> u64 {
            let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
            entries
                .map(|path| {
                    if path.is_dir() { bytes(&path) } else { fs::metadata(path).map_or(0, |file| file.len()) }
                })
                .sum()
        }
        self.cache.as_ref().map_or(0, |cache| bytes(&cache.vectors()))
    }

    /// Names of all files here, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program, to be run here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        if let Some(cache) = &self.cache {
            command.env("LEASEHOLD_CACHE", cache.directory());
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Run::of(&child.wait_with_output().unwrap())
    }
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// The records on standard output of a run that went well.
    pub(crate) fn records(&self) -> Vec<serde_json::Value> {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""));
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts that the run failed with that code and said that.
    pub(crate) fn fails(&self, code: i32, said: &str) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(self.err.contains(said), "{:?} does not say {said:?}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// Text, path and line of each record.
pub(crate) fn places(records: &[serde_json::Value]) -> Vec<(&str, &str, u64)> {
    records
        .iter()
        .map(|record| {
            assert_eq!(record["embedding"].as_array().unwrap().len(), 384);
            let source = &record["source"];
            (
                record["text"].as_str().unwrap(),
                source["path"].as_str().unwrap(),
                source["line"].as_u64().unwrap(),
            )
        })
        .collect()
}
