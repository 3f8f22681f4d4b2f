//! Which sentences stand for a text.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use crate::{cancel::Cancel, search::dot};

/// What the first sentence's score is raised by, as a fraction of it.
const LEAD: f32 = 0.5;

/// After how many sentences that has halved.
const LEAD_HALVES: f32 = 10.0;

/// The weight of relevance against what has been said already.
const RELEVANCE: f32 = 0.8;

/// From which cosine on a sentence repeats another.
const REPEATED: f32 = 0.95;

/// The weight of what is no whole sentence.
const FRAGMENT: f32 = 0.25;

/// The fewest candidates that are kept of a long text.
const FEWEST_KEPT: usize = 512;

/// How many times as many there may be before the best of them are kept.
const SURPLUS: usize = 4;

/// How long a summary may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Length {
    /// So many sentences.
    Sentences(usize),
    /// So many words, as Unicode counts them. A sentence that does not fit into what is left is passed over.
    Words(usize),
}

/// Chooses the sentences that stand for a text, while it is being read.
///
/// It keeps the sum of all sentences' vectors and the best candidates so far. Of a text of up to 2048 sentences every one is
/// a candidate to the end. Of a longer one the best 512 are kept whenever there are more, by the rule that chooses in the
/// end and the sum up to there, so memory does not depend on the length of the text. For summaries of more than 256 sentences
/// both numbers grow.
///
/// # The rule
///
/// A sentence scores the higher the nearer it is to what the text says as a whole, and the earlier it comes:
///
/// ```text
/// c = sum of all w(i) v(i), scaled to length one       the centroid
/// s(i) = w(i) (v(i) . c) (1 + 1/2 * 2^(-i/10))         the score
/// choose the i with the highest  4/5 s(i) - 1/5 max(0, v(i) . v(j) for each j chosen before)
/// ```
///
/// where v(i) is the unit vector of sentence i, counted from zero, and w(i) is 1 for whole sentences and 1/4 for fragments such
/// as headings. That the sentences nearest to the centroid make a summary is from Radev, Jing and Budzikowska
/// (*Centroid-based summarization of multiple documents*, 2000); the last line is maximal marginal relevance, from
/// Carbonell and Goldstein (*The use of MMR, diversity-based reranking*, 1998). That the first sentences matter most holds for
/// texts that are written to be read from their beginning; they are counted from there, not from the end, so the score is known
/// as soon as a sentence is read. A sentence whose cosine with a chosen one is 0.95 or more says nothing new and is passed over.
///
/// # Examples
/// ```
/// use leasehold_pipeline::{Length, Summarizer};
///
/// let mut summarizer = Summarizer::new(2, Length::Sentences(2));
/// for (text, vector) in
///     [("Owls.", [0.0, 1.0]), ("Owls fly.", [0.8, 0.6]), ("Owls do fly.", [0.8, 0.6]), ("They eat.", [1.0, 0.0])]
/// {
///     summarizer.add(&vector, text.split(' ').count(), true, || text);
/// }
/// let chosen: Vec<&str> = summarizer.finish().into_iter().map(|chosen| chosen.sentence).collect();
/// assert_eq!(chosen, ["Owls fly.", "They eat."]);
/// ```
#[derive(Debug)]
pub struct Summarizer<T> {
    width: usize,
    length: Length,
    /// The sum of all vectors, each by its weight.
    sum: Vec<f64>,
    /// Sentences seen.
    seen: u64,
    candidates: Vec<Candidate<T>>,
    /// The candidates' vectors, back to back.
    vectors: Vec<f32>,
    /// How many candidates are kept of too many.
    kept: usize,
    cancel: Cancel,
}

/// A sentence of the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen<T> {
    /// What was kept of it.
    pub sentence: T,
    /// Its number in the text, counted from zero.
    pub order: u64,
    /// Its score before anything was chosen.
    pub score: f32,
}

impl<T> Summarizer<T> {
    /// Expects vectors of `width` values.
    #[must_use]
    pub fn new(width: usize, length: Length) -> Self {
        let kept = match length {
            Length::Sentences(sentences) => sentences.saturating_mul(2),
            Length::Words(words) => words / 4,
        };
        Self {
            width,
            length,
            sum: vec![0.0; width],
            seen: 0,
            candidates: Vec::new(),
            vectors: Vec::new(),
            kept: kept.max(FEWEST_KEPT),
            cancel: Cancel::new(),
        }
    }

    /// Has choosing end as soon as somebody asks: what is chosen then is not the summary. Of many thousand sentences it takes
    /// some time.
    #[must_use]
    pub fn cancelled_by(self, cancel: &Cancel) -> Self {
        Self { cancel: cancel.clone(), ..self }
    }

    /// Takes the next sentence: its unit vector, its number of words, whether it is a whole sentence rather than a heading or
    /// the like, and what is to be kept of it.
    ///
    /// # Panics
    ///
    /// When the vector has another width.
    pub fn add(&mut self, vector: &[f32], words: usize, whole: bool, keep: impl FnOnce() -> T) {
        assert_eq!(vector.len(), self.width, "the width of the vectors of one text");
        let weight = if whole { 1.0 } else { FRAGMENT };
        for (sum, value) in self.sum.iter_mut().zip(vector) {
            *sum += f64::from(weight * value);
        }
        let order = self.seen;
        self.seen += 1;
        let prior = weight * (1.0 + LEAD * (-(order as f32) / LEAD_HALVES).exp2());
        self.candidates.push(Candidate { thing: keep(), order, words, prior });
        self.vectors.extend_from_slice(vector);
        if self.candidates.len() > self.kept.saturating_mul(SURPLUS) {
            self.reduce();
        }
    }

    /// Sentences seen so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Sentences that may still be chosen.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    /// The fewest words that a sentence has which may still be chosen.
    #[must_use]
    pub fn shortest(&self) -> Option<usize> {
        self.candidates.iter().map(|candidate| candidate.words).min()
    }

    /// The summary, in the order of the text. It has fewer sentences than asked for where the others repeat them or do not fit.
    #[must_use]
    pub fn finish(self) -> Vec<Chosen<T>> {
        let scores = self.scores();
        let (sentences, words) = match self.length {
            Length::Sentences(sentences) => (sentences, usize::MAX),
            Length::Words(words) => (usize::MAX, words),
        };
        let mut chosen = self.choose(&scores, sentences, words);
        chosen.sort_unstable();
        let mut chosen = chosen.into_iter().peekable();
        let chosen_only = self.candidates.into_iter().zip(scores).enumerate().filter_map(|(at, both)| {
            chosen.next_if_eq(&at)?;
            Some(both)
        });
        chosen_only
            .map(|(candidate, score)| Chosen { sentence: candidate.thing, order: candidate.order, score })
            .collect()
    }

    /// Keeps the best candidates, in the order of the text.
    fn reduce(&mut self) {
        let mut kept = self.choose(&self.scores(), self.kept, usize::MAX);
        kept.sort_unstable();
        for (to, from) in kept.iter().enumerate() {
            self.candidates.swap(to, *from);
            self.vectors.copy_within(from * self.width..(from + 1) * self.width, to * self.width);
        }
        self.candidates.truncate(kept.len());
        self.vectors.truncate(kept.len() * self.width);
    }

    fn scores(&self) -> Vec<f32> {
        let length = self.sum.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let centroid: Vec<f32> = self.sum.iter().map(|value| (value / length) as f32).collect();
        let vectors = self.vectors.chunks_exact(self.width.max(1));
        self.candidates
            .iter()
            .zip(vectors)
            .map(|(candidate, vector)| candidate.prior * dot(vector, &centroid))
            .collect()
    }

    /// Indices of the best candidates, best first: at most so many, with at most so many words together.
    ///
    /// What is chosen lowers the value of others and never raises it. So a candidate is compared with the chosen ones only
    /// when its value, as it was known, is the highest: many never are.
    fn choose(&self, scores: &[f32], most: usize, mut words: usize) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        let first = |at: usize| Open { value: RELEVANCE * scores[at], at, said: 0.0, compared: 0 };
        let mut open: BinaryHeap<Open> = (0..scores.len()).map(first).collect();
        while chosen.len() < most && !self.cancel.is_cancelled() {
            let Some(mut best) = open.pop() else { break };
            if self.candidates[best.at].words > words {
                continue;
            }
            for other in &chosen[best.compared..] {
                best.said = best.said.max(dot(self.vector(best.at), self.vector(*other)));
            }
            best.compared = chosen.len();
            best.value = RELEVANCE * scores[best.at] - (1.0 - RELEVANCE) * best.said;
            if best.said >= REPEATED {
                continue;
            }
            match open.peek() {
                Some(next) if *next > best => open.push(best),
                _ => {
                    words -= self.candidates[best.at].words;
                    chosen.push(best.at);
                }
            }
        }
        chosen
    }

    fn vector(&self, candidate: usize) -> &[f32] {
        &self.vectors[candidate * self.width..][..self.width]
    }
}

/// A sentence that may be chosen.
#[derive(Debug)]
struct Candidate<T> {
    thing: T,
    order: u64,
    words: usize,
    /// What its cosine with the centroid is multiplied by.
    prior: f32,
}

/// A candidate that was not chosen yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Its value, or more: what it was before the last ones were chosen.
    value: f32,
    at: usize,
    /// Its highest cosine with those it was compared with; zero stands for none, and for all that is below.
    said: f32,
    /// How many of the chosen those are.
    compared: usize,
}

impl Ord for Open {
    /// Of equal values the first candidate is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value).then(Reverse(self.at).cmp(&Reverse(other.at)))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}
