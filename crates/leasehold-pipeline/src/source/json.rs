//! One field of a JSON object, without building the rest of it.

use std::{borrow::Cow, fmt};

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
    line: &Document,
    name: &str,
    rent: impl FnOnce(usize) -> Result<MemoryOwner<u8>, SourceError>,
) -> Result<Option<Document>, SourceError> {
    let json = |reason: String| SourceError::Json {
        path: line.place.path.to_path_buf(),
        line: line.place.line,
        reason,
    };
    let text = line.text()?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Field { name }
        .deserialize(&mut deserializer)
        .and_then(|found| deserializer.end().map(|()| found))
        .map_err(|error| json(reason(&error)))?;
    let text = match found {
        None => return Err(json(format!("the object has no field {name:?}; name another with --field"))),
        Some(None) => return Ok(None),
        Some(Some(Cow::Borrowed(part))) => {
            let start = part.as_ptr().addr() - text.as_ptr().addr();
            let text = line.text.slice(start..start + part.len());
            text.map_err(|error| json(error.to_string()))?
        }
        Some(Some(Cow::Owned(part))) => {
            let mut block = rent(part.len())?;
            block.copy_from_slice(part.as_bytes());
            Text::checked(block.into_shared())
        }
    };
    Ok(Some(Document { text, place: line.place.clone(), consumed: line.consumed }))
}

/// What `serde_json` says, without its line number, which is always one.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
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
