//! The segments of a sequence: the first in place, those behind it in a list that clones share.
//!
//! Most sequences have one segment, and most changes are at the front of it. These cost neither an allocation nor an atomic
//! operation.

use std::collections::{VecDeque, vec_deque};
use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::Arc;

use crate::shared::SharedOwner;

pub(super) struct List<T> {
    /// None when there are no segments at all.
    first: Option<Segment<T>>,
    /// What is behind the first. Kept when it is empty, for its memory; no clone shares it then.
    more: Option<Arc<VecDeque<Segment<T>>>>,
}

pub(super) struct Segment<T> {
    pub(super) elements: SharedOwner<T>,
    /// Elements in the list up to here, this segment's included, and those that have left it at the front.
    pub(super) end: usize,
}

impl<T> Segment<T> {
    pub(super) fn start(&self) -> usize {
        self.end - self.elements.len()
    }

    /// Shows nothing from `end` on.
    fn cut(&mut self, end: usize) {
        let kept = self.elements.len() - (self.end - end);
        self.elements.0.narrow(..kept).expect("a part of what there was");
        self.end = end;
    }
}

impl<T> Clone for Segment<T> {
    fn clone(&self) -> Self {
        Segment { elements: self.elements.clone(), end: self.end }
    }
}

impl<T> List<T> {
    pub(super) const fn new() -> List<T> {
        List { first: None, more: None }
    }

    /// The segment that holds the element at `at`, counted as in [`Segment::end`].
    pub(super) fn at(&self, at: usize) -> Option<&Segment<T>> {
        match &self.first {
            Some(first) if at >= first.end => {
                let more = self.more.as_deref()?;
                more.get(index_of(more, at))
            }
            first => first.as_ref(),
        }
    }

    /// The segments that hold the elements of a range, which is not empty and lies in the list.
    pub(super) fn range(&self, range: &Range<usize>) -> Parts<'_, T> {
        let first_end = self.first.as_ref().map_or(0, |first| first.end);
        let first = self.first.as_ref().filter(|_| range.start < first_end);
        let more = match self.more.as_deref() {
            Some(more) if range.end > first_end => more.range(shown(more, range)),
            _ => vec_deque::Iter::default(),
        };
        Parts { first, more }
    }

    /// Appends elements, which are not none, as a segment that ends at `end`, or joined to the last.
    ///
    /// `all` is what the list is to show, and already ends where its last segment does.
    pub(super) fn push(&mut self, elements: SharedOwner<T>, end: usize, all: &Range<usize>)
    where
        T: Send + 'static,
    {
        if self.first.is_none() {
            self.first = Some(Segment { elements, end });
        } else if !self.has_more() {
            let elements = match join(&mut self.first, elements, end) {
                Some(apart) => apart,
                None => return,
            };
            self.more_mut(all).push_back(Segment { elements, end });
        } else {
            let more = self.more_mut(all);
            let mut last = more.pop_back();
            let apart = join(&mut last, elements, end);
            more.extend(last);
            more.extend(apart.map(|elements| Segment { elements, end }));
        }
    }

    /// Lets go of what lies outside of a range. A segment that begins before it stays whole: the block is kept anyway.
    pub(super) fn keep(&mut self, range: &Range<usize>) {
        if range.is_empty() {
            return self.clear();
        }
        while let Some(first) = &mut self.first {
            if first.end <= range.start {
                self.first = if self.has_more() { self.more_mut(range).pop_front() } else { None };
                continue;
            }
            if first.end > range.end {
                first.cut(range.end);
            }
            if first.end == range.end {
                self.clear_more();
            }
            break;
        }
        if self.more.as_deref().and_then(VecDeque::back).is_some_and(|last| last.end > range.end) {
            let more = self.more_mut(range);
            while more.back().is_some_and(|last| last.start() >= range.end) {
                more.pop_back();
            }
            if let Some(last) = more.back_mut() {
                last.cut(range.end);
            }
        }
    }

    /// Lets go of everything, and hands out the last segment, unless a clone has it too.
    pub(super) fn take_last(&mut self) -> Option<SharedOwner<T>> {
        let last = if self.has_more() {
            let more = self.more.as_mut().map(Arc::get_mut)?;
            more.and_then(VecDeque::pop_back)
        } else {
            self.first.take()
        };
        self.clear();
        last.map(|last| last.elements)
    }

    /// Counts from the front again, when what has left the list would make the positions overflow. Returns how much that was.
    #[cold]
    pub(super) fn rebase(&mut self, range: &Range<usize>) -> usize {
        let gone = self.first.as_ref().map_or(0, Segment::start);
        if let Some(first) = &mut self.first {
            first.end -= gone;
        }
        if self.has_more() {
            self.more_mut(range).iter_mut().for_each(|segment| segment.end -= gone);
        }
        gone
    }

    pub(super) fn into_segments(self) -> impl Iterator<Item = Segment<T>> {
        self.first.into_iter().chain(self.more.map(Arc::unwrap_or_clone).unwrap_or_default())
    }

    fn has_more(&self) -> bool {
        self.more.as_deref().is_some_and(|more| !more.is_empty())
    }

    fn clear(&mut self) {
        self.first = None;
        self.clear_more();
    }

    fn clear_more(&mut self) {
        if self.has_more() {
            match self.more.as_mut().and_then(Arc::get_mut) {
                Some(more) => more.clear(),
                None => self.more = None,
            }
        }
    }

    /// What is behind the first, if it is nobody else's, or a copy in its place that holds nothing outside of `range`.
    fn more_mut(&mut self, range: &Range<usize>) -> &mut VecDeque<Segment<T>> {
        let more = self.more.get_or_insert_default();
        // There are no weak references, and a list that only we have cannot get a second holder while we borrow it mutably.
        if Arc::strong_count(more) > 1 {
            *more = Arc::new(more.range(shown(more, range)).cloned().collect());
        }
        Arc::get_mut(more).expect("nobody else has it")
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        List { first: self.first.clone(), more: self.more.as_ref().filter(|more| !more.is_empty()).cloned() }
    }
}

/// Joins elements to the last segment, which ends at `end` then, or hands them back.
fn join<T: Send + 'static>(
    last: &mut Option<Segment<T>>,
    elements: SharedOwner<T>,
    end: usize,
) -> Option<SharedOwner<T>> {
    let Some(Segment { elements: before, end: middle }) = last.take() else { return Some(elements) };
    match before.try_join(elements) {
        Ok(elements) => {
            *last = Some(Segment { elements, end });
            None
        }
        Err(apart) => {
            *last = Some(Segment { elements: apart.first, end: middle });
            Some(apart.second)
        }
    }
}

/// Which segment holds the element at `at`.
fn index_of<T>(segments: &VecDeque<Segment<T>>, at: usize) -> usize {
    // Most often it is the first.
    if segments.front().is_some_and(|first| at < first.end) {
        return 0;
    }
    segments.partition_point(|segment| segment.end <= at)
}

/// Which segments hold elements of a range, which is not empty.
fn shown<T>(segments: &VecDeque<Segment<T>>, range: &Range<usize>) -> Range<usize> {
    let start = index_of(segments, range.start);
    start..(index_of(segments, range.end - 1) + 1).clamp(start, segments.len())
}

/// Segments in order.
pub(super) struct Parts<'a, T> {
    first: Option<&'a Segment<T>>,
    more: vec_deque::Iter<'a, Segment<T>>,
}

impl<T> Parts<'_, T> {
    pub(super) fn none() -> Self {
        Parts { first: None, more: vec_deque::Iter::default() }
    }
}

impl<'a, T> Iterator for Parts<'a, T> {
    type Item = &'a Segment<T>;

    fn next(&mut self) -> Option<&'a Segment<T>> {
        self.first.take().or_else(|| self.more.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = usize::from(self.first.is_some()) + self.more.len();
        (len, Some(len))
    }
}

impl<T> DoubleEndedIterator for Parts<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.more.next_back().or_else(|| self.first.take())
    }
}

impl<T> ExactSizeIterator for Parts<'_, T> {}

impl<T> FusedIterator for Parts<'_, T> {}

impl<T> Clone for Parts<'_, T> {
    fn clone(&self) -> Self {
        Parts { first: self.first, more: self.more.clone() }
    }
}
