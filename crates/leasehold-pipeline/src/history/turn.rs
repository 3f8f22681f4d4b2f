//! What one party said.

use std::{fmt, ops::Range};

use leasehold::SharedOwner;

use crate::document::Text;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Whoever set the conversation up.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A program that the model has called.
    Tool,
}

/// In lower case, as most templates of conversations have it.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        })
    }
}

/// What one party said at once, as text and as token ids, each a slice of a rented block.
///
/// Clones share both.
#[derive(Clone, Debug)]
pub struct Turn {
    pub(super) role: Role,
    pub(super) text: Text,
    pub(super) ids: SharedOwner<u32>,
    /// Where in the text each token starts.
    pub(super) starts: SharedOwner<usize>,
}

impl Turn {
    /// Who said it.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What was said.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Its token ids, without special ones.
    #[must_use]
    pub fn ids(&self) -> &SharedOwner<u32> {
        &self.ids
    }

    /// The bytes of the text that the tokens in `range` stand for, with the space that follows them.
    pub(super) fn bytes_of(&self, range: &Range<usize>) -> Range<usize> {
        // Space before the first token belongs to that.
        let at = |token: usize| if token == 0 { 0 } else { self.start(token) };
        at(range.start)..if range.end == self.ids.len() { self.text.len() } else { self.start(range.end) }
    }

    /// Where a token starts, or the character that it starts within: a token may be a part of one.
    fn start(&self, token: usize) -> usize {
        let start = self.starts[token];
        self.text.as_str().map_or(start, |text| text.floor_char_boundary(start))
    }
}
