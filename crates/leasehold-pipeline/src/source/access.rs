//! Whether files are mapped or read.

use std::{
    fs::Metadata,
    time::{Duration, SystemTime},
};

/// How old the last change of a file is that is taken for one that nobody writes to.
const QUIET: Duration = Duration::from_secs(60);

/// How the text of regular files comes into memory.
///
/// Mapping costs no copy and nothing of the budget, and a passage may be as long as its file. But whoever cuts a file, as some
/// programs do with logs, takes the mapped pages away, and the system ends a process that looks at them (`SIGBUS`). What was read
/// stays: that the file was cut is then an error when its end is missed, [`SourceError::Cut`](crate::SourceError::Cut).
///
/// Whichever it is, the length is looked at before each piece of a file.
///
/// ```
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{Access, Format, Input, Source, Split};
///
/// # let directory = tempfile::tempdir()?;
/// # let log = directory.path().join("a.log");
/// # std::fs::write(&log, "one\ntwo\n")?;
/// let pool = MemoryPool::builder().build_bounded(1 << 20);
/// let mut source = Source::open(vec![(Input::File(log), Format::Text(Split::Line))], &pool)?;
/// source.access(Access::Read);
/// let document = source.next().expect("there are two lines")?;
/// assert_eq!(document.text()?, "one");
/// assert!(pool.stats().rented_bytes > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// They are mapped.
    #[default]
    Map,
    /// They are mapped where nobody seems to write to them: where the last change is a minute old when a piece is needed. Of other
    /// files only passages that are too long for the pool are mapped.
    MapQuiet,
    /// They are read into blocks of the pool, as streams are.
    Read,
}

impl Access {
    /// How a piece of a file is taken into memory.
    pub(super) fn way_of(self, metadata: &Metadata) -> Way {
        match self {
            Self::Map => Way::Map,
            Self::Read => Way::Read,
            Self::MapQuiet if is_quiet(metadata) => Way::Map,
            Self::MapQuiet => Way::ReadIfShort,
        }
    }
}

/// How one piece of a file is taken into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Map,
    Read,
    /// It is mapped if it is too long for a block.
    ReadIfShort,
}

/// A change in the future, by another machine's clock, is a recent one.
fn is_quiet(metadata: &Metadata) -> bool {
    let age = metadata.modified().map(|changed| SystemTime::now().duration_since(changed));
    matches!(age, Ok(Ok(age)) if age >= QUIET)
}
