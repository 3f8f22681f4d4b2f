//! Units of work: whole passages of about so many tokens together.

use crate::{document::Document, error::SourceError};

/// Bytes of text that make one token, roughly; only the size of units depends on it.
const BYTES_PER_TOKEN: usize = 4;

/// Tokens that a text has besides those of its words.
const SPECIAL_TOKENS: usize = 2;

/// Documents that one worker carries through tokenizer and model together.
#[derive(Debug)]
pub struct Unit {
    /// Place of this unit in the order of the input, counted from zero.
    pub sequence: u64,
    /// The documents, at least one.
    pub documents: Vec<Document>,
}

/// Cuts a stream of documents into [`Unit`]s.
#[derive(Debug)]
pub struct Units<I> {
    documents: I,
    tokens: usize,
    max_tokens: usize,
    sequence: u64,
}

impl<I> Units<I> {
    /// Cuts units of about `tokens` tokens, where no document counts for more than `max_tokens`.
    pub fn new(documents: I, tokens: usize, max_tokens: usize) -> Self {
        Self { documents, tokens, max_tokens, sequence: 0 }
    }
}

impl<I: Iterator<Item = Result<Document, SourceError>>> Iterator for Units<I> {
    type Item = Result<Unit, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut documents = Vec::new();
        let mut tokens = 0;
        while tokens < self.tokens {
            match self.documents.next() {
                Some(Ok(document)) => {
                    let estimate = document.text.len() / BYTES_PER_TOKEN + SPECIAL_TOKENS;
                    tokens += estimate.min(self.max_tokens);
                    documents.push(document);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        if documents.is_empty() {
            return None;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Ok(Unit { sequence, documents }))
    }
}
