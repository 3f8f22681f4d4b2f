//! A file that appears under its name only when it is whole.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process,
};

use crate::{
    claim::{Claim, claim, is_at},
    error::SinkError,
};

/// Writes to a temporary file beside the target and renames it at the end.
///
/// Dropping it without [`commit`](Self::commit) removes the temporary file and leaves the target as it was. A process that is
/// killed cannot do that; the next one that creates the same target does. The temporary file is locked while it is
/// written, by which a file that was left is told from one that another process is writing.
///
/// A target that is not a regular file, such as a device or a named pipe, is written to directly.
#[derive(Debug)]
pub struct OutputFile {
    target: PathBuf,
    /// `None` for a target that is written to directly.
    temporary: Option<Temporary>,
    writer: BufWriter<File>,
}

impl OutputFile {
    /// Creates the temporary file, or opens the device.
    ///
    /// # Errors
    ///
    /// When the directory does not exist or cannot be written, or the target is a directory.
    pub fn create(target: &Path) -> Result<Self, SinkError> {
        let failed = |source| SinkError::Create { target: target.display().to_string(), source };
        // Writing through a symbolic link replaces what it points to, not the link.
        let resolved = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        match fs::metadata(&resolved) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = OpenOptions::new().write(true).open(&resolved).map_err(failed)?;
                return Ok(Self { target: resolved, temporary: None, writer: BufWriter::new(file) });
            }
            _ => {}
        }
        let Some(name) = resolved.file_name() else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        let (path, file) = create_beside(&resolved, name).map_err(failed)?;
        let temporary = Some(Temporary { path, stays: false });
        if let Ok(replaced) = fs::metadata(&resolved) {
            file.set_permissions(replaced.permissions()).map_err(failed)?;
        }
        Ok(Self { target: resolved, temporary, writer: BufWriter::new(file) })
    }

    /// Goes on at the end of a part that stays when it is not finished.
    pub(crate) fn growing(target: PathBuf, part: PathBuf, file: File) -> Self {
        let temporary = Some(Temporary { path: part, stays: true });
        Self { target, temporary, writer: BufWriter::new(file) }
    }

    /// The temporary file, where there is one: what a program that is told to end at once must remove, unless the run can
    /// be resumed.
    #[must_use]
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary.as_ref().map(|temporary| temporary.path.as_path())
    }

    /// Brings everything to the disk and renames the file to its name.
    ///
    /// # Errors
    ///
    /// When that fails; the temporary file is removed then, and the target is as it was.
    pub fn commit(mut self) -> Result<(), SinkError> {
        let target = self.target.display().to_string();
        let failed = |error| SinkError::write(&target, error);
        self.writer.flush().map_err(failed)?;
        if let Some(temporary) = self.temporary.take() {
            self.writer.get_ref().sync_all().map_err(failed)?;
            fs::rename(&temporary.path, &self.target).map_err(failed)?;
            temporary.keep();
        }
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.writer.seek(position)
    }
}

/// How the name of every temporary file ends.
const ENDING: &str = ".part";

/// The most temporary files of one target that one process may have.
const MOST: u32 = 1000;

/// Creates and locks a hidden file whose name says what it is part of, and that no other run uses.
fn create_beside(target: &Path, name: &OsStr) -> io::Result<(PathBuf, File)> {
    remove_leftovers(target, name);
    for attempt in 0..MOST {
        let mut hidden = prefix(name);
        hidden.push(format!("{}.{attempt}{ENDING}", process::id()));
        let path = target.with_file_name(hidden);
        let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            // This process has another one, or one in another container has its number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        // Before it was locked another run may have taken it for one that was left.
        if claim(&file)? != Claim::Others && is_at(&file, &path)? {
            return Ok((path, file));
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes temporary files of this target whose runs were killed. That nothing may be removed here is for others to say.
fn remove_leftovers(target: &Path, name: &OsStr) {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(directory.unwrap_or(Path::new("."))) else { return };
    for entry in entries.flatten() {
        let is_file = || entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_temporary(&entry.file_name(), name) && is_file() {
            let _ = remove_unless_used(&entry.path());
        }
    }
}

/// Whoever has the lock may be writing; whoever gets it here knows that nobody is, and that nobody will.
fn remove_unless_used(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if claim(&file)? == Claim::Ours && is_at(&file, path)? { fs::remove_file(path) } else { Ok(()) }
}

/// How the names of temporary files of a target begin.
fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

/// Whether a file is called as a temporary file of that target is: `.NAME.PROCESS.ATTEMPT.part`.
fn is_temporary(file: &OsStr, name: &OsStr) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let numbers = file
        .as_encoded_bytes()
        .strip_prefix(prefix(name).as_encoded_bytes())
        .and_then(|rest| rest.strip_suffix(ENDING.as_bytes()));
    numbers.is_some_and(|numbers| {
        let mut parts = numbers.split(|byte| *byte == b'.');
        parts.next().is_some_and(is_number) && parts.next().is_some_and(is_number) && parts.next().is_none()
    })
}

/// A file that is removed when nobody says otherwise.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    /// Whether it is kept all the same, because a later run goes on with it.
    stays: bool,
}

impl Temporary {
    /// The file has another name by now.
    fn keep(mut self) {
        self.stays = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.stays {
            // Nothing better can be done when even this fails: the name tells what the file is.
            let _ = fs::remove_file(&self.path);
        }
    }
}
