//! `serde`.

use leasehold::serde::{Rented, Within};
use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use serde::Deserialize;
use serde::de::value::{BorrowedBytesDeserializer, Error, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

/// A format that hands over a vector of bytes.
struct Handed(Vec<u8>);

impl<'de> Deserializer<'de> for Handed {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_byte_buf(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn owners_of_all_kinds_read_the_same_and_come_back() {
    let json = "[1.5,-2.0]";
    let owner = MemoryOwner::from(vec![1.5f32, -2.0]);
    assert_eq!(serde_json::to_string(&owner).unwrap(), json);
    let (_lessor, memory) = owner.lease_read_only();
    assert_eq!(serde_json::to_string(&memory.pin().unwrap()).unwrap(), json);
    let shared: SharedOwner<f32> = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&shared).unwrap(), json);
    assert_eq!(shared, [1.5, -2.0][..]);
    let texts: MemoryOwner<String> = serde_json::from_str(r#"["a","b"]"#).unwrap();
    assert_eq!(texts[..], ["a", "b"]);
}

#[test]
fn bytes_that_are_handed_over_are_taken_as_they_are() {
    let bytes = b"to be".to_vec();
    let address = bytes.as_ptr();
    let owner = MemoryOwner::<u8>::deserialize(Handed(bytes)).unwrap();
    assert_eq!((owner.as_ptr(), &owner[..]), (address, &b"to be"[..]));
    let error = MemoryOwner::<u16>::deserialize(Handed(vec![1, 2])).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: byte array, expected a sequence of elements");
}

#[test]
fn bytes_come_as_bytes_as_numbers_and_as_text() {
    let numbers: MemoryOwner<u8> = serde_json::from_str("[116,111]").unwrap();
    let text: MemoryOwner<u8> = serde_json::from_str(r#""to""#).unwrap();
    assert_eq!((&numbers[..], &text[..]), (&b"to"[..], &b"to"[..]));
    assert_eq!(serde_json::to_string(&text).unwrap(), "[116,111]");
    assert!(serde_json::from_str::<MemoryOwner<u16>>(r#""to""#).is_err());
    assert!(serde_json::from_str::<MemoryOwner<u8>>("[256]").is_err());
}

#[test]
fn elements_are_read_into_a_pools_memory() {
    let pool = MemoryPool::new();
    let json: String = format!("{:?}", (0..10_000).collect::<Vec<u32>>());
    let read =
        |json: &str| Rented::<u32>::new(&pool).deserialize(&mut serde_json::Deserializer::from_str(json));
    let owner = read(&json).unwrap();
    assert!(owner.iter().copied().eq(0..10_000));
    assert_eq!(pool.outstanding().len(), 1);
    drop(owner);
    assert!(read("[1, 2, true]").is_err());
    assert_eq!(read("[]").unwrap().len(), 0);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn bytes_are_read_into_a_pools_memory() {
    let pool = MemoryPool::new();
    let bytes: BorrowedBytesDeserializer<'_, Error> = BorrowedBytesDeserializer::new(b"to be");
    let owner = Rented::<u8>::new(&pool).deserialize(bytes).unwrap();
    assert_eq!((&owner[..], pool.outstanding().len()), (&b"to be"[..], 1));
    let bytes: BorrowedBytesDeserializer<'_, Error> = BorrowedBytesDeserializer::new(b"to be");
    assert!(Rented::<u32>::new(&pool).deserialize(bytes).is_err());
}

#[test]
fn a_budget_that_is_used_up_is_an_error_of_the_format() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let json = format!("{:?}", vec![1; 3000]);
    let error =
        Rented::<u32>::new(&pool).deserialize(&mut serde_json::Deserializer::from_str(&json)).unwrap_err();
    assert!(error.to_string().contains("budget of 4096 bytes"), "{error}");
    assert!(pool.outstanding().is_empty());
}

#[test]
fn what_a_format_lends_is_a_slice_of_the_buffer() {
    let pool = MemoryPool::new();
    let mut owner = pool.rent::<u8>(8);
    owner.copy_from_slice(b"..to be.");
    let message = owner.into_shared();
    let lent: BorrowedBytesDeserializer<'_, Error> = BorrowedBytesDeserializer::new(&message[2..7]);
    let text = Within(&message).deserialize(lent).unwrap();
    assert_eq!((text.as_ptr(), &text[..], message.owners()), (message[2..].as_ptr(), &b"to be"[..], 2));
    drop(message);
    assert_eq!(pool.outstanding().len(), 1);
    drop(text);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn what_lies_elsewhere_is_copied() {
    let message = SharedOwner::from(b"to be".to_vec());
    let elsewhere: BorrowedBytesDeserializer<'_, Error> = BorrowedBytesDeserializer::new(b"or not");
    assert_eq!(Within(&message).deserialize(elsewhere).unwrap(), b"or not"[..]);
    let owned: StringDeserializer<Error> = String::from("or not").into_deserializer();
    assert_eq!(Within(&message).deserialize(owned).unwrap(), b"or not"[..]);
    let escaped = SharedOwner::from(br#""a\nb""#.to_vec());
    let text = Within(&escaped).deserialize(&mut serde_json::Deserializer::from_slice(&escaped)).unwrap();
    assert_eq!((&text[..], escaped.owners()), (&b"a\nb"[..], 1));
}
