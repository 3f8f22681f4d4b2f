//! Ragged batches: a structure of offsets and values, so that a format writes two arrays and not one for each row.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::Rented;
use crate::owner::MemoryOwner;
use crate::ragged::Ragged;

const NAME: &str = "Ragged";
const FIELDS: &[&str] = &["offsets", "values"];
const EXPECTED: &str = "offsets and values of a ragged batch";

/// As a structure of `offsets`, one more than there are rows, and `values`; those of `u8` as bytes.
impl<T: Serialize + Pod + Send> Serialize for Ragged<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_struct(NAME, FIELDS.len())?;
        parts.serialize_field(FIELDS[0], self.offsets())?;
        match (self as &dyn Any).downcast_ref::<Ragged<u8>>() {
            Some(bytes) => parts.serialize_field(FIELDS[1], &Bytes(bytes.values()))?,
            None => parts.serialize_field(FIELDS[1], self.values())?,
        }
        parts.end()
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Into memory of its own, as a [`MemoryOwner`]. Offsets that are not those of rows are an error of the format; values behind
/// the last row are room for more.
impl<'de, T: Deserialize<'de> + Pod + Send> Deserialize<'de> for Ragged<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts =
            Parts { offsets: PhantomData::<MemoryOwner<usize>>, values: PhantomData::<MemoryOwner<T>> };
        deserializer.deserialize_struct(NAME, FIELDS, parts)
    }
}

/// Both blocks are of the pool.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, Ragged, serde::Rented};
/// use serde::de::DeserializeSeed;
///
/// let pool = MemoryPool::new();
/// let mut json = serde_json::Deserializer::from_str(r#"{"offsets": [0, 2, 3], "values": [1, 2, 3]}"#);
/// let batch = Rented::<Ragged<u32>>::new(&pool).deserialize(&mut json)?;
/// assert_eq!((batch.row(0), batch.row(1), pool.outstanding().len()), (&[1, 2][..], &[3][..], 2));
/// # Ok::<_, serde_json::Error>(())
/// ```
impl<'de, T: Deserialize<'de> + Pod + Send> DeserializeSeed<'de> for Rented<Ragged<T>> {
    type Value = Ragged<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Ragged<T>, D::Error> {
        let offsets = Rented::<usize>::new(self.pool.clone());
        let parts = Parts { offsets, values: Rented::<T>::new(self.pool) };
        deserializer.deserialize_struct(NAME, FIELDS, parts)
    }
}

/// Reads a batch, each of its parts with a seed.
struct Parts<O, V> {
    offsets: O,
    values: V,
}

impl<'de, T, O, V> Visitor<'de> for Parts<O, V>
where
    T: Pod + Send,
    O: DeserializeSeed<'de, Value = MemoryOwner<usize>>,
    V: DeserializeSeed<'de, Value = MemoryOwner<T>>,
{
    type Value = Ragged<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Ragged<T>, A::Error> {
        let offsets = parts.next_element_seed(self.offsets)?;
        let offsets = offsets.ok_or_else(|| A::Error::invalid_length(0, &EXPECTED))?;
        let values = parts.next_element_seed(self.values)?;
        batch(values.ok_or_else(|| A::Error::invalid_length(1, &EXPECTED))?, offsets)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Ragged<T>, A::Error> {
        let (mut offsets, mut values) = (Err(self.offsets), Err(self.values));
        while let Some(field) = parts.next_key()? {
            match field {
                Field::Offsets => offsets = Ok(parts.next_value_seed(once(offsets, FIELDS[0])?)?),
                Field::Values => values = Ok(parts.next_value_seed(once(values, FIELDS[1])?)?),
                Field::Other => {
                    parts.next_value::<IgnoredAny>()?;
                }
            }
        }
        let offsets = offsets.map_err(|_| A::Error::missing_field(FIELDS[0]))?;
        batch(values.map_err(|_| A::Error::missing_field(FIELDS[1]))?, offsets)
    }
}

/// The seed, if what it makes has not been made yet.
fn once<T, S, E: Error>(part: Result<T, S>, field: &'static str) -> Result<S, E> {
    part.err().ok_or_else(|| E::duplicate_field(field))
}

fn batch<T: Pod + Send, E: Error>(
    values: MemoryOwner<T>,
    offsets: MemoryOwner<usize>,
) -> Result<Ragged<T>, E> {
    Ragged::from_parts(values, offsets).map_err(|refused| E::custom(refused.reason))
}

enum Field {
    Offsets,
    Values,
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(FieldVisitor)
    }
}

struct FieldVisitor;

impl Visitor<'_> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_u64<E: Error>(self, index: u64) -> Result<Field, E> {
        Ok(match index {
            0 => Field::Offsets,
            1 => Field::Values,
            _ => Field::Other,
        })
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
        self.visit_bytes(name.as_bytes())
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Field, E> {
        Ok(match name {
            b"offsets" => Field::Offsets,
            b"values" => Field::Values,
            _ => Field::Other,
        })
    }
}
