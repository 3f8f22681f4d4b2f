//! Several read-only segments as one.

mod find;
mod iter;
mod list;
mod reader;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Index, Range, RangeBounds};
use std::panic::Location;

use bytemuck::Pod;

use crate::error::{OutOfRange, RentError};
use crate::owner::MemoryOwner;
use crate::pool::{AnyPool, MemoryPool};
use crate::raw::{self, Shared};
use crate::shared::SharedOwner;
use find::Search;
pub use iter::{Elements, Segments};
use list::{List, Segment};
pub use reader::SequenceReader;

/// Read-only segments, one behind the other, that read as one slice would: what arrived in pieces, without a copy.
///
/// ```text
/// positions   0   1   2 | 3   4 | 5   6   7   8
/// segments    a   b   c | d   e | f   g   h   i      each a slice of a shared owner
/// ```
/// Positions count from the beginning of the sequence, also of a slice of another. No segment is empty, and a segment
/// that follows the one before it in the same block is joined to it. A position is found in the logarithm of the number
/// of segments.
///
/// A sequence of one segment allocates nothing. Cloning and slicing cost one atomic addition, and another when there are
/// several segments; they copy no list: a clone or [`slice`](Self::slice) keeps all segments of
/// what it came from. What changes a sequence ([`advance`](Self::advance), [`split_to`](Self::split_to),
/// [`push`](Self::push) ..) leaves it with the segments that it shows, and lets go of the others.
///
/// # Examples
/// ```
/// use leasehold::{Sequence, SharedOwner};
///
/// let sequence = Sequence::from_iter([b"GET /in".to_vec(), b"dex HT".to_vec(), b"TP/1.1\r\n".to_vec()]);
/// assert_eq!((sequence.len(), sequence.segments().count()), (21, 3));
///
/// let space = sequence.position(&b' ').unwrap();
/// let rest = sequence.slice(space + 1..);
/// let path = rest.slice(..rest.find(b" HTTP").unwrap());
/// assert_eq!(path, b"/index"[..]);
/// ```
#[doc(alias = "ReadOnlySequence")]
#[doc(alias = "Buf")]
pub struct Sequence<T> {
    list: List<T>,
    /// Where the sequence begins and ends, counted as in [`Segment::end`].
    start: usize,
    end: usize,
}

impl<T> Sequence<T> {
    /// A sequence of nothing. Allocates nothing.
    ///
    /// # Examples
    /// ```
    /// assert!(leasehold::Sequence::<u8>::new().is_empty());
    /// ```
    pub const fn new() -> Sequence<T> {
        Sequence { list: List::new(), start: 0, end: 0 }
    }

    /// Elements in all segments.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The element at a position.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// assert_eq!((sequence.get(2), sequence.get(3)), (Some(&3), None));
    /// ```
    pub fn get(&self, position: usize) -> Option<&T> {
        if position >= self.len() {
            return None;
        }
        let at = self.start + position;
        let segment = self.list.at(at)?;
        segment.elements.get(at - segment.start())
    }

    /// The segments, none of them empty, in order.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![], vec![3]]);
    /// assert_eq!(sequence.slice(1..).segments().collect::<Vec<_>>(), [&[2][..], &[3]]);
    /// ```
    pub fn segments(&self) -> Segments<'_, T> {
        self.segments_within(0..self.len())
    }

    /// The segments of a range that lies within the sequence.
    fn segments_within(&self, range: Range<usize>) -> Segments<'_, T> {
        if range.is_empty() {
            return Segments::none();
        }
        let range = self.start + range.start..self.start + range.end;
        Segments::new(self.list.range(&range), range)
    }

    /// The elements, in order. Where a loop is hot, one over [`segments`](Self::segments) is faster.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// assert_eq!(sequence.iter().rev().collect::<Vec<_>>(), [&3, &2, &1]);
    /// ```
    pub fn iter(&self) -> Elements<'_, T> {
        Elements::new(self.segments(), self.len())
    }

    /// The whole as one slice, if it is one segment or empty.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// assert_eq!(sequence.as_single(), None);
    /// assert_eq!(sequence.slice(..2).as_single(), Some(&[1, 2][..]));
    /// ```
    pub fn as_single(&self) -> Option<&[T]> {
        let mut segments = self.segments();
        let first = segments.next().unwrap_or_default();
        segments.next().is_none().then_some(first)
    }

    /// What is at the front, up to the end of the first segment; empty when the sequence is.
    pub fn first_segment(&self) -> &[T] {
        self.segments().next().unwrap_or_default()
    }

    /// Reads from the beginning, across the borders of segments.
    ///
    /// # Examples
    /// See [`SequenceReader`].
    pub fn reader(&self) -> SequenceReader<'_, T> {
        SequenceReader::new(self)
    }

    /// Where the first element is that equals `value`.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([b"to be".to_vec(), b" or not".to_vec()]);
    /// assert_eq!(sequence.position(&b'o'), Some(1));
    /// assert_eq!(sequence.slice(2..).position(&b'o'), Some(4));
    /// ```
    pub fn position(&self, value: &T) -> Option<usize>
    where
        T: PartialEq,
    {
        find::position(self.segments(), value)
    }

    /// Where `pattern` first begins, within a segment or across any number of them. An empty pattern is at the front.
    ///
    /// Takes time proportional to the elements it looks at and to the pattern, whatever is in them, and allocates a table
    /// for a pattern of more than one element.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([b"header\r\n\r".to_vec(), b"\nbody".to_vec()]);
    /// assert_eq!(sequence.find(b"\r\n\r\n"), Some(6));
    /// ```
    pub fn find(&self, pattern: &[T]) -> Option<usize>
    where
        T: PartialEq,
    {
        Search::new(pattern).first(self.segments())
    }

    /// Copies the elements out.
    ///
    /// # Panics
    /// When `target` is not exactly as long.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// let mut array = [0; 3];
    /// sequence.copy_to_slice(&mut array);
    /// assert_eq!(array, [1, 2, 3]);
    /// ```
    #[track_caller]
    pub fn copy_to_slice(&self, target: &mut [T])
    where
        T: Copy,
    {
        let (len, given) = (self.len(), target.len());
        assert!(len == given, "a sequence of {len} elements copied to a slice of {given}");
        copy(self.segments(), target);
    }

    /// Copies the elements into a buffer of their own.
    ///
    /// # Panics
    /// When the pool's memory is not to be had.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// let owner = sequence.to_owner(leasehold::MemoryPool::shared());
    /// assert_eq!(owner[..], [1, 2, 3]);
    /// ```
    #[track_caller]
    pub fn to_owner(&self, pool: &MemoryPool) -> MemoryOwner<T>
    where
        T: Pod + Send,
    {
        let mut owner = pool.rent(self.len());
        copy(self.segments(), &mut owner);
        owner
    }

    /// As [`to_owner`](Self::to_owner), from a pool with a budget or without one.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had now.
    ///
    /// # Examples
    /// ```
    /// let pool = leasehold::MemoryPool::builder().build_bounded(1 << 20);
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]);
    /// assert_eq!(sequence.try_to_owner(&pool)?[..], [1, 2, 3]);
    /// # Ok::<_, leasehold::RentError>(())
    /// ```
    #[track_caller]
    pub fn try_to_owner(&self, pool: impl Into<AnyPool>) -> Result<MemoryOwner<T>, RentError>
    where
        T: Pod + Send,
    {
        let mut owner = pool.into().try_rent_at(self.len(), Location::caller())?;
        copy(self.segments(), &mut owner);
        Ok(owner)
    }
}

impl<T: Send + 'static> Sequence<T> {
    /// The part that `range` names. Costs as much as a clone.
    ///
    /// # Panics
    /// If the range does not lie within the sequence.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// assert_eq!(sequence.slice(1..).slice(..2), [2, 3][..]);
    /// ```
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        match raw::resolve(&range, self.len()) {
            Ok(range) => self.part(range),
            Err(range) => OutOfRange::panic(range),
        }
    }

    /// As [`slice`](Self::slice), with an error in place of the panic.
    ///
    /// # Errors
    /// [`OutOfRange`] names the range and the length.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// assert!(sequence.try_slice(1..5).is_err());
    /// ```
    pub fn try_slice(&self, range: impl RangeBounds<usize>) -> Result<Self, OutOfRange> {
        raw::resolve(&range, self.len()).map(|range| self.part(range)).map_err(OutOfRange::new)
    }

    /// The parts before and from `mid`.
    ///
    /// # Panics
    /// If `mid` is beyond the end.
    ///
    /// # Examples
    /// ```
    /// let (left, right) = leasehold::Sequence::from_iter([vec![1, 2], vec![3]]).split_at(1);
    /// assert_eq!((left.len(), right.len()), (1, 2));
    /// ```
    #[track_caller]
    pub fn split_at(self, mid: usize) -> (Self, Self) {
        let left = self.slice(..mid);
        (left, self.slice(mid..))
    }

    /// Takes the first `len` elements out, and leaves the others.
    ///
    /// # Panics
    /// If there are not that many.
    ///
    /// # Examples
    /// ```
    /// let mut sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// assert_eq!(sequence.split_to(3), [1, 2, 3][..]);
    /// assert_eq!(sequence, [4][..]);
    /// ```
    #[track_caller]
    pub fn split_to(&mut self, len: usize) -> Self {
        let head = self.slice(..len).detached();
        self.advance(len);
        head
    }

    /// Drops the first `len` elements, and the segments that are used up.
    ///
    /// # Panics
    /// If there are not that many.
    ///
    /// # Examples
    /// ```
    /// let mut sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// sequence.advance(3);
    /// assert_eq!(sequence, [4][..]);
    /// ```
    #[track_caller]
    pub fn advance(&mut self, len: usize) {
        let all = self.len();
        assert!(len <= all, "{len} elements taken from a sequence of {all}");
        self.start += len;
        self.own();
    }

    /// Drops all but the first `len` elements. Does nothing when there are no more.
    ///
    /// # Examples
    /// ```
    /// let mut sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// sequence.truncate(3);
    /// assert_eq!(sequence, [1, 2, 3][..]);
    /// ```
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.end = self.start + len;
            self.own();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Appends a segment. One that follows the last in its block is joined to it, an empty one is left away.
    ///
    /// # Panics
    /// If there were more elements than a `usize` counts.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{Sequence, SharedOwner};
    ///
    /// let (left, right) = SharedOwner::from(vec![1, 2, 3]).split_at(1);
    /// let mut sequence = Sequence::from(left);
    /// sequence.push(right);
    /// assert_eq!(sequence.as_single(), Some(&[1, 2, 3][..]));
    /// ```
    #[track_caller]
    pub fn push(&mut self, segment: impl Into<SharedOwner<T>>) {
        self.push_all([segment.into()]);
    }

    /// Appends the segments of another sequence.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    ///
    /// # Examples
    /// ```
    /// let mut sequence = leasehold::Sequence::from(vec![1, 2]);
    /// sequence.append(leasehold::Sequence::from(vec![3]).slice(..));
    /// assert_eq!(sequence, [1, 2, 3][..]);
    /// ```
    #[track_caller]
    pub fn append(&mut self, other: Sequence<T>) {
        self.push_all(other.into_owners());
    }

    /// The segments as shared owners, which keep their own blocks only.
    ///
    /// # Examples
    /// ```
    /// let sequence = leasehold::Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// let owners: Vec<_> = sequence.slice(1..).owners().collect();
    /// assert_eq!((&owners[0][..], &owners[1][..]), (&[2][..], &[3, 4][..]));
    /// ```
    pub fn owners(&self) -> impl Iterator<Item = SharedOwner<T>> + '_ {
        let (start, end) = (self.start, self.end);
        self.segments().into_segments().map(move |segment| cut(segment, &(start..end)))
    }

    /// The whole as one shared owner: the segment itself if it is the only one, else a copy.
    ///
    /// # Panics
    /// When the pool's memory is not to be had.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Sequence};
    ///
    /// let sequence = Sequence::from_iter([vec![1, 2], vec![3, 4]]);
    /// let address = sequence.first_segment().as_ptr();
    /// assert_eq!(sequence.slice(..2).to_shared(MemoryPool::shared()).as_ptr(), address);
    /// assert_eq!(sequence.to_shared(MemoryPool::shared()), [1, 2, 3, 4][..]);
    /// ```
    #[track_caller]
    pub fn to_shared(&self, pool: &MemoryPool) -> SharedOwner<T>
    where
        T: Pod,
    {
        self.only_segment().unwrap_or_else(|| self.to_owner(pool).into_shared())
    }

    /// As [`to_shared`](Self::to_shared), from a pool with a budget or without one.
    ///
    /// # Errors
    /// [`RentError`] when a copy is needed and the memory is not to be had now.
    #[track_caller]
    pub fn try_to_shared(&self, pool: impl Into<AnyPool>) -> Result<SharedOwner<T>, RentError>
    where
        T: Pod,
    {
        match self.only_segment() {
            Some(only) => Ok(only),
            None => self.try_to_owner(pool).map(MemoryOwner::into_shared),
        }
    }

    fn only_segment(&self) -> Option<SharedOwner<T>> {
        let mut owners = self.owners();
        owners.next().filter(|_| owners.next().is_none())
    }

    fn into_owners(self) -> impl Iterator<Item = SharedOwner<T>> {
        let Sequence { list, start, end } = self.detached();
        list.into_segments().map(move |segment| cut(&segment, &(start..end)))
    }

    /// The part of a range that lies within the sequence.
    fn part(&self, range: Range<usize>) -> Self {
        if range.is_empty() {
            return Sequence::new();
        }
        let (start, end) = (self.start + range.start, self.start + range.end);
        Sequence { list: self.list.clone(), start, end }
    }

    /// With a list of its own that holds what it shows and nothing else.
    fn detached(mut self) -> Self {
        self.own();
        self
    }

    #[track_caller]
    pub(crate) fn push_all(&mut self, segments: impl IntoIterator<Item = SharedOwner<T>>) {
        for segment in segments {
            if segment.is_empty() {
                continue;
            }
            self.own();
            if self.end.checked_add(segment.len()).is_none() {
                let gone = self.list.rebase(&(self.start..self.end));
                (self.start, self.end) = (self.start - gone, self.end - gone);
            }
            let end =
                self.end.checked_add(segment.len()).expect("a sequence has at most `usize::MAX` elements");
            self.list.push(segment, end, &(self.start..self.end));
            self.end = end;
        }
    }

    /// Takes everything out. Hands out the last segment, to be written on behind it, unless a clone has it too.
    pub(crate) fn take_last(&mut self) -> Option<Shared<T>> {
        (self.start, self.end) = (0, 0);
        self.list.take_last().map(|last| last.0)
    }

    /// Sees to it that the list holds no more than the sequence shows.
    fn own(&mut self) {
        self.list.keep(&(self.start..self.end));
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }
}

/// The part of a segment that lies in the range.
fn cut<T: Send + 'static>(segment: &Segment<T>, shown: &Range<usize>) -> SharedOwner<T> {
    let (start, end) = (segment.start().max(shown.start), segment.end.min(shown.end));
    segment.elements.slice(start - segment.start()..end - segment.start())
}

/// Copies segments into a slice that has room for them.
fn copy<T: Copy>(segments: Segments<'_, T>, mut target: &mut [T]) {
    for segment in segments {
        let (head, rest) = target.split_at_mut(segment.len());
        head.copy_from_slice(segment);
        target = rest;
    }
}

impl<T> Clone for Sequence<T> {
    /// Costs one atomic addition, and another when there are several segments.
    fn clone(&self) -> Self {
        Sequence { list: self.list.clone(), start: self.start, end: self.end }
    }
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Sequence::new()
    }
}

impl<T> Index<usize> for Sequence<T> {
    type Output = T;

    #[track_caller]
    fn index(&self, position: usize) -> &T {
        match self.get(position) {
            Some(element) => element,
            None => panic!("position {position} in a sequence of {} elements", self.len()),
        }
    }
}

/// One segment of whatever makes a shared owner.
impl<T: Send + 'static, S> From<S> for Sequence<T>
where
    SharedOwner<T>: From<S>,
{
    #[track_caller]
    fn from(segment: S) -> Self {
        Sequence::from_iter([segment])
    }
}

/// A segment of each.
impl<T: Send + 'static, S: Into<SharedOwner<T>>> FromIterator<S> for Sequence<T> {
    fn from_iter<I: IntoIterator<Item = S>>(segments: I) -> Self {
        let mut sequence = Sequence::new();
        sequence.extend(segments);
        sequence
    }
}

/// Appends a segment of each.
impl<T: Send + 'static, S: Into<SharedOwner<T>>> Extend<S> for Sequence<T> {
    fn extend<I: IntoIterator<Item = S>>(&mut self, segments: I) {
        self.push_all(segments.into_iter().map(S::into));
    }
}

impl<'a, T> IntoIterator for &'a Sequence<T> {
    type Item = &'a T;
    type IntoIter = Elements<'a, T>;

    fn into_iter(self) -> Elements<'a, T> {
        self.iter()
    }
}

/// As slices of the same elements, however they are cut.
impl<T: PartialEq> PartialEq for Sequence<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && find::begins_with(self.segments(), other.segments())
    }
}

impl<T: Eq> Eq for Sequence<T> {}

impl<T: PartialEq> PartialEq<[T]> for Sequence<T> {
    fn eq(&self, other: &[T]) -> bool {
        self.len() == other.len() && find::begins_with(self.segments(), std::iter::once(other))
    }
}

impl<T: PartialOrd> PartialOrd for Sequence<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.iter().partial_cmp(other)
    }
}

impl<T: Ord> Ord for Sequence<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other)
    }
}

/// The length, then one element after the other, so that it makes no difference how they are cut.
impl<T: Hash> Hash for Sequence<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|element| element.hash(state));
    }
}

/// Says how long the sequence is and in how many segments, never what is in them.
impl<T> fmt::Debug for Sequence<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence")
            .field("len", &self.len())
            .field("segments", &self.segments().len())
            .finish()
    }
}
