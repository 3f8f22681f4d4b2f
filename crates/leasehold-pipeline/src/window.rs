//! Long texts as overlapping passages of so many tokens.

use std::{collections::VecDeque, fmt, ops::Range, sync::Arc};

use crate::{
    document::{Document, Place},
    encoder::Encoder,
    error::{EmbedError, TokenizeError},
    flow::{Emit, Stage, StageError},
    passage::Passages,
    tokenize::Tokenizer,
};

/// About how much of a text is tokenized at a time.
const PIECE: usize = 16 * 1024;

/// How far behind that white space is looked for, to end a piece there.
const STRETCH: usize = 16 * 1024;

/// The stage that cuts documents into passages of so many tokens, each of which begins with the last ones of the one before.
///
/// Passages are slices of the document's block. They are made of whole words, as the tokenizer separates them, so that a word
/// has the same tokens wherever the passage begins; only a word that is longer than a passage is cut. A document that fits
/// into one passage stays as it is.
///
/// Of a long document only a piece of 16 to 32 KiB is tokenized at a time, so memory in use does not depend on its length, and the
/// first passages go on before the last are found. A piece ends at white space where there is some.
#[derive(Clone)]
pub struct Windows {
    encoder: Encoder,
    /// Tokens of a passage, without special ones.
    body: usize,
    overlap: usize,
    follows_lines: Arc<dyn Fn(&Place) -> bool + Send + Sync>,
}

impl Windows {
    /// Makes passages of at most `tokens` tokens, the special ones that the tokenizer adds counted, of which at most `overlap`
    /// were in the passage before.
    ///
    /// # Errors
    ///
    /// [`EmbedError::Window`] when the model does not take as many, or nothing but the overlap would fit.
    pub fn new(encoder: &Encoder, tokens: usize, overlap: usize) -> Result<Self, EmbedError> {
        let refused = |reason: String| EmbedError::Window { tokens, overlap, reason };
        let most = encoder.tokenizer().max_tokens();
        let special = encoder.tokenizer().special_tokens();
        if tokens > most {
            return Err(refused(format!("the model takes at most {most} tokens")));
        }
        if tokens <= special.saturating_add(overlap) {
            let least = special.saturating_add(overlap).saturating_add(1);
            return Err(refused(format!(
                "{special} special tokens and the overlap leave no room; the window needs at least {least} tokens"
            )));
        }
        let follows_lines: Arc<dyn Fn(&Place) -> bool + Send + Sync> = Arc::new(|_| true);
        Ok(Self { encoder: encoder.clone(), body: tokens - special, overlap, follows_lines })
    }

    /// Says for which documents the text is as its file has it, so that the lines in it are lines of the file. It is not in
    /// formats that have line breaks escaped, or rows. If nothing is said, it always is.
    #[must_use]
    pub fn lines_where(self, follows_lines: impl Fn(&Place) -> bool + Send + Sync + 'static) -> Self {
        Self { follows_lines: Arc::new(follows_lines), ..self }
    }
}

impl Stage for Windows {
    type Input = Document;
    type Output = Document;

    fn process(&mut self, document: Document, output: &mut Emit<'_, Document>) -> Result<(), StageError> {
        let text = document.text()?;
        let mut cut = Cut::new(self.encoder.tokenizer(), text, self.body, self.overlap);
        let Some(first) = cut.next()? else { return Ok(output.send(document)?) };
        let Some(mut next) = cut.next()? else { return Ok(output.send(document)?) };
        let mut passages = Passages::new((self.follows_lines)(&document.place));
        output.send(passages.next(&document, first)?)?;
        loop {
            output.send(passages.next(&document, next)?)?;
            next = match cut.next()? {
                Some(next) => next,
                None => return Ok(()),
            };
        }
    }
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows")
            .field("body", &self.body)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}

/// A word and how many tokens it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) bytes: Range<usize>,
    pub(crate) tokens: usize,
}

/// Finds the passages of one text.
struct Cut<'a> {
    tokenizer: &'a Tokenizer,
    text: &'a str,
    body: usize,
    overlap: usize,
    /// How much of the text has been tokenized.
    at: usize,
    /// The words of the next passage, and some behind them.
    words: VecDeque<Word>,
    /// Tokens of all these words.
    tokens: usize,
    /// How many of them were in the passage before.
    old: usize,
}

impl<'a> Cut<'a> {
    fn new(tokenizer: &'a Tokenizer, text: &'a str, body: usize, overlap: usize) -> Self {
        Self { tokenizer, text, body, overlap, at: 0, words: VecDeque::new(), tokens: 0, old: 0 }
    }

    /// The next passage, as bytes of the text.
    fn next(&mut self) -> Result<Option<Range<usize>>, TokenizeError> {
        while self.tokens <= self.body && self.at < self.text.len() {
            self.tokenize_on()?;
        }
        // Words that were in the passage before are not worth one of their own.
        if self.words.len() <= self.old {
            return Ok(None);
        }
        let (mut count, mut tokens) = (0, 0);
        while let Some(word) = self.words.get(count)
            && (count == 0 || tokens + word.tokens <= self.body)
        {
            tokens += word.tokens;
            count += 1;
        }
        let range = self.words[0].bytes.start..self.words[count - 1].bytes.end;
        self.old = count;
        // As many words go as leave no more than the overlap, and one at least.
        while let Some(gone) = self.words.pop_front() {
            tokens -= gone.tokens;
            self.tokens -= gone.tokens;
            self.old -= 1;
            // What is kept must leave room for a word that is new.
            let fits = self.words.get(self.old).is_none_or(|next| tokens + next.tokens <= self.body);
            if self.old == 0 || tokens <= self.overlap && fits {
                break;
            }
        }
        Ok(Some(range))
    }

    /// Tokenizes the next piece.
    fn tokenize_on(&mut self) -> Result<(), TokenizeError> {
        let rest = &self.text[self.at..];
        let piece = piece(rest);
        for word in self.tokenizer.words(piece, self.body)? {
            self.tokens += word.tokens;
            let bytes = self.at + word.bytes.start..self.at + word.bytes.end;
            self.words.push_back(Word { bytes, tokens: word.tokens });
        }
        self.at += piece.len();
        Ok(())
    }
}

/// The beginning of a text that is tokenized at once: up to some white space, else to any character.
fn piece(text: &str) -> &str {
    if text.len() <= PIECE {
        return text;
    }
    let start = text.floor_char_boundary(PIECE);
    let end = text.floor_char_boundary(PIECE + STRETCH);
    let found = text[start..end].char_indices().find(|(_, character)| character.is_whitespace());
    &text[..found.map_or(end, |(at, _)| start + at)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_at_white_space_where_there_is_some() {
        assert_eq!(piece("short text"), "short text");
        let words = "word ".repeat(10_000);
        let first = piece(&words);
        assert!(first.len() >= PIECE && first.len() < PIECE + 5, "{}", first.len());
        assert!(words[first.len()..].starts_with(' '));
        let solid = "é".repeat(30_000);
        assert_eq!(piece(&solid).len(), PIECE + STRETCH);
        assert_eq!(piece(&solid[..PIECE]).len(), PIECE);
    }
}
