//! The files below a directory, or those that a pattern matches, in the order of their names.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use globset::{GlobBuilder, GlobMatcher};
use ignore::{DirEntry, Walk, WalkBuilder};

use super::files::{SPECIAL, is_pattern};
use crate::error::SourceError;

/// Lists while it is read: memory in use depends on the largest directory, not on all of them.
pub(super) struct Listing {
    root: PathBuf,
    walk: Walk,
    /// For a pattern: what it is, and whether something matched.
    pattern: Option<(GlobMatcher, bool)>,
}

impl Listing {
    /// What there is to list at `path`: a directory, or, where nothing is and the name says so, a pattern.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, SourceError> {
        if path.is_dir() {
            return Ok(Some(Self::directory(path)));
        }
        match path.to_str() {
            Some(text) if is_pattern(path) => Self::pattern(text).map(Some),
            _ => Ok(None),
        }
    }

    /// All files but hidden ones and those that version control ignores. Links within it are not followed.
    fn directory(path: &Path) -> Self {
        let walk = WalkBuilder::new(path).sort_by_file_name(OsStr::cmp).build();
        Self { root: path.to_owned(), walk, pattern: None }
    }

    /// All files that the pattern matches, hidden ones only where it says so. `*` stays within a directory, `**` does not.
    fn pattern(pattern: &str) -> Result<Self, SourceError> {
        let failed = |error: globset::Error| SourceError::List {
            path: pattern.into(),
            reason: error.kind().to_string(),
        };
        // As the paths that are found have it: `./a/*` is `a/*`.
        let parts: Vec<Component<'_>> =
            Path::new(pattern).components().filter(|part| *part != Component::CurDir).collect();
        let plain: PathBuf = parts.iter().collect();
        let plain = plain.to_str().unwrap_or(pattern);
        let glob = GlobBuilder::new(plain).literal_separator(true).build().map_err(failed)?;
        let special = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(SPECIAL);
        let fixed = parts.iter().position(special).unwrap_or(parts.len());
        let root: PathBuf = parts[..fixed].iter().collect();
        let hidden = parts[fixed..].iter().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
        // Braces may hold separators, so they say nothing about the depth.
        let any_depth = pattern.contains("**") || pattern.contains('{');
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        let walk = WalkBuilder::new(&root)
            .standard_filters(false)
            .hidden(!hidden)
            .max_depth((!any_depth).then_some(parts.len() - fixed))
            .sort_by_file_name(OsStr::cmp)
            .build();
        Ok(Self { root: pattern.into(), walk, pattern: Some((glob.compile_matcher(), false)) })
    }

    /// The next file.
    pub(super) fn next_file(&mut self) -> Result<Option<PathBuf>, SourceError> {
        for entry in self.walk.by_ref() {
            let entry = entry
                .map_err(|error| SourceError::List { path: self.root.clone(), reason: error.to_string() })?;
            match &mut self.pattern {
                None if is_file(&entry) => return Ok(Some(entry.into_path())),
                None => {}
                Some((pattern, matched)) => {
                    // The root of a pattern without one is not part of it.
                    let path = entry.path().strip_prefix(".").unwrap_or(entry.path());
                    if pattern.is_match(path) && path.is_file() {
                        *matched = true;
                        return Ok(Some(path.to_owned()));
                    }
                }
            }
        }
        match self.pattern {
            Some((_, false)) => Err(SourceError::NoMatch { path: self.root.clone() }),
            _ => Ok(None),
        }
    }
}

fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_file())
}
