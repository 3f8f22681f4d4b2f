//! The best few of any number of things.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// Keeps the `most` things with the highest scores out of a stream, in memory for so many only.
///
/// Of equal scores the one that came first wins. A score that is not a number never wins.
///
/// # Examples
/// ```
/// use leasehold_pipeline::Top;
///
/// let mut top = Top::new(2);
/// for (word, score) in [("a", 0.1), ("b", 0.9), ("c", 0.5), ("d", 0.9)] {
///     top.offer(score, || word);
/// }
/// assert_eq!(top.into_sorted(), [(0.9, "b"), (0.9, "d")]);
/// ```
#[derive(Debug)]
pub struct Top<T> {
    /// The worst of those kept lies at the top.
    heap: BinaryHeap<Reverse<Ranked<T>>>,
    most: usize,
    /// Things offered so far.
    offered: u64,
}

impl<T> Top<T> {
    /// Keeps nothing yet. Of nothing (`most` is zero) it keeps nothing.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { heap: BinaryHeap::new(), most, offered: 0 }
    }

    /// Offers the next thing, which is made only when it is kept. Tells whether it was.
    ///
    /// One comparison where it is not kept, about the logarithm of `most` where it is.
    pub fn offer(&mut self, score: f32, make: impl FnOnce() -> T) -> bool {
        self.offered += 1;
        self.offer_at(self.offered, score, make)
    }

    /// As [`offer`](Self::offer), of a thing whose place in the order of the things is known to the caller.
    pub(crate) fn offer_at(&mut self, order: u64, score: f32, make: impl FnOnce() -> T) -> bool {
        if score.is_nan() || self.most == 0 {
            return false;
        }
        if self.heap.len() == self.most {
            // Of equal scores the earlier one stays.
            let is_worse = |worst: &Ranked<T>| (score, Reverse(order)) <= (worst.score, Reverse(worst.order));
            if self.heap.peek().is_some_and(|Reverse(worst)| is_worse(worst)) {
                return false;
            }
            self.heap.pop();
        }
        self.heap.push(Reverse(Ranked { score, order, thing: make() }));
        true
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Those kept, the best first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<(f32, T)> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|Reverse(ranked)| (ranked.score, ranked.thing)).collect()
    }
}

/// A thing with what decides about it; the greater of two is the better.
#[derive(Debug)]
struct Ranked<T> {
    score: f32,
    order: u64,
    thing: T,
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // No score is NaN, so this is the usual order but for zeros of either sign, which are made equal.
        (self.score + 0.0).total_cmp(&(other.score + 0.0)).then(other.order.cmp(&self.order))
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Ranked<T> {}
