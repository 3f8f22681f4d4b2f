//! `serde`.

use leasehold::serde::{Rented, Within};
use leasehold::{MemoryOwner, MemoryPool, Ragged, Sequence, SharedOwner};
use serde::de::value::{BorrowedBytesDeserializer, Error, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::ser::{Error as _, Impossible, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};

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

/// A format that takes bytes in one piece, of a structure those of its `values`, and nothing else.
struct Seen<'a>(&'a mut Vec<u8>);

macro_rules! refuse {
    ($($method:ident$(<$value:ident>)?($($argument:ty),*);)*) => {$(
        fn $method$(<$value: Serialize + ?Sized>)?(self, $(_: $argument),*) -> Result<(), Error> {
            Err(Error::custom(stringify!($method)))
        }
    )*};
}

impl Serializer for Seen<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    refuse! {
        serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64);
        serialize_f32(f32); serialize_f64(f64); serialize_char(char); serialize_str(&str);
        serialize_none(); serialize_unit(); serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
        serialize_some<T>(&T);
        serialize_newtype_struct<T>(&'static str, &T);
        serialize_newtype_variant<T>(&'static str, u32, &'static str, &T);
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Err(Error::custom("a sequence"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(Error::custom("a tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error::custom("a tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom("a tuple"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(Error::custom("a map"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::custom("a variant"))
    }
}

impl SerializeStruct for Seen<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        if name == "values" { value.serialize(Seen(self.0)) } else { Ok(()) }
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
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
    let json: String = format!("{:?}", (0..1000).collect::<Vec<u32>>());
    let read =
        |json: &str| Rented::<u32>::new(&pool).deserialize(&mut serde_json::Deserializer::from_str(json));
    let owner = read(&json).unwrap();
    assert!(owner.iter().copied().eq(0..1000));
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
    let json = format!("{:?}", vec![1; 1100]);
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

#[test]
fn a_sequence_reads_the_same_however_it_is_cut() {
    let numbers = Sequence::from_iter([vec![1, 2], vec![3], vec![4, 5]]);
    let json = serde_json::to_string(&numbers.slice(1..)).unwrap();
    assert_eq!(json, "[2,3,4,5]");
    let again: Sequence<i32> = serde_json::from_str(&json).unwrap();
    assert_eq!((&again, again.segments().count()), (&numbers.slice(1..), 1));

    let bytes = Sequence::from_iter([b"to".to_vec(), b" be".to_vec()]);
    for part in [bytes.clone(), bytes.slice(..2), bytes.slice(..0)] {
        let mut seen = Vec::new();
        part.serialize(Seen(&mut seen)).unwrap();
        assert_eq!(part, seen[..], "handed over as bytes, in one piece");
    }
    let handed = Sequence::<u8>::deserialize(Handed(b"to be".to_vec())).unwrap();
    assert_eq!(handed, bytes);
}

#[test]
fn a_sequence_of_nothing_comes_back() {
    assert_eq!(serde_json::to_string(&Sequence::<u32>::new()).unwrap(), "[]");
    assert!(serde_json::from_str::<Sequence<u32>>("[]").unwrap().is_empty());
    assert!(serde_json::from_str::<Sequence<u8>>(r#""""#).unwrap().is_empty());
    assert!(serde_json::from_str::<Sequence<u32>>("[1,true]").is_err());
    assert!(serde_json::from_str::<Sequence<u16>>(r#""to""#).is_err());
}

#[test]
fn a_batch_comes_back_with_its_rows() {
    let batch = Ragged::gather_rows(&MemoryPool::new(), &[&[1, 2][..], &[], &[3]]);
    let json = r#"{"offsets":[0,2,2,3],"values":[1,2,3]}"#;
    assert_eq!(serde_json::to_string(&batch).unwrap(), json);
    let other_order = r#"{"values":[1,2,3],"more":{"a":[]},"offsets":[0,2,2,3]}"#;
    for json in [json, other_order, "[[0,2,2,3],[1,2,3]]"] {
        let again: Ragged<i32> = serde_json::from_str(json).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), batch.iter().collect::<Vec<_>>());
    }
    let mut spare: Ragged<i32> = serde_json::from_str(r#"{"offsets":[0,1],"values":[1,2,3]}"#).unwrap();
    assert_eq!((spare.values(), spare.spare_values()), (&[1][..], 2));
    spare.clear();
    spare.push_row(&[4, 5, 6]).unwrap();
    assert_eq!(spare.row(0), [4, 5, 6]);
}

#[test]
fn a_batch_without_rows_or_values_comes_back() {
    let pool = MemoryPool::new();
    let none = Ragged::<u32>::rent(&pool, 3, 9);
    assert_eq!(serde_json::to_string(&none).unwrap(), r#"{"offsets":[0],"values":[]}"#);
    let again: Ragged<u32> = serde_json::from_str(r#"{"offsets":[0],"values":[]}"#).unwrap();
    assert!(again.is_empty());
    let again: Ragged<u32> = serde_json::from_str(r#"{"offsets":[0,0,0],"values":[]}"#).unwrap();
    assert_eq!(again.iter().collect::<Vec<_>>(), [&[0; 0][..], &[]]);
}

#[test]
fn the_values_of_a_batch_of_bytes_are_bytes() {
    let batch = Ragged::gather_rows(&MemoryPool::new(), &[&b"to"[..], b"be"]);
    let mut seen = Vec::new();
    batch.serialize(Seen(&mut seen)).unwrap();
    assert_eq!(seen, b"tobe");
    let again: Ragged<u8> = serde_json::from_str(r#"{"offsets":[0,2,4],"values":"tobe"}"#).unwrap();
    assert_eq!(again.row(1), b"be");
}

#[test]
fn a_batch_is_read_into_a_pools_memory() {
    let pool = MemoryPool::new();
    let read =
        |json| Rented::<Ragged<u32>>::new(&pool).deserialize(&mut serde_json::Deserializer::from_str(json));
    let batch = read(r#"{"offsets":[0,2,3],"values":[1,2,3]}"#).unwrap();
    assert_eq!((batch.row(0), batch.row(1), pool.outstanding().len()), (&[1, 2][..], &[3][..], 2));
    drop(batch);
    assert!(read(r#"{"offsets":[0,2,1],"values":[1,2,3]}"#).is_err());
    assert!(pool.outstanding().is_empty(), "the blocks of a refused batch go back");
}

#[test]
fn offsets_that_lie_are_an_error_of_the_format() {
    let error = |json: &str| serde_json::from_str::<Ragged<u32>>(json).unwrap_err().to_string();
    for (json, said) in [
        (r#"{"offsets":[0,2,1],"values":[1,2,3]}"#, "offset 2 is smaller than the one before it"),
        (r#"{"offsets":[0,4],"values":[1,2,3]}"#, "the last row ends at 4 of 3 values"),
        (r#"{"offsets":[0,18446744073709551615],"values":[]}"#, "of 0 values"),
        (r#"{"offsets":[1,3],"values":[1,2,3]}"#, "the first row begins at 1 and not at 0"),
        (r#"{"offsets":[],"values":[1,2,3]}"#, "no offsets"),
        (r#"{"offsets":[0,-1],"values":[]}"#, "-1"),
        (r#"{"values":[1,2,3]}"#, "missing field `offsets`"),
        (r#"{"offsets":[0]}"#, "missing field `values`"),
        (r#"{"offsets":[0],"offsets":[0],"values":[]}"#, "duplicate field `offsets`"),
        ("[[0,1]]", "invalid length 1"),
        ("[]", "invalid length 0"),
        ("7", "offsets and values of a ragged batch"),
    ] {
        assert!(error(json).contains(said), "{json}: {}", error(json));
    }
}

/// A format that claims to have as many elements as there are numbers, and has two.
struct Liar;

impl<'de> Deserializer<'de> for Liar {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Two(2))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Two(u64);

impl<'de> SeqAccess<'de> for Two {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.0.checked_sub(1) else { return Ok(None) };
        self.0 = left;
        seed.deserialize(left.into_deserializer()).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::MAX)
    }
}

#[test]
fn a_length_that_lies_reserves_no_more_than_is_there() {
    assert_eq!(MemoryOwner::<u64>::deserialize(Liar).unwrap()[..], [1, 0]);
    assert_eq!(Sequence::<u64>::deserialize(Liar).unwrap(), [1, 0][..]);
    let pool = MemoryPool::new();
    let owner = Rented::<u64>::new(&pool).deserialize(Liar).unwrap();
    assert_eq!(owner[..], [1, 0]);
    assert!(pool.stats().rented_bytes <= 2 << 20, "{}", pool.stats().rented_bytes);
}
