//! Runs that go on where an earlier one was ended, by whatever it was.
//!
//! The output grows in `X.part` beside the target `X`. Every second or so it is brought to the disk, and then `X.part.state`
//! is replaced by a file that says how many documents and bytes it has. Whatever happens after that, a later run cuts
//! the part to those bytes, passes over those documents, and goes on.
//!
//! ```text
//!   state written --> part created --> part grows --> part synced --> state replaced --> ..
//!                                         ^                              |
//!                                         +------------------------------+
//!   .. --> part synced --> part gets the target's name --> state removed
//! ```
//! So at no moment is there a part without a state, or a state that says more than is on the disk.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use leasehold::MemoryOwner;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    claim::{Claim, claim, is_at},
    document::Document,
    error::{EmbedError, ResumeError},
    hex::hex,
    model::files,
    output::OutputFile,
    sink::Sink,
};

/// How often the state is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// The form of the state file.
const VERSION: u32 = 1;

/// The option for input on which a run without it ends, so it has written the same up to there.
const MAY_BE_ADDED: &str = "--invalid";

/// Everything that decides what a run writes; only the same job can be gone on with.
///
/// ```
/// use std::collections::BTreeMap;
/// use leasehold_pipeline::{Format, Input, Job, Source, Split};
///
/// # let place = tempfile::tempdir()?;
/// # let (book, model) = (place.path().join("book.txt"), place.path().join("model"));
/// # std::fs::write(&book, "One line.")?;
/// let inputs = vec![(Input::from(book), Format::Text(Split::Line))];
/// let job = Job {
///     inputs: Source::fingerprint(inputs, &[])?,
///     model: Job::model(&model)?,
///     options: BTreeMap::from([("--precision".to_owned(), "int8".to_owned())]),
/// };
/// assert_eq!(job, job.clone());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What [`Source::fingerprint`](crate::Source::fingerprint) says of the inputs.
    pub inputs: String,
    /// What [`Job::model`] says of the model.
    pub model: String,
    /// Options by the name that a user knows, with the value that each has.
    pub options: BTreeMap<String, String>,
}

impl Job {
    /// The SHA-256 of a model's files.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn model(directory: &Path) -> Result<String, ResumeError> {
        let mut hash = Sha256::new();
        for name in files(directory) {
            let path = directory.join(&name);
            match File::open(&path) {
                Ok(mut file) => {
                    hash.update(name);
                    io::copy(&mut file, &mut Hashing(&mut hash)).map_err(failed(&path))?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(hex(&hash.finalize()))
    }

    /// What differs from `earlier`, for a person. An option that would have changed nothing up to where that run was ended may be
    /// added.
    fn difference(&self, earlier: &Self) -> Option<String> {
        if self.inputs != earlier.inputs {
            return Some("an input was added, removed or changed".to_owned());
        }
        if self.model != earlier.model {
            return Some("it had another model".to_owned());
        }
        let names = self.options.keys().chain(earlier.options.keys());
        let added = |name: &str| name == MAY_BE_ADDED && !earlier.options.contains_key(name);
        let differs = |name: &&String| self.options.get(*name) != earlier.options.get(*name) && !added(name);
        names.into_iter().find(differs).map(|name| match earlier.options.get(name) {
            Some(value) => format!("it had {name} {value}"),
            None => format!("it had no {name}"),
        })
    }
}

/// An output that can be gone on with, and how far it is.
///
/// ```no_run
/// use std::{collections::BTreeMap, num::NonZeroUsize, path::{Path, PathBuf}};
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{
///     Cache, Cancel, Encoder, Format, Input, Job, JsonlSink, Pipeline, Precision, Resume, Source, Split,
/// };
///
/// let directory = Cache::of_user()?.model(&mut |_| {})?;
/// let pool = MemoryPool::builder().build_bounded(256 << 20);
/// let encoder = Encoder::open(&directory, Precision::F32, &pool)?;
/// let inputs = || vec![(Input::from(PathBuf::from("book.txt")), Format::Text(Split::Line))];
/// let options = BTreeMap::from([("--precision".to_owned(), "f32".to_owned())]);
/// let job = Job { inputs: Source::fingerprint(inputs(), &[])?, model: Job::model(&directory)?, options };
///
/// let (file, resume) = Resume::open(Path::new("book.jsonl"), job)?;
/// let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool)?.skip(resume.documents());
/// let source = Source::open(inputs(), pipeline.source_pool())?;
/// let mut sink = JsonlSink::new(file, "book.jsonl");
/// let mut resumable = resume.sink(&mut sink)?;
/// pipeline.run(source, &mut resumable, &Cancel::new(), &mut |_| {})?;
///
/// let resume = resumable.into_resume();
/// sink.into_inner().commit()?;
/// resume.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Resume {
    part: PathBuf,
    state_path: PathBuf,
    state: State,
    /// The part, locked for as long as this lives.
    file: File,
    saved: Instant,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    job: Job,
    documents: u64,
    bytes: u64,
}

impl Resume {
    /// Begins to write `target`, or goes on with what an earlier run of the same job has left.
    ///
    /// # Errors
    ///
    /// When what was left belongs to another job, is damaged or in use, or cannot be opened.
    pub fn open(target: &Path, job: Job) -> Result<(OutputFile, Self), ResumeError> {
        // As without resuming, a link is followed.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        if target.file_name().is_none() || fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
            return Err(ResumeError::NotAFile { path: target });
        }
        let [part, state_path] = Self::files(&target);
        let (file, state) = match lock_existing(&part)? {
            Some(file) => match read(&state_path, &part)? {
                None => return Err(ResumeError::Foreign { path: part }),
                // Nothing was noted as written, so nothing is lost, whatever that run had to do.
                Some(earlier) if earlier.documents == 0 => {
                    let state = State::new(job);
                    file.set_len(0).map_err(failed(&part))?;
                    write(&state_path, &state)?;
                    (file, state)
                }
                Some(earlier) => {
                    if let Some(difference) = job.difference(&earlier.job) {
                        return Err(ResumeError::Different { part, state: state_path, difference });
                    }
                    (file, State { job, ..earlier })
                }
            },
            // A state without a part says nothing: its run was ended before it made the part, or after that got its name.
            None => {
                let state = State::new(job);
                write(&state_path, &state)?;
                (create(&part)?, state)
            }
        };
        let length = file.metadata().map_err(failed(&part))?.len();
        if length < state.bytes {
            let expected = state.bytes;
            return Err(ResumeError::Short { path: part, state: state_path, length, expected });
        }
        file.set_len(state.bytes).map_err(failed(&part))?;
        let mut writer = file.try_clone().map_err(failed(&part))?;
        writer.seek(SeekFrom::End(0)).map_err(failed(&part))?;
        if let Ok(replaced) = fs::metadata(&target) {
            file.set_permissions(replaced.permissions()).map_err(failed(&part))?;
        }
        let output = OutputFile::growing(target, part.clone(), writer);
        Ok((output, Self { part, state_path, state, file, saved: Instant::now() }))
    }

    /// The files that such a run leaves beside its target: the part and its state.
    #[must_use]
    pub fn files(target: &Path) -> [PathBuf; 2] {
        let beside = |ending: &str| {
            let mut name = OsString::from(target.as_os_str());
            name.push(ending);
            PathBuf::from(name)
        };
        [beside(".part"), beside(".part.state")]
    }

    /// Documents that are written already, which a run passes over.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.state.documents
    }

    /// Has what `sink` writes noted, so that a later run can go on.
    ///
    /// # Errors
    ///
    /// [`ResumeError::Format`] when the sink cannot be gone on with.
    pub fn sink(self, sink: &mut dyn Sink) -> Result<ResumableSink<'_>, EmbedError> {
        if !sink.checkpoint()? {
            if self.state.documents == 0 {
                // Nothing was left by this run that anybody could want.
                self.remove_everything();
            }
            return Err(ResumeError::Format.into());
        }
        Ok(ResumableSink { sink, resume: self, broken: false })
    }

    /// Removes the state, when the output has its name.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn finish(self) -> Result<(), ResumeError> {
        // A run that was killed may have left it, and this one had nothing to note.
        let _ = fs::remove_file(next_state(&self.state_path));
        fs::remove_file(&self.state_path).map_err(failed(&self.state_path))
    }

    /// Notes that everything the part has is on the disk.
    fn save(&mut self) -> Result<(), ResumeError> {
        self.file.sync_data().map_err(failed(&self.part))?;
        self.state.bytes = self.file.metadata().map_err(failed(&self.part))?.len();
        write(&self.state_path, &self.state)?;
        self.saved = Instant::now();
        Ok(())
    }

    fn remove_everything(&self) {
        // They are only in the way: the next run says so if it minds.
        let _ = fs::remove_file(&self.part);
        let _ = fs::remove_file(&self.state_path);
    }
}

impl State {
    fn new(job: Job) -> Self {
        Self { version: VERSION, job, documents: 0, bytes: 0 }
    }
}

/// A sink whose progress is noted every second or so; see [`Resume::sink`].
pub struct ResumableSink<'a> {
    sink: &'a mut dyn Sink,
    resume: Resume,
    /// A write has failed, perhaps half way, so what was noted before is all there is.
    broken: bool,
}

impl ResumableSink<'_> {
    /// Notes what has been written so far, for a run that ends early.
    ///
    /// # Errors
    ///
    /// When it cannot be brought to the disk; then the next run repeats a second of work.
    pub fn save(&mut self) -> Result<(), EmbedError> {
        if self.broken {
            return Ok(());
        }
        self.sink.checkpoint()?;
        Ok(self.resume.save()?)
    }

    /// What is left to be done when the output has got its name.
    #[must_use]
    pub fn into_resume(self) -> Resume {
        self.resume
    }
}

impl Sink for ResumableSink<'_> {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        self.broken = true;
        self.sink.write(documents, vectors)?;
        self.broken = false;
        self.resume.state.documents += documents.len() as u64;
        if self.resume.saved.elapsed() >= INTERVAL { self.save() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        // What it writes now is not what a later run could go on from.
        self.broken = true;
        self.sink.finish()
    }
}

impl std::fmt::Debug for ResumableSink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResumableSink").field("resume", &self.resume).finish_non_exhaustive()
    }
}

/// The state in a file; `None` where there is no such file.
fn read(path: &Path, part: &Path) -> Result<Option<State>, ResumeError> {
    let malformed =
        |reason: String| ResumeError::Malformed { state: path.to_owned(), part: part.to_owned(), reason };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    let state: State = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    match state.version {
        VERSION => Ok(Some(state)),
        other => Err(malformed(format!("it has version {other}, not {VERSION}"))),
    }
}

/// Replaces the state file at once.
fn write(path: &Path, state: &State) -> Result<(), ResumeError> {
    let text = serde_json::to_vec(state).map_err(io::Error::from).map_err(failed(path))?;
    let next = next_state(path);
    let mut file = File::create(&next).map_err(failed(&next))?;
    file.write_all(&text).and_then(|()| file.sync_data()).map_err(failed(&next))?;
    fs::rename(&next, path).map_err(failed(path))
}

/// Where a state is written before it replaces the last one: hidden, so that a directory which is read meanwhile does not have
/// it.
fn next_state(path: &Path) -> PathBuf {
    let mut next = OsString::from(".");
    next.push(path.file_name().unwrap_or_default());
    next.push(".next");
    path.with_file_name(next)
}

/// Opens and locks the part that an earlier run has left; `None` where there is none.
fn lock_existing(part: &Path) -> Result<Option<File>, ResumeError> {
    let file = match OpenOptions::new().read(true).write(true).open(part) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(part)(error)),
    };
    lock(&file, part)?;
    // Its run may have given it its name since it was opened here: then it is somebody's output.
    if is_at(&file, part).map_err(failed(part))? {
        Ok(Some(file))
    } else {
        Err(ResumeError::InUse { path: part.to_owned() })
    }
}

/// Makes and locks a new part.
fn create(part: &Path) -> Result<File, ResumeError> {
    let file = match OpenOptions::new().read(true).write(true).create_new(true).open(part) {
        Ok(file) => file,
        // Another run was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(ResumeError::InUse { path: part.to_owned() });
        }
        Err(error) => return Err(failed(part)(error)),
    };
    lock(&file, part)?;
    Ok(file)
}

fn lock(file: &File, part: &Path) -> Result<(), ResumeError> {
    match claim(file).map_err(failed(part))? {
        Claim::Ours | Claim::Unknown => Ok(()),
        Claim::Others => Err(ResumeError::InUse { path: part.to_owned() }),
    }
}

/// Takes what is written into a hash.
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ResumeError {
    let path = path.to_owned();
    move |source| ResumeError::Io { path: path.clone(), source }
}
