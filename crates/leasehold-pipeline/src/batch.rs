//! Units of work: whole passages of about so many tokens together.

use std::mem;

use crate::{
    document::Document,
    flow::{Emit, Stage, StageError},
};

/// Bytes of text that make one token, roughly; only the size of units depends on it.
const BYTES_PER_TOKEN: usize = 4;

/// Tokens that a text has besides those of its words.
const SPECIAL_TOKENS: usize = 2;

/// Documents that go through the tokenizer together, at least one.
#[derive(Debug)]
pub struct Unit {
    /// The documents, in the order of the input.
    pub documents: Vec<Document>,
}

/// The stage that puts documents together to [`Unit`]s; what it has comes out early when the input pauses.
#[derive(Debug)]
pub struct Batch {
    tokens: usize,
    max_tokens: usize,
    /// Documents that are still to be passed over.
    skip: u64,
    documents: Vec<Document>,
    estimate: usize,
}

impl Batch {
    /// Makes units of about `tokens` tokens, where no document counts for more than `max_tokens`.
    #[must_use]
    pub fn new(tokens: usize, max_tokens: usize) -> Self {
        Self { tokens, max_tokens, skip: 0, documents: Vec::new(), estimate: 0 }
    }

    /// Passes over so many documents first, because an earlier run has done them.
    #[must_use]
    pub fn skip(self, documents: u64) -> Self {
        Self { skip: documents, ..self }
    }
}

impl Stage for Batch {
    type Input = Document;
    type Output = Unit;

    fn process(&mut self, document: Document, output: &mut Emit<'_, Unit>) -> Result<(), StageError> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        self.estimate += (document.text.len() / BYTES_PER_TOKEN + SPECIAL_TOKENS).min(self.max_tokens);
        self.documents.push(document);
        if self.estimate < self.tokens { Ok(()) } else { self.finish(output) }
    }

    fn finish(&mut self, output: &mut Emit<'_, Unit>) -> Result<(), StageError> {
        self.estimate = 0;
        match mem::take(&mut self.documents) {
            documents if documents.is_empty() => Ok(()),
            documents => Ok(output.send(Unit { documents })?),
        }
    }

    fn idle(&mut self, output: &mut Emit<'_, Unit>) -> Result<(), StageError> {
        self.finish(output)
    }
}
