//! The part of a conversation that a model is shown at once.

use std::ops::Range;

use leasehold::{Sequence, SharedOwner};

use super::{History, Role, Turn};
use crate::document::Text;

/// A part of a conversation: slices of its turns, in order.
///
/// It shares the turns' blocks and keeps them alive, whatever becomes of the [`History`].
#[derive(Clone, Debug)]
pub struct Window {
    pub(super) segments: Vec<Segment>,
    pub(super) tokens: usize,
}

/// A slice of one turn.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Who said it.
    pub role: Role,
    /// Number of the turn, counted from the first that the history ever had; `None` for the system prompt.
    pub turn: Option<u64>,
    /// What was said, from the beginning of the first token to that of the first behind the slice.
    pub text: Text,
    /// Its token ids.
    pub ids: SharedOwner<u32>,
}

impl Window {
    /// The slices, in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How many tokens they have together.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The token ids of all slices as one. Turns that follow each other in a block are one segment of it. Copies nothing;
    /// costs one atomic addition or two for each slice.
    #[must_use]
    pub fn ids(&self) -> Sequence<u32> {
        self.segments.iter().map(|segment| segment.ids.clone()).collect()
    }

    pub(super) fn new() -> Self {
        Self { segments: Vec::new(), tokens: 0 }
    }

    /// Adds these tokens of a turn.
    pub(super) fn push(&mut self, turn: &Turn, number: Option<u64>, tokens: Range<usize>) {
        let bytes = turn.bytes_of(&tokens);
        let text = turn.text.slice(bytes).unwrap_or_else(|_| turn.text.clone());
        self.tokens += tokens.len();
        let ids = turn.ids.slice(tokens);
        self.segments.push(Segment { role: turn.role, turn: number, text, ids });
    }
}

/// Windows of so many tokens over the turns of a conversation; made by [`History::windows`].
#[derive(Clone, Debug)]
pub struct SlidingWindows<'a> {
    pub(super) history: &'a History,
    /// The token at which the next one begins, counted from that of the first turn.
    pub(super) next: Option<usize>,
    pub(super) tokens: usize,
    pub(super) step: usize,
}

impl Iterator for SlidingWindows<'_> {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        let start = self.next?;
        let window = self.history.slice(start, self.tokens);
        let ended = start + self.tokens >= self.history.tokens();
        self.next = (!ended).then_some(start + self.step);
        Some(window).filter(|window| window.tokens > 0)
    }
}
