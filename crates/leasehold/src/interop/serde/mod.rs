//! Deserialising into a pool's memory, and without a copy out of the buffer that is read.
//!
//! The feature `serde` serialises owners, shared owners, pins and sequences as sequences of elements, and those of `u8` as bytes, as
//! `serde_bytes` does. All but pins are deserialised into memory of their own: of bytes that the format hands
//! over as a vector, that vector. For everything else there are the two seeds of this module.
//!
//! A [`Ragged`](crate::Ragged) batch is a structure of two such sequences, its `offsets` and its `values`.

mod ragged;
mod sequence;

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::handle::MemoryHandle;
use crate::owner::MemoryOwner;
use crate::pool::AnyPool;
use crate::shared::SharedOwner;
use crate::writer::MemoryWriter;

/// Bytes that are allocated because of a length that nobody has checked yet.
const TRUSTED_BYTES: usize = 1 << 20;

/// Deserialises elements straight into memory of a pool.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, serde::Rented};
/// use serde::de::DeserializeSeed;
///
/// let pool = MemoryPool::new();
/// let mut json = serde_json::Deserializer::from_str("[1.5, 2.5]");
/// let owner = Rented::<f32>::new(&pool).deserialize(&mut json)?;
/// assert_eq!((&owner[..], pool.outstanding().len()), (&[1.5, 2.5][..], 1));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rented<T> {
    pool: AnyPool,
    _elements: PhantomData<fn() -> T>,
}

impl<T> Rented<T> {
    /// Into memory of this pool. A pool with a budget is not waited for.
    pub fn new(pool: impl Into<AnyPool>) -> Self {
        Rented { pool: pool.into(), _elements: PhantomData }
    }
}

impl<T: Pod + Send> Rented<T> {
    fn writer(&self) -> MemoryWriter<T> {
        MemoryWriter::contiguous(self.pool.clone()).block_len(1)
    }
}

/// The errors are those of the format, and that of the pool in its words.
impl<'de, T: Pod + Send + Deserialize<'de>> DeserializeSeed<'de> for Rented<T> {
    type Value = MemoryOwner<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MemoryOwner<T>, D::Error> {
        deserialize::<T, _, _>(deserializer, self)
    }
}

impl<'de, T: Pod + Send + Deserialize<'de>> Visitor<'de> for Rented<T> {
    type Value = MemoryOwner<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(expected::<T>())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<MemoryOwner<T>, A::Error> {
        let mut writer = self.writer();
        writer.try_reserve(trusted::<T>(elements.size_hint())).map_err(A::Error::custom)?;
        while let Some(element) = elements.next_element()? {
            writer.try_reserve(1).map_err(A::Error::custom)?[0] = element;
            writer.commit(1);
        }
        Ok(finished(writer))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<MemoryOwner<T>, E> {
        if !is_bytes::<T>() {
            return Err(E::invalid_type(Unexpected::Bytes(bytes), &self));
        }
        let mut writer = self.writer();
        let room = writer.try_reserve(bytes.len()).map_err(E::custom)?;
        room[..bytes.len()].copy_from_slice(bytemuck::cast_slice(bytes));
        writer.commit(bytes.len());
        Ok(finished(writer))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MemoryOwner<T>, E> {
        self.visit_bytes(text.as_bytes())
    }
}

fn finished<T: Pod + Send>(writer: MemoryWriter<T>) -> MemoryOwner<T> {
    writer.freeze().try_into_owner().expect("nothing was handed out before")
}

/// Deserialises bytes or text out of a buffer, as slices of that buffer where the format lends them.
///
/// Formats that can do so (JSON for text without escapes, and binary formats) must be given the very buffer. What they
/// cannot lend is copied.
///
/// # Examples
/// ```
/// use leasehold::{SharedOwner, serde::Within};
/// use serde::de::DeserializeSeed;
///
/// let message = SharedOwner::from(br#""to be or not""#.to_vec());
/// let text = Within(&message).deserialize(&mut serde_json::Deserializer::from_slice(&message))?;
/// assert_eq!((&text[..], text.as_ptr()), (&b"to be or not"[..], message[1..].as_ptr()));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Within<'a>(pub &'a SharedOwner<u8>);

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = SharedOwner<u8>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SharedOwner<u8>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = SharedOwner<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes or text")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<SharedOwner<u8>, E> {
        let start = bytes.as_ptr().addr().checked_sub(self.0.as_ptr().addr());
        let slice = start.and_then(|start| self.0.try_slice(start..start.checked_add(bytes.len())?).ok());
        slice.map_or_else(|| self.visit_bytes(bytes), Ok)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<SharedOwner<u8>, E> {
        self.visit_borrowed_bytes(text.as_bytes())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<SharedOwner<u8>, E> {
        Ok(SharedOwner::from(bytes))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<SharedOwner<u8>, E> {
        Ok(SharedOwner::from(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SharedOwner<u8>, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<SharedOwner<u8>, A::Error> {
        Own(PhantomData).visit_seq(elements).map(MemoryOwner::into_shared)
    }
}

/// Collects elements into a vector, and takes the vector.
struct Own<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Send + 'static> Visitor<'de> for Own<T> {
    type Value = MemoryOwner<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(expected::<T>())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<MemoryOwner<T>, A::Error> {
        let mut vec = Vec::with_capacity(trusted::<T>(elements.size_hint()));
        while let Some(element) = elements.next_element()? {
            vec.push(element);
        }
        Ok(MemoryOwner::from(vec))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<MemoryOwner<T>, E> {
        if !is_bytes::<T>() {
            return Err(E::invalid_type(Unexpected::Bytes(bytes), &self));
        }
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<MemoryOwner<T>, E> {
        // Of one type and the other at once: they are the same if the elements are bytes.
        let mut bytes = Some(bytes);
        match (&mut bytes as &mut dyn Any).downcast_mut::<Option<Vec<T>>>() {
            Some(elements) => Ok(MemoryOwner::from(elements.take().unwrap_or_default())),
            None => Err(E::invalid_type(Unexpected::Bytes(&bytes.unwrap_or_default()), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MemoryOwner<T>, E> {
        self.visit_bytes(text.as_bytes())
    }
}

/// Takes the vector of bytes that a format hands over, and collects other elements into one.
impl<'de, T: Deserialize<'de> + Send + 'static> Deserialize<'de> for MemoryOwner<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize::<T, _, _>(deserializer, Own(PhantomData))
    }
}

/// As a [`MemoryOwner`].
impl<'de, T: Deserialize<'de> + Send + 'static> Deserialize<'de> for SharedOwner<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        MemoryOwner::deserialize(deserializer).map(MemoryOwner::into_shared)
    }
}

macro_rules! serialize {
    ($($owner:ident)*) => {$(
        /// As a sequence of elements; those of `u8` as bytes.
        impl<T: Serialize + Send + 'static> Serialize for $owner<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match (self as &dyn Any).downcast_ref::<$owner<u8>>() {
                    Some(bytes) => serializer.serialize_bytes(bytes),
                    None => serializer.collect_seq(self.iter()),
                }
            }
        }
    )*};
}

serialize!(MemoryOwner SharedOwner MemoryHandle);

fn deserialize<'de, T: 'static, V: Visitor<'de>, D: Deserializer<'de>>(
    deserializer: D,
    visitor: V,
) -> Result<V::Value, D::Error> {
    if is_bytes::<T>() {
        deserializer.deserialize_byte_buf(visitor)
    } else {
        deserializer.deserialize_seq(visitor)
    }
}

fn is_bytes<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<u8>()
}

fn expected<T: 'static>() -> &'static str {
    if is_bytes::<T>() { "bytes" } else { "a sequence of elements" }
}

/// How many elements there is room made for before they come.
fn trusted<T>(hint: Option<usize>) -> usize {
    hint.unwrap_or(0).min(TRUSTED_BYTES / size_of::<T>().max(1))
}
