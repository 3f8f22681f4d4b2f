//! Which sentences stand for a text.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, binary_heap::PeekMut},
    mem,
    ops::Range,
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

/// The most sentences of which all are candidates to the end, for summaries that are not very long.
const SHORT: usize = 2048;

/// The fewest sections that a long text has.
const FEWEST_SECTIONS: usize = 128;

/// How many sections of one size are made into half as many.
const SECTIONS: usize = 2 * FEWEST_SECTIONS;

/// How many times as many sentences are in a section before the best of them are kept.
const SURPLUS: usize = 2;

/// The most stretches of a long text: each has two sections or more.
const STRETCHES: usize = FEWEST_SECTIONS / 2;

/// Words of a summary for each of which there is a stretch.
const WORDS_OF_STRETCH: usize = 32;

/// How long a summary may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Length {
    /// So many sentences.
    Sentences(usize),
    /// So many words, as Unicode counts them. A sentence that does not fit into what is left is passed over.
    Words(usize),
}

/// Chooses the sentences that stand for a text of any length, while it is being read, in memory that does not grow with it.
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
/// # Long texts
///
/// One centroid does not stand for a book. A text of more than 2048 sentences is summarized level by level:
///
/// ```text
/// sentences   16 to a section; the rule above, with the centroid of the section, keeps 8 of them
/// sections    two neighbours of one size become one: their centroids are added, and the rule keeps 8 of their 16. This
///             happens to all whenever there are 256, so there are 128 to 255 of them, each as long as the others, and
///             the few at the end of the text that have not yet grown to that size
/// stretches   neighbouring sections, about as heavy together (sum of w) as those of every other stretch: as many as the
///             summary has sentences, or one for 32 words, but at most 64
/// ```
///
/// Then the rule is applied once more, with the centroid of the stretch that a sentence lies in, and each sentence is taken from
/// one of the stretches that have given least so far, in sentences or words. So a summary of n sentences, up to 64, has
/// one from each n-th of the text; the first part of it gets no more than the last. What is said twice is passed over
/// across all stretches.
///
/// For summaries of more than 256 sentences or 2048 words all these numbers of sentences grow in proportion.
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
    /// Sentences seen.
    seen: u64,
    /// Words of the shortest sentence seen.
    shortest: Option<usize>,
    /// How many candidates are kept of a section of a long text.
    kept: usize,
    /// Sections that are full, in the order of the text. Of a long text the first ones are of one size, and the sizes of the others,
    /// each a power of two, become smaller from one to the next.
    sections: Vec<Section<T>>,
    /// The size of the first ones.
    size: u64,
    /// The section that is being filled.
    open: Section<T>,
    cancel: Cancel,
}

/// A sentence of the summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen<T> {
    /// What was kept of it.
    pub sentence: T,
    /// Its number in the text, counted from zero.
    pub order: u64,
    /// Its score before anything was chosen, by the centroid of its stretch of the text.
    pub score: f32,
}

impl<T> Summarizer<T> {
    /// Expects vectors of `width` values.
    #[must_use]
    pub fn new(width: usize, length: Length) -> Self {
        let candidates = match length {
            Length::Sentences(sentences) => sentences.saturating_mul(8),
            Length::Words(words) => words,
        };
        Self {
            width,
            length,
            seen: 0,
            shortest: None,
            kept: candidates.max(SHORT).div_ceil(FEWEST_SECTIONS * SURPLUS),
            sections: Vec::new(),
            size: 1,
            open: Section::new(width),
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
        if self.open.candidates.len() == self.kept.saturating_mul(SURPLUS) {
            self.close();
        }
        let weight = if whole { 1.0 } else { FRAGMENT };
        let order = self.seen;
        self.seen += 1;
        self.shortest = Some(self.shortest.map_or(words, |shortest| shortest.min(words)));
        let prior = weight * (1.0 + LEAD * (-(order as f32) / LEAD_HALVES).exp2());
        self.open.add(Candidate { thing: keep(), order, words, prior }, vector, weight);
    }

    /// Sentences seen so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Sentences that may still be chosen.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.all_sections().map(|section| section.candidates.len()).sum()
    }

    /// Words of the shortest sentence seen so far.
    #[must_use]
    pub fn shortest(&self) -> Option<usize> {
        self.shortest
    }

    /// The summary, in the order of the text. It has fewer sentences than asked for where the others repeat them or do not fit.
    #[must_use]
    pub fn finish(self) -> Vec<Chosen<T>> {
        let stretches = self.stretches();
        let limit = match self.length {
            Length::Sentences(sentences) => Limit { sentences, ..Limit::NONE },
            Length::Words(words) => Limit { words, ..Limit::NONE },
        };
        let mut sections = self.sections.into_iter().chain([self.open]);
        let mut text = Section::new(self.width);
        let mut parts = Vec::new();
        for stretch in stretches {
            let mut sum = vec![0.0; self.width];
            let start = text.candidates.len();
            for section in sections.by_ref().take(stretch) {
                add_to(&mut sum, &section.sum);
                text.append(section);
            }
            parts.push(Part { centroid: unit(&sum), candidates: start..text.candidates.len() });
        }
        let scores = text.scores(&parts);
        let mut chosen = text.choose(&parts, &scores, limit, &self.cancel);
        chosen.sort_unstable();
        let mut chosen = chosen.into_iter().peekable();
        let chosen_only = text.candidates.into_iter().zip(scores).enumerate().filter_map(|(at, both)| {
            chosen.next_if_eq(&at)?;
            Some(both)
        });
        chosen_only
            .map(|(candidate, score)| Chosen { sentence: candidate.thing, order: candidate.order, score })
            .collect()
    }

    /// Ends the section that is being filled.
    fn close(&mut self) {
        self.sections.push(mem::replace(&mut self.open, Section::new(self.width)));
        // Until here every sentence is a candidate; from here on there are never fewer sections.
        if self.sections.len() < FEWEST_SECTIONS {
            return;
        }
        let longest = match self.length {
            Length::Sentences(_) => usize::MAX,
            Length::Words(words) => words,
        };
        let limit = Limit { sentences: self.kept, longest, ..Limit::NONE };
        self.sections.iter_mut().for_each(|section| section.reduce(limit, &self.cancel));
        while let [.., left, right] = &mut self.sections[..]
            && left.size == right.size
            && right.size < self.size
        {
            left.append(mem::replace(right, Section::new(0)));
            left.reduce(limit, &self.cancel);
            self.sections.pop();
        }
        // The last one is the smallest.
        if self.sections.len() == SECTIONS && self.sections.last().is_some_and(|last| last.size == self.size)
        {
            let mut sections = mem::take(&mut self.sections).into_iter();
            while let (Some(mut left), Some(right)) = (sections.next(), sections.next()) {
                left.append(right);
                left.reduce(limit, &self.cancel);
                self.sections.push(left);
            }
            self.size *= 2;
        }
    }

    /// How many sections, one after the other, each stretch of the text has.
    fn stretches(&self) -> Vec<usize> {
        let is_short = self.seen <= self.kept.saturating_mul(SURPLUS * FEWEST_SECTIONS) as u64;
        let wanted = match self.length {
            _ if is_short => 1,
            Length::Sentences(sentences) => sentences,
            Length::Words(words) => words / WORDS_OF_STRETCH,
        };
        let mut stretches = vec![0; wanted.clamp(1, STRETCHES)];
        let whole: f64 = self.all_sections().map(|section| section.weight).sum();
        let last = stretches.len() - 1;
        let mut before = 0.0;
        for section in self.all_sections() {
            let middle = before + section.weight / 2.0;
            let stretch = (middle / whole * stretches.len() as f64) as usize;
            stretches[stretch.min(last)] += 1;
            before += section.weight;
        }
        stretches
    }

    fn all_sections(&self) -> impl Iterator<Item = &Section<T>> {
        self.sections.iter().chain([&self.open])
    }
}

/// Neighbouring sentences of a text: what they say together, and those that stand for them.
#[derive(Debug)]
struct Section<T> {
    /// The sum of all vectors, each by its weight.
    sum: Vec<f64>,
    /// The sum of these weights.
    weight: f64,
    /// How many sections were joined into this one.
    size: u64,
    candidates: Vec<Candidate<T>>,
    /// The candidates' vectors, back to back.
    vectors: Vec<f32>,
}

impl<T> Section<T> {
    fn new(width: usize) -> Self {
        Self { sum: vec![0.0; width], weight: 0.0, size: 1, candidates: Vec::new(), vectors: Vec::new() }
    }

    fn add(&mut self, candidate: Candidate<T>, vector: &[f32], weight: f32) {
        for (sum, value) in self.sum.iter_mut().zip(vector) {
            *sum += f64::from(weight * value);
        }
        self.weight += f64::from(weight);
        self.candidates.push(candidate);
        self.vectors.extend_from_slice(vector);
    }

    /// Adds the section behind this one.
    fn append(&mut self, next: Self) {
        add_to(&mut self.sum, &next.sum);
        self.weight += next.weight;
        self.size += next.size;
        self.candidates.extend(next.candidates);
        self.vectors.extend(next.vectors);
    }

    /// Keeps the best candidates, in the order of the text.
    fn reduce(&mut self, limit: Limit, cancel: &Cancel) {
        if self.candidates.len() <= limit.sentences {
            return;
        }
        let whole = [Part { centroid: unit(&self.sum), candidates: 0..self.candidates.len() }];
        let mut kept = self.choose(&whole, &self.scores(&whole), limit, cancel);
        kept.sort_unstable();
        let width = self.sum.len();
        for (to, from) in kept.iter().enumerate() {
            self.candidates.swap(to, *from);
            self.vectors.copy_within(from * width..(from + 1) * width, to * width);
        }
        self.candidates.truncate(kept.len());
        self.vectors.truncate(kept.len() * width);
        self.candidates.shrink_to_fit();
        self.vectors.shrink_to_fit();
    }

    /// The candidates' scores; the parts follow each other and have all of them.
    fn scores(&self, parts: &[Part]) -> Vec<f32> {
        let mut scores = Vec::with_capacity(self.candidates.len());
        for Part { centroid, candidates } in parts {
            let score = |at: usize| self.candidates[at].prior * dot(self.vector(at), centroid);
            scores.extend(candidates.clone().map(score));
        }
        scores
    }

    /// Indices of the best candidates, in the order in which they are chosen: each from one of the parts that have given least so far.
    ///
    /// What is chosen lowers the value of others and never raises it. So a candidate is compared with the chosen ones only
    /// when its value, as it was known, is the highest of its part: many never are.
    fn choose(&self, parts: &[Part], scores: &[f32], limit: Limit, cancel: &Cancel) -> Vec<usize> {
        let first = |at: usize| Open { value: RELEVANCE * scores[at], at, said: 0.0, compared: 0 };
        let mut open: Vec<BinaryHeap<Open>> =
            parts.iter().map(|part| part.candidates.clone().map(first).collect()).collect();
        let mut given = vec![0; parts.len()];
        let mut chosen: Vec<usize> = Vec::new();
        let mut words = limit.words;
        while chosen.len() < limit.sentences && !cancel.is_cancelled() {
            let longest = words.min(limit.longest);
            let mut best: Option<(Reverse<usize>, Open, usize)> = None;
            for (part, open) in open.iter_mut().enumerate() {
                let given = Reverse(given[part]);
                if best.is_some_and(|(least, ..)| given < least) {
                    continue;
                }
                let Some(next) = self.best_of(open, scores, &chosen, longest) else { continue };
                if best.is_none_or(|(least, best, _)| (given, next) > (least, best)) {
                    best = Some((given, next, part));
                }
            }
            let Some((_, next, part)) = best else { break };
            open[part].pop();
            chosen.push(next.at);
            let taken = self.candidates[next.at].words;
            words -= taken;
            given[part] += if limit.words == usize::MAX { 1 } else { taken };
        }
        chosen
    }

    /// The candidate with the highest value, which stays where it is. Those that can no longer be chosen are left out.
    fn best_of(
        &self,
        open: &mut BinaryHeap<Open>,
        scores: &[f32],
        chosen: &[usize],
        longest: usize,
    ) -> Option<Open> {
        while let Some(mut top) = open.peek_mut() {
            let fits = self.candidates[top.at].words <= longest;
            if fits && top.compared == chosen.len() {
                return Some(*top);
            }
            for other in &chosen[top.compared..] {
                top.said = top.said.max(dot(self.vector(top.at), self.vector(*other)));
            }
            top.compared = chosen.len();
            top.value = RELEVANCE * scores[top.at] - (1.0 - RELEVANCE) * top.said;
            if !fits || top.said >= REPEATED {
                PeekMut::pop(top);
            }
        }
        None
    }

    fn vector(&self, candidate: usize) -> &[f32] {
        let width = self.sum.len();
        &self.vectors[candidate * width..][..width]
    }
}

fn add_to(sum: &mut [f64], other: &[f64]) {
    sum.iter_mut().zip(other).for_each(|(sum, value)| *sum += value);
}

/// The same direction with length one.
fn unit(sum: &[f64]) -> Vec<f32> {
    let length = sum.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    sum.iter().map(|value| (value / length) as f32).collect()
}

/// Candidates that lie side by side and are measured by one centroid.
#[derive(Debug)]
struct Part {
    centroid: Vec<f32>,
    candidates: Range<usize>,
}

/// How much may be chosen.
#[derive(Clone, Copy, Debug)]
struct Limit {
    sentences: usize,
    /// Words of all together.
    words: usize,
    /// Words of each.
    longest: usize,
}

impl Limit {
    const NONE: Self = Self { sentences: usize::MAX, words: usize::MAX, longest: usize::MAX };
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
