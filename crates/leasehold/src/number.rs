//! Numbers as bytes, in both orders.

/// A number of fixed size that can be read from bytes, least or most significant byte first.
///
/// Implemented for the integers and floating-point numbers of the language, and with the feature `half` for `f16` and `bf16`;
/// nobody else implements it.
///
/// # Examples
/// ```
/// use leasehold::Number;
///
/// let packet = [0x12, 0x34, 0x56];
/// assert_eq!(u16::read_be(&packet), Some(0x1234));
/// assert_eq!(u16::read_le(&packet), Some(0x3412));
/// assert_eq!(u32::read_be(&packet), None);
/// ```
#[doc(alias = "BinaryPrimitives")]
pub trait Number: sealed::Sealed + Copy {
    /// Bytes that a number takes.
    const SIZE: usize;

    /// The number whose least significant byte is first; `None` when there are too few bytes.
    fn read_le(bytes: &[u8]) -> Option<Self>;

    /// The number whose most significant byte is first; `None` when there are too few bytes.
    fn read_be(bytes: &[u8]) -> Option<Self>;

    /// Writes the number, the least significant byte first, to the front of `bytes`. Returns what is behind it; `None`, and
    /// nothing is written, when there are too few.
    ///
    /// # Examples
    /// ```
    /// use leasehold::Number;
    ///
    /// let mut frame = [0; 6];
    /// let rest = 5u32.write_be(&mut frame).unwrap();
    /// assert!(7u16.write_le(rest).unwrap().is_empty());
    /// assert_eq!(frame, [0, 0, 0, 5, 7, 0]);
    /// ```
    fn write_le(self, bytes: &mut [u8]) -> Option<&mut [u8]>;

    /// As [`write_le`](Self::write_le), the most significant byte first.
    fn write_be(self, bytes: &mut [u8]) -> Option<&mut [u8]>;
}

/// Bytes that the largest number takes.
pub(crate) const LARGEST: usize = 16;

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for $number {}

        impl Number for $number {
            const SIZE: usize = size_of::<$number>();

            #[inline]
            fn read_le(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().copied().map(Self::from_le_bytes)
            }

            #[inline]
            fn read_be(bytes: &[u8]) -> Option<Self> {
                bytes.first_chunk().copied().map(Self::from_be_bytes)
            }

            #[inline]
            fn write_le(self, bytes: &mut [u8]) -> Option<&mut [u8]> {
                let (front, rest) = bytes.split_first_chunk_mut()?;
                *front = self.to_le_bytes();
                Some(rest)
            }

            #[inline]
            fn write_be(self, bytes: &mut [u8]) -> Option<&mut [u8]> {
                let (front, rest) = bytes.split_first_chunk_mut()?;
                *front = self.to_be_bytes();
                Some(rest)
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);
#[cfg(feature = "half")]
numbers!(half::f16 half::bf16);

mod sealed {
    pub trait Sealed {}
}
