//! How the bytes of an input are to be read.

use std::{path::Path, sync::Arc};

/// The field or column that holds the text where nothing else is said.
const DEFAULT_FIELD: &str = "text";

/// Where text separates into documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Split {
    /// Each line is a document.
    #[default]
    Line,
    /// Each run of lines between blank ones is a document.
    Paragraph,
    /// Each file is a document, from its first byte to its last.
    File,
}

/// How the bytes of an input are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Plain text.
    Text(Split),
    /// One JSON object per line, whose named field is the document.
    JsonLines {
        /// Name of the field.
        field: Arc<str>,
    },
    /// Records of fields with a header, as RFC 4180 has it; the named field of each is a document.
    Csv {
        /// Name of the field.
        field: Arc<str>,
        /// What stands between fields: a comma, a tab.
        delimiter: u8,
    },
    /// A Parquet file, of which each string of the named column is a document.
    Parquet {
        /// Name of the column; of one within a group, with dots between the names.
        column: Arc<str>,
    },
    /// What the ending of each file says, once `.gz` or `.zst` is taken off: `.jsonl` and `.ndjson`, `.csv`, `.tsv`,
    /// `.parquet`; anything else is text.
    ByEnding {
        /// Reads everything but Parquet as text, separated like this.
        split: Option<Split>,
        /// Name of the field or column, `text` by default. With a name, files that have none of these endings are JSON
        /// lines too, and are passed over in directories.
        field: Option<Arc<str>>,
    },
}

impl Format {
    /// This format, or the one that the file's ending says.
    #[must_use]
    pub fn of(&self, path: &Path) -> Self {
        let Self::ByEnding { split, field } = self else { return self.clone() };
        let named = || field.clone().unwrap_or_else(|| DEFAULT_FIELD.into());
        match (ending(path), split) {
            (Some("parquet"), _) => Self::Parquet { column: named() },
            (_, Some(split)) => Self::Text(*split),
            (Some("jsonl" | "ndjson"), None) => Self::JsonLines { field: named() },
            (Some("csv"), None) => Self::Csv { field: named(), delimiter: b',' },
            (Some("tsv"), None) => Self::Csv { field: named(), delimiter: b'\t' },
            _ if field.is_some() => Self::JsonLines { field: named() },
            _ => Self::Text(Split::default()),
        }
    }

    /// Whether the file is one of those that this format reads in a directory.
    #[cfg(feature = "directories")]
    pub(super) fn wants(&self, path: &Path) -> bool {
        match self {
            Self::ByEnding { field: Some(_), .. } => {
                matches!(ending(path), Some("parquet" | "jsonl" | "ndjson" | "csv" | "tsv"))
            }
            _ => true,
        }
    }
}

/// The ending of a file's name, or of what it is called when it is not compressed.
fn ending(path: &Path) -> Option<&str> {
    let last = path.extension()?.to_str()?;
    match last {
        "gz" | "zst" => Path::new(path.file_stem()?).extension()?.to_str(),
        _ => Some(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_ending(path: &str, split: Option<Split>, field: Option<&str>) -> Format {
        Format::ByEnding { split, field: field.map(Arc::from) }.of(Path::new(path))
    }

    #[test]
    fn endings_say_how_to_read() {
        let lines = |field: &str| Format::JsonLines { field: field.into() };
        let csv = |field: &str, delimiter| Format::Csv { field: field.into(), delimiter };
        assert_eq!(by_ending("a.txt", None, None), Format::Text(Split::Line));
        assert_eq!(by_ending("gz", None, None), Format::Text(Split::Line));
        assert_eq!(by_ending("a.rs.gz", None, None), Format::Text(Split::Line));
        assert_eq!(by_ending("a.ndjson", None, None), lines("text"));
        assert_eq!(by_ending("b.c/a.jsonl.gz", None, Some("f")), lines("f"));
        assert_eq!(by_ending("a.csv.zst", None, None), csv("text", b','));
        assert_eq!(by_ending("a.tsv", None, Some("f")), csv("f", b'\t'));
        assert_eq!(by_ending("a.log", None, Some("f")), lines("f"));
        assert_eq!(by_ending("a.csv", Some(Split::File), None), Format::Text(Split::File));
        let column = Format::Parquet { column: "text".into() };
        assert_eq!(by_ending("a.parquet", Some(Split::File), None), column);
    }
}
