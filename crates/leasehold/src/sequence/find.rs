//! Looking for elements across the borders of segments.

/// Elements that are compared before the loop looks whether one was equal: enough for the compiler to use vectors.
const STRIDE: usize = 32;

/// Where the first element is that equals `value`.
pub(super) fn position<'a, T: PartialEq + 'a>(
    segments: impl Iterator<Item = &'a [T]>,
    value: &T,
) -> Option<usize> {
    let mut before = 0;
    for segment in segments {
        if let Some(within) = position_in(segment, value) {
            return Some(before + within);
        }
        before += segment.len();
    }
    None
}

/// The same in one slice.
pub(super) fn position_in<T: PartialEq>(slice: &[T], value: &T) -> Option<usize> {
    let strides = slice.chunks(STRIDE);
    let holds = |stride: &[T]| stride.iter().fold(false, |found, element| found | (element == value));
    let skipped = strides.take_while(|stride| !holds(stride)).count() * STRIDE;
    let rest = slice.get(skipped..)?;
    rest.iter().position(|element| element == value).map(|within| skipped + within)
}

/// Whether the elements of `a` begin with those of `b`, however both are cut. Neither has empty slices between others.
pub(super) fn begins_with<'a, T: PartialEq + 'a>(
    mut a: impl Iterator<Item = &'a [T]>,
    mut b: impl Iterator<Item = &'a [T]>,
) -> bool {
    let (mut left, mut right): (&[T], &[T]) = (&[], &[]);
    loop {
        if right.is_empty() {
            match b.next() {
                Some(next) => right = next,
                None => return true,
            }
            continue;
        }
        if left.is_empty() {
            match a.next() {
                Some(next) => left = next,
                None => return false,
            }
        }
        let common = left.len().min(right.len());
        if left[..common] != right[..common] {
            return false;
        }
        (left, right) = (&left[common..], &right[common..]);
    }
}

/// A pattern with what is known about it: the search of Knuth, Morris and Pratt, which never looks back, so that a border
/// between segments is nothing to it.
pub(super) struct Search<'a, T> {
    pattern: &'a [T],
    /// Of the first so many elements, plus one: how long the longest part is that they end with and the pattern begins with.
    borders: Vec<usize>,
}

impl<'a, T: PartialEq> Search<'a, T> {
    pub(super) fn new(pattern: &'a [T]) -> Search<'a, T> {
        let mut borders = Vec::new();
        if pattern.len() > 1 {
            borders.reserve_exact(pattern.len());
            borders.push(0);
            for element in &pattern[1..] {
                let last = borders[borders.len() - 1];
                let border = step(pattern, &borders, last, element);
                borders.push(border);
            }
        }
        Search { pattern, borders }
    }

    /// Where the pattern first begins.
    pub(super) fn first<'s>(&self, segments: impl Iterator<Item = &'s [T]>) -> Option<usize>
    where
        T: 's,
    {
        let first = match self.pattern {
            [] => return Some(0),
            [only] => return position(segments, only),
            [first, ..] => first,
        };
        let (mut before, mut matched) = (0, 0);
        for segment in segments {
            let mut at = 0;
            while at < segment.len() {
                if matched == 0 {
                    // Most of the way nothing matches, and a loop with vectors is faster.
                    match position_in(&segment[at..], first) {
                        Some(within) => at += within,
                        None => break,
                    }
                }
                matched = step(self.pattern, &self.borders, matched, &segment[at]);
                at += 1;
                if matched == self.pattern.len() {
                    return Some(before + at - matched);
                }
            }
            before += segment.len();
        }
        None
    }
}

/// How much of the pattern ends with `element`, when `matched` elements of it ended with the one before.
fn step<T: PartialEq>(pattern: &[T], borders: &[usize], mut matched: usize, element: &T) -> usize {
    loop {
        if pattern[matched] == *element {
            return matched + 1;
        }
        if matched == 0 {
            return 0;
        }
        matched = borders[matched - 1];
    }
}
