//! Sequences: the elements, however they are cut.

use std::any::Any;

use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sequence::Sequence;
use crate::shared::SharedOwner;

/// As a sequence of elements; those of `u8` as bytes, for which several segments are copied into one.
impl<T: Serialize + Send + 'static> Serialize for Sequence<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self as &dyn Any).downcast_ref::<Sequence<u8>>() {
            Some(bytes) => serialize_bytes(bytes, serializer),
            None => serializer.collect_seq(self),
        }
    }
}

/// A format takes its bytes in one piece.
fn serialize_bytes<S: Serializer>(bytes: &Sequence<u8>, serializer: S) -> Result<S::Ok, S::Error> {
    if let Some(single) = bytes.as_single() {
        return serializer.serialize_bytes(single);
    }
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(S::Error::custom)?;
    bytes.segments().for_each(|segment| copy.extend_from_slice(segment));
    serializer.serialize_bytes(&copy)
}

/// One segment, as a [`SharedOwner`] is deserialised.
impl<'de, T: Deserialize<'de> + Send + 'static> Deserialize<'de> for Sequence<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SharedOwner::deserialize(deserializer).map(Sequence::from)
    }
}
