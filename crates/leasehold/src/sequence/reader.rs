//! Reading a sequence from the front.

use std::fmt;
use std::io;

use super::find::{Search, position_in};
use super::{Segments, Sequence};
use crate::error::TooShort;
use crate::number::{LARGEST, Number};

/// A cursor over a [`Sequence`]: takes elements, slices, numbers and delimited parts from the front, as if it were one slice.
///
/// An operation that fails leaves the reader where it was, so a parser may try, and try again when more has arrived.
///
/// For bytes it also is [`std::io::Read`] and [`std::io::BufRead`], whose operations do the same; but those that go line by line
/// go on behind a line that is not text.
///
/// # Examples
/// ```
/// use leasehold::Sequence;
///
/// // A message is a length in two bytes and as many bytes, wherever it was cut on its way.
/// let received = Sequence::from_iter([vec![0], vec![3, b'o'], vec![b'n', b'e', 0, 9, b'.']]);
/// let mut reader = received.reader();
///
/// let len = reader.read_be::<u16>()?;
/// assert_eq!(reader.read_sequence(len.into())?, b"one"[..]);
///
/// let mut ahead = reader.clone();
/// let len = ahead.read_be::<u16>()?;
/// assert_eq!(ahead.read_sequence(len.into()).unwrap_err().remaining, 1);
/// assert_eq!(reader.consumed(), 5, "what was read; the incomplete message is still ahead");
/// # Ok::<_, leasehold::TooShort>(())
/// ```
pub struct SequenceReader<'a, T> {
    sequence: &'a Sequence<T>,
    consumed: usize,
    /// What is left of the segment that the reader is in; empty at the end only.
    unread: &'a [T],
    /// The segments behind it.
    next: Segments<'a, T>,
}

impl<'a, T> SequenceReader<'a, T> {
    pub(super) fn new(sequence: &'a Sequence<T>) -> Self {
        let mut next = sequence.segments();
        let unread = next.next().unwrap_or_default();
        SequenceReader { sequence, consumed: 0, unread, next }
    }

    /// Elements that have been read: the position in the sequence.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Elements that are left.
    pub fn remaining_len(&self) -> usize {
        self.sequence.len() - self.consumed
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.unread.is_empty()
    }

    /// What is left of the segment that the reader is in: not empty, except at the end.
    pub fn unread(&self) -> &'a [T] {
        self.unread
    }

    /// All that is unread, in slices of which none is empty.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// let mut reader = sequence.reader();
    /// reader.read();
    /// assert_eq!(reader.unread_segments().collect::<Vec<_>>(), [&[2][..], &[3]]);
    /// ```
    pub fn unread_segments(&self) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
        let first = Some(self.unread).filter(|unread| !unread.is_empty());
        first.into_iter().chain(self.next.clone())
    }

    /// The next element, without moving.
    pub fn peek(&self) -> Option<&'a T> {
        self.unread.first()
    }

    /// The element `ahead` of the reader, without moving; `peek_at(0)` is the next.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// let mut reader = sequence.reader();
    /// reader.read();
    /// assert_eq!((reader.peek_at(1), reader.peek_at(2)), (Some(&3), None));
    /// ```
    pub fn peek_at(&self, ahead: usize) -> Option<&'a T> {
        match self.unread.get(ahead) {
            Some(element) => Some(element),
            None => self.sequence.get(self.consumed.checked_add(ahead)?),
        }
    }

    /// Takes the next element.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1], vec![2]]);
    /// let mut reader = sequence.reader();
    /// assert_eq!((reader.read(), reader.read(), reader.read()), (Some(&1), Some(&2), None));
    /// ```
    pub fn read(&mut self) -> Option<&'a T> {
        let element = self.unread.first()?;
        self.step(1);
        Some(element)
    }

    /// Skips `len` elements.
    ///
    /// # Errors
    /// [`TooShort`] when there are not that many.
    pub fn advance(&mut self, len: usize) -> Result<(), TooShort> {
        self.check(len)?;
        if len < self.unread.len() {
            self.step(len);
        } else {
            self.seek(self.consumed + len);
        }
        Ok(())
    }

    /// Goes back by `len` elements.
    ///
    /// # Errors
    /// [`TooShort`] when not that many have been read; its `remaining` is how many have.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1], vec![2]]);
    /// let mut reader = sequence.reader();
    /// reader.advance(2)?;
    /// reader.rewind(1)?;
    /// assert_eq!(reader.peek(), Some(&2));
    /// # Ok::<_, leasehold::TooShort>(())
    /// ```
    pub fn rewind(&mut self, len: usize) -> Result<(), TooShort> {
        match self.consumed.checked_sub(len) {
            Some(position) => {
                self.seek(position);
                Ok(())
            }
            None => Err(TooShort { wanted: len, remaining: self.consumed }),
        }
    }

    /// Copies as many elements as `target` has room for.
    ///
    /// # Errors
    /// [`TooShort`] when there are not that many; nothing is copied.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// let mut reader = sequence.reader();
    /// let mut three = [0; 3];
    /// assert!(reader.read_exact(&mut [0; 4]).is_err());
    /// reader.read_exact(&mut three)?;
    /// assert_eq!(three, [1, 2, 3]);
    /// # Ok::<_, leasehold::TooShort>(())
    /// ```
    pub fn read_exact(&mut self, target: &mut [T]) -> Result<(), TooShort>
    where
        T: Copy,
    {
        self.check(target.len())?;
        let mut target = target;
        while !target.is_empty() {
            let copied = self.copy_some(target);
            target = &mut target[copied..];
        }
        Ok(())
    }

    /// Skips `pattern` if it is next. Says whether it was.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([b"GE".to_vec(), b"T /".to_vec()]);
    /// let mut reader = sequence.reader();
    /// assert!(!reader.skip_if(b"PUT "));
    /// assert!(reader.skip_if(b"GET "));
    /// assert_eq!(reader.peek(), Some(&b'/'));
    /// ```
    pub fn skip_if(&mut self, pattern: &[T]) -> bool
    where
        T: PartialEq,
    {
        let begins = super::find::begins_with(self.unread_segments(), std::iter::once(pattern));
        begins && self.advance(pattern.len()).is_ok()
    }

    /// Skips the elements that are equal to `value`. Returns how many.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([b"  ".to_vec(), b" to".to_vec()]);
    /// let mut reader = sequence.reader();
    /// assert_eq!(reader.skip_while(&b' '), 3);
    /// assert_eq!(reader.peek(), Some(&b't'));
    /// ```
    pub fn skip_while(&mut self, value: &T) -> usize
    where
        T: PartialEq,
    {
        let before = self.consumed;
        while !self.unread.is_empty() {
            let equal = self.unread.iter().take_while(|element| *element == value).count();
            let stays = equal < self.unread.len();
            self.step(equal);
            if stays {
                break;
            }
        }
        self.consumed - before
    }

    fn check(&self, wanted: usize) -> Result<(), TooShort> {
        let remaining = self.remaining_len();
        if wanted <= remaining { Ok(()) } else { Err(TooShort { wanted, remaining }) }
    }

    /// Copies what there is of `target` in the segment that the reader is in.
    fn copy_some(&mut self, target: &mut [T]) -> usize
    where
        T: Copy,
    {
        let len = self.unread.len().min(target.len());
        target[..len].copy_from_slice(&self.unread[..len]);
        self.step(len);
        len
    }

    /// Moves by no more than there is in the segment.
    fn step(&mut self, len: usize) {
        self.unread = &self.unread[len..];
        self.consumed += len;
        if self.unread.is_empty() {
            self.unread = self.next.next().unwrap_or_default();
        }
    }

    /// Moves to a position that lies within the sequence.
    fn seek(&mut self, position: usize) {
        self.next = self.sequence.segments_within(position..self.sequence.len());
        self.unread = self.next.next().unwrap_or_default();
        self.consumed = position;
    }
}

impl<T: Send + 'static> SequenceReader<'_, T> {
    /// What is left, sharing it.
    pub fn remaining(&self) -> Sequence<T> {
        self.sequence.slice(self.consumed..)
    }

    /// Takes the next `len` elements, sharing them.
    ///
    /// # Errors
    /// [`TooShort`] when there are not that many.
    pub fn read_sequence(&mut self, len: usize) -> Result<Sequence<T>, TooShort> {
        let start = self.consumed;
        self.advance(len)?;
        Ok(self.sequence.slice(start..start + len))
    }

    /// Takes what is before the next `delimiter`, sharing it, and skips the delimiter. `None` when there is none.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([b"one\ntw".to_vec(), b"o\nth".to_vec()]);
    /// let mut reader = sequence.reader();
    /// assert_eq!(reader.read_until(&b'\n').unwrap(), b"one"[..]);
    /// assert_eq!(reader.read_until(&b'\n').unwrap(), b"two"[..]);
    /// assert_eq!(reader.read_until(&b'\n'), None);
    /// assert_eq!(reader.remaining(), b"th"[..]);
    /// ```
    pub fn read_until(&mut self, delimiter: &T) -> Option<Sequence<T>>
    where
        T: PartialEq,
    {
        let len = match position_in(self.unread, delimiter) {
            Some(within) => within,
            None => self.unread.len() + super::find::position(self.next.clone(), delimiter)?,
        };
        self.take_and_skip(len, 1)
    }

    /// As [`read_until`](Self::read_until), with a delimiter of several elements. An empty one is at once.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([b"head\r\n\r".to_vec(), b"\nbody".to_vec()]);
    /// let mut reader = sequence.reader();
    /// assert_eq!(reader.read_until_slice(b"\r\n\r\n").unwrap(), b"head"[..]);
    /// assert_eq!(reader.remaining(), b"body"[..]);
    /// ```
    pub fn read_until_slice(&mut self, delimiter: &[T]) -> Option<Sequence<T>>
    where
        T: PartialEq,
    {
        let len = Search::new(delimiter).first(self.unread_segments())?;
        self.take_and_skip(len, delimiter.len())
    }

    fn take_and_skip(&mut self, len: usize, skipped: usize) -> Option<Sequence<T>> {
        let start = self.consumed;
        self.advance(len + skipped).ok()?;
        Some(self.sequence.slice(start..start + len))
    }
}

impl SequenceReader<'_, u8> {
    /// Takes a number whose least significant byte is first.
    ///
    /// # Errors
    /// [`TooShort`] when there are too few bytes.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2, 3], vec![4, 5]]);
    /// let mut reader = sequence.reader();
    /// assert_eq!(reader.read_le::<u32>()?, 0x0403_0201);
    /// assert!(reader.read_le::<u16>().is_err());
    /// assert_eq!(reader.read_le::<i8>()?, 5);
    /// # Ok::<_, leasehold::TooShort>(())
    /// ```
    pub fn read_le<N: Number>(&mut self) -> Result<N, TooShort> {
        self.read_number(N::read_le)
    }

    /// Takes a number whose most significant byte is first.
    ///
    /// # Errors
    /// [`TooShort`] when there are too few bytes.
    pub fn read_be<N: Number>(&mut self) -> Result<N, TooShort> {
        self.read_number(N::read_be)
    }

    fn read_number<N: Number>(&mut self, number: impl Fn(&[u8]) -> Option<N>) -> Result<N, TooShort> {
        // A number is seldom cut in two.
        if let Some(whole) = number(self.unread) {
            self.step(N::SIZE);
            return Ok(whole);
        }
        let mut bytes = [0; LARGEST];
        let bytes = &mut bytes[..N::SIZE];
        self.read_exact(bytes)?;
        Ok(number(bytes).expect("as many bytes as the number has"))
    }
}

impl io::Read for SequenceReader<'_, u8> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut copied = 0;
        while copied < target.len() && !self.is_at_end() {
            copied += self.copy_some(&mut target[copied..]);
        }
        Ok(copied)
    }

    fn read_exact(&mut self, target: &mut [u8]) -> io::Result<()> {
        Ok(SequenceReader::read_exact(self, target)?)
    }

    fn read_to_end(&mut self, target: &mut Vec<u8>) -> io::Result<usize> {
        let len = self.remaining_len();
        target.try_reserve(len)?;
        self.unread_segments().for_each(|segment| target.extend_from_slice(segment));
        self.seek(self.sequence.len());
        Ok(len)
    }

    fn read_to_string(&mut self, target: &mut String) -> io::Result<usize> {
        let (mut ahead, mut bytes) = (self.clone(), Vec::new());
        let len = ahead.read_to_end(&mut bytes)?;
        let text =
            str::from_utf8(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        target.try_reserve(len)?;
        target.push_str(text);
        *self = ahead;
        Ok(len)
    }
}

impl io::BufRead for SequenceReader<'_, u8> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.unread)
    }

    fn consume(&mut self, len: usize) {
        self.step(len.min(self.unread.len()));
    }
}

impl<T> Clone for SequenceReader<'_, T> {
    fn clone(&self) -> Self {
        SequenceReader { sequence: self.sequence, next: self.next.clone(), ..*self }
    }
}

/// Says where the reader is, never what is there.
impl<T> fmt::Debug for SequenceReader<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SequenceReader")
            .field("consumed", &self.consumed)
            .field("remaining", &self.remaining_len())
            .finish()
    }
}
