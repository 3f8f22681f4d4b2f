//! Segments and elements, in order.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;
use std::slice;

use super::list::{Parts, Segment};

/// The segments of a [`Sequence`](super::Sequence), none of them empty.
pub struct Segments<'a, T> {
    /// The segments that lie in the range, wholly or partly; none outside of it.
    list: Parts<'a, T>,
    range: Range<usize>,
}

impl<'a, T> Segments<'a, T> {
    pub(super) fn new(list: Parts<'a, T>, range: Range<usize>) -> Self {
        Segments { list, range }
    }

    pub(super) fn none() -> Self {
        Segments { list: Parts::none(), range: 0..0 }
    }

    pub(super) fn into_segments(self) -> Parts<'a, T> {
        self.list
    }

    fn clip(&self, segment: &'a Segment<T>) -> &'a [T] {
        let elements = &segment.elements[..];
        let elements = &elements[..elements.len() - segment.end.saturating_sub(self.range.end)];
        &elements[self.range.start.saturating_sub(segment.start())..]
    }
}

impl<'a, T> Iterator for Segments<'a, T> {
    type Item = &'a [T];

    fn next(&mut self) -> Option<&'a [T]> {
        let segment = self.list.next()?;
        Some(self.clip(segment))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.list.size_hint()
    }
}

impl<T> DoubleEndedIterator for Segments<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let segment = self.list.next_back()?;
        Some(self.clip(segment))
    }
}

impl<T> ExactSizeIterator for Segments<'_, T> {}

impl<T> FusedIterator for Segments<'_, T> {}

impl<T> Clone for Segments<'_, T> {
    fn clone(&self) -> Self {
        Segments { list: self.list.clone(), range: self.range.clone() }
    }
}

/// Says how many there are, never what is in them.
impl<T> fmt::Debug for Segments<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments").field("left", &self.len()).finish()
    }
}

/// The elements of a [`Sequence`](super::Sequence).
pub struct Elements<'a, T> {
    front: slice::Iter<'a, T>,
    segments: Segments<'a, T>,
    back: slice::Iter<'a, T>,
    left: usize,
}

impl<'a, T> Elements<'a, T> {
    pub(super) fn new(segments: Segments<'a, T>, left: usize) -> Self {
        Elements { front: [].iter(), segments, back: [].iter(), left }
    }
}

impl<'a, T> Iterator for Elements<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(element) = self.front.next() {
                self.left -= 1;
                return Some(element);
            }
            // What the other end has begun comes last.
            self.front = match self.segments.next() {
                Some(segment) => segment.iter(),
                None if self.back.len() > 0 => std::mem::take(&mut self.back),
                None => return None,
            };
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> DoubleEndedIterator for Elements<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(element) = self.back.next_back() {
                self.left -= 1;
                return Some(element);
            }
            self.back = match self.segments.next_back() {
                Some(segment) => segment.iter(),
                None if self.front.len() > 0 => std::mem::take(&mut self.front),
                None => return None,
            };
        }
    }
}

impl<T> ExactSizeIterator for Elements<'_, T> {}

impl<T> FusedIterator for Elements<'_, T> {}

impl<T> Clone for Elements<'_, T> {
    fn clone(&self) -> Self {
        let (front, back) = (self.front.clone(), self.back.clone());
        Elements { front, segments: self.segments.clone(), back, left: self.left }
    }
}

/// Says how many there are, never what they are.
impl<T> fmt::Debug for Elements<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elements").field("left", &self.left).finish()
    }
}
