//! One field of a JSON object, without building the rest of it.

use std::{borrow::Cow, fmt, ops::Range};

use leasehold::MemoryOwner;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor},
};

use crate::{
    document::{Document, Text},
    error::SourceError,
};

/// The document that a field of the JSON object in `line` holds; `None` where it is null.
///
/// A string without escapes stays where it is: the result is a slice of the same block. For any other `rent` gives one.
pub(super) fn field(
    line: Document,
    name: &str,
    rent: impl FnOnce(usize) -> Result<MemoryOwner<u8>, SourceError>,
) -> Result<Option<Document>, SourceError> {
    let found = find(line.text()?, name).map_err(|reason| SourceError::Json {
        path: line.place.path.to_path_buf(),
        line: line.place.line,
        reason,
    })?;
    let Document { text, place, consumed } = line;
    let bytes = text.into_bytes();
    let text = match found {
        None => return Ok(None),
        Some(Found::Slice(range)) => {
            let changed = |_| SourceError::Changed { path: place.path.to_path_buf(), line: place.line };
            Text::new(bytes.slice(range)).map_err(changed)?
        }
        Some(Found::Made(string)) => {
            // The line may lie in a block of its own, which goes before another one is rented.
            drop(bytes);
            let mut block = rent(string.len())?;
            block.copy_from_slice(string.as_bytes());
            Text::checked(block.into_shared())
        }
    };
    Ok(Some(Document { text, place, consumed }))
}

/// Where a string was found, or what it is where it has escapes.
enum Found {
    Slice(Range<usize>),
    Made(String),
}

/// The string in that field of an object; `None` where it is null, an error where there is none.
fn find(text: &str, name: &str) -> Result<Option<Found>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Field { name }
        .deserialize(&mut deserializer)
        .and_then(|found| deserializer.end().map(|()| found))
        .map_err(|error| reason(&error))?;
    match found {
        None => Err(format!("the object has no field {name:?}; name another with --field")),
        Some(None) => Ok(None),
        Some(Some(Cow::Borrowed(part))) => {
            let start = part.as_ptr().addr() - text.as_ptr().addr();
            Ok(Some(Found::Slice(start..start + part.len())))
        }
        Some(Some(Cow::Owned(part))) => Ok(Some(Found::Made(part))),
    }
}

/// What `serde_json` says, without its line number, which is always one.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        // Of what is no object at all there is no column.
        Some((message, _)) if error.column() == 0 => message.to_owned(),
        Some((message, _)) => format!("{message} (column {})", error.column()),
        None => text,
    }
}

/// Looks for one field of an object and passes over the others.
struct Field<'a> {
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<Option<Cow<'de, str>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<Option<Cow<'de, str>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a JSON object with a field {:?}", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Piece(key)) = map.next_key()? {
            if key == self.name {
                found = Some(map.next_value_seed(Value { name: self.name })?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The wanted field's value: a string or null, and a clear error for anything else.
struct Value<'a> {
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string in the field {:?}", self.name)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A string that is borrowed where it has no escapes; serde's own `Cow` always copies.
struct Piece<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Piece<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Value { name: "" }.deserialize(deserializer)?;
        Ok(Self(text.unwrap_or_default()))
    }
}
