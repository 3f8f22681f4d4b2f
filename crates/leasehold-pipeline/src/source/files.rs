//! The files that inputs name: themselves, those of directories, those that a pattern matches.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    vec,
};

use super::{Format, Input};
use crate::error::SourceError;

/// Characters that mean something in a pattern.
pub(super) const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

/// One file after the other; a directory is listed as it is reached.
pub(super) struct Files {
    waiting: vec::IntoIter<(Input, Format)>,
    /// Files that directories do not have.
    left_out: Vec<PathBuf>,
    #[cfg(feature = "directories")]
    listing: Option<(super::listing::Listing, Format)>,
}

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) input: Input,
    pub(super) format: Format,
    /// Whether it was found in a directory, where there may be files that are no text.
    #[cfg(feature = "directories")]
    pub(super) found: bool,
}

impl Files {
    pub(super) fn new(inputs: Vec<(Input, Format)>) -> Self {
        Self {
            waiting: inputs.into_iter(),
            left_out: Vec::new(),
            #[cfg(feature = "directories")]
            listing: None,
        }
    }

    /// Makes sure that every input is there; tells how long they are together, where each is a regular file.
    pub(super) fn check(inputs: &[(Input, Format)]) -> Result<Option<u64>, SourceError> {
        let mut total = Some(0);
        for (input, format) in inputs {
            let length = match input {
                Input::File(path) => checked_length(path, format)?,
                Input::Standard => None,
            };
            total = total.zip(length).map(|(total, length)| total + length);
        }
        Ok(total)
    }

    pub(super) fn leave_out(&mut self, path: &Path) {
        self.left_out.extend(fs::canonicalize(path));
    }

    #[cfg_attr(
        not(feature = "directories"),
        expect(clippy::never_loop, reason = "only directories make it look again")
    )]
    fn next_file(&mut self) -> Result<Option<Named>, SourceError> {
        loop {
            #[cfg(feature = "directories")]
            if let Some((listing, format)) = &mut self.listing {
                if let Some(path) = listing.next_file()? {
                    if !format.wants(&path) || self.left_out.iter().any(|file| is_same(&path, file)) {
                        continue;
                    }
                    let format = format.of(&path);
                    return Ok(Some(Named { input: Input::File(path), format, found: true }));
                }
                self.listing = None;
            }
            let Some((input, format)) = self.waiting.next() else { return Ok(None) };
            #[cfg(feature = "directories")]
            if let Input::File(path) = &input
                && let Some(listing) = super::listing::Listing::of(path)?
            {
                self.listing = Some((listing, format));
                continue;
            }
            let format = match &input {
                Input::File(path) => format.of(path),
                Input::Standard => format.of(Path::new("-")),
            };
            return Ok(Some(Named {
                input,
                format,
                #[cfg(feature = "directories")]
                found: false,
            }));
        }
    }
}

impl Iterator for Files {
    type Item = Result<Named, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_file().transpose()
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("waiting", &self.waiting.as_slice()).finish_non_exhaustive()
    }
}

/// The length of a regular file, or of all files of a directory; `None` for what has none, such as a pipe.
fn checked_length(path: &Path, format: &Format) -> Result<Option<u64>, SourceError> {
    #[cfg(feature = "directories")]
    if let Some(mut listing) = super::listing::Listing::of(path)? {
        let mut total = 0;
        while let Some(path) = listing.next_file()? {
            if format.wants(&path) {
                total += fs::metadata(&path).map_err(open_error(&path))?.len();
            }
        }
        return Ok(Some(total));
    }
    #[cfg(not(feature = "directories"))]
    if is_pattern(path) {
        let (path, what) = (path.to_owned(), "patterns");
        return Err(SourceError::LeftOut { path, what, feature: "directories" });
    }
    #[cfg(not(feature = "directories"))]
    let _ = format;
    let metadata = fs::metadata(path).map_err(open_error(path))?;
    if metadata.is_dir() {
        return Err(SourceError::Directory { path: path.to_owned() });
    }
    if !metadata.is_file() {
        // Opening a pipe may wait for its writer; that is left for its turn.
        return Ok(None);
    }
    File::open(path).map_err(open_error(path))?;
    Ok(Some(metadata.len()))
}

/// Whether a path is a pattern: its name says so, and nothing is there.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(SPECIAL)) && !path.exists()
}

/// Whether a path leads to that file.
#[cfg(feature = "directories")]
fn is_same(path: &Path, file: &Path) -> bool {
    // Names are cheap to compare, and those of found files are no links.
    path.file_name() == file.file_name() && fs::canonicalize(path).is_ok_and(|path| path == file)
}

pub(super) fn open_error(path: &Path) -> impl Fn(std::io::Error) -> SourceError {
    let path: PathBuf = path.to_owned();
    move |source| SourceError::Open { path: path.clone(), source }
}
