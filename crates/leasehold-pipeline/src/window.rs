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
/// Passages are slices of the document's block. They are made of whole words, as the tokenizer separates them; only a word that
/// is longer than a passage is cut. A document that fits into one passage stays as it is.
///
/// No passage has more tokens than it may when it is tokenized by itself, unless it is a single character. The tokens
/// of BERT's words are the same everywhere; those of other tokenizers depend on what stands before, so each of their passages is
/// tokenized once more, and gives words up at its end until it fits.
///
/// Of a long document only a piece of 16 to 32 KiB is tokenized at a time, so memory in use does not depend on its length, and the
/// first passages go on before the last are found. A piece ends at white space where there is some.
///
/// ```no_run
/// use std::{num::NonZeroUsize, path::PathBuf};
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{Cache, Cancel, Encoder, Format, Input, Pipeline, Precision, Source, Split, Windows};
///
/// let directory = Cache::of_user()?.model(&mut |_| {})?;
/// let pool = MemoryPool::builder().build_bounded(256 << 20);
/// let encoder = Encoder::open(&directory, Precision::F32, &pool)?;
/// let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool)?.windows(Windows::new(&encoder, 128, 32)?);
/// let inputs = vec![(Input::from(PathBuf::from("book.txt")), Format::Text(Split::File))];
/// let source = Source::open(inputs, pipeline.source_pool())?;
/// for embedded in pipeline.start(source, &Cancel::new())? {
///     for passage in embedded?.documents {
///         println!("line {}: {}", passage.place.line, passage.text()?);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Windows {
    encoder: Encoder,
    /// Tokens of a passage, without special ones.
    body: usize,
    overlap: usize,
    follows_lines: Arc<dyn Fn(&Place) -> bool + Send + Sync>,
}

impl Windows {
    /// Makes passages of at most `tokens` tokens, the special ones that the tokenizer adds counted, that begin with what at most
    /// `overlap` tokens of the passage before stand for.
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
        let first = cut.next()?;
        let mut passages = Passages::new((self.follows_lines)(&document.place));
        let Some(mut next) = cut.next()? else {
            // White space around the words may have tokens too.
            if let Some(end) = cut.excess_of_all()? {
                return Ok(output.send(passages.next(&document, first.unwrap_or(0..end))?)?);
            }
            return Ok(output.send(document)?);
        };
        output.send(passages.next(&document, first.unwrap_or_default())?)?;
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
    /// Whether it is a part of a longer word.
    pub(crate) part: bool,
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
        let count = self.longest()?;
        let mut tokens: usize = self.words.range(..count).map(|word| word.tokens).sum();
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

    /// How many words make the next passage: as many as fit, and one at least that was not in the passage before.
    fn longest(&mut self) -> Result<usize, TokenizeError> {
        let (mut count, mut tokens) = (0, 0);
        while let Some(word) = self.words.get(count)
            && (count == 0 || tokens + word.tokens <= self.body)
        {
            tokens += word.tokens;
            count += 1;
        }
        while let Some(end) = self.excess(count)? {
            let fit = self.words.range(..count).take_while(|word| word.bytes.end <= end).count();
            let fit = fit.min(count - 1);
            if fit > self.old {
                count = fit;
            } else if self.old > 0 {
                // A new word is worth more than one of the passage before.
                self.tokens -= self.words.pop_front().map_or(0, |gone| gone.tokens);
                self.old -= 1;
                count -= 1;
            } else if count > 1 {
                count = 1;
            } else if !self.split_first(end) {
                break;
            }
        }
        Ok(count)
    }

    /// Where in the text so many words have become too many for a passage; `None` when they fit.
    fn excess(&self, count: usize) -> Result<Option<usize>, TokenizeError> {
        let range = self.words[0].bytes.start..self.words[count - 1].bytes.end;
        let whole = !self.words.range(..count).any(|word| word.part);
        let excess = self.tokenizer.excess(&self.text[range.clone()], self.body, whole)?;
        Ok(excess.map(|end| range.start + end))
    }

    /// Where the whole text becomes too long for a passage; `None` when it fits.
    fn excess_of_all(&self) -> Result<Option<usize>, TokenizeError> {
        self.tokenizer.excess(self.text, self.body, true)
    }

    /// Cuts the first word near `at`; tells whether it has more than one character.
    fn split_first(&mut self, at: usize) -> bool {
        let Word { bytes, tokens, .. } = self.words[0].clone();
        let first = self.text.ceil_char_boundary(bytes.start + 1);
        let at = at.min(self.text.floor_char_boundary(bytes.end - 1)).max(first);
        if at >= bytes.end {
            return false;
        }
        let kept = tokens.min(self.body);
        self.words[0] = Word { bytes: bytes.start..at, tokens: kept, part: true };
        let mut rest = Word { bytes: at..bytes.end, tokens: (tokens - kept).max(1), part: true };
        self.tokens += kept + rest.tokens - tokens;
        // A rest by itself would be a passage of a token or two wherever the next part fills one.
        if let Some(next) =
            self.words.get_mut(1).filter(|next| next.part && next.bytes.start == rest.bytes.end)
        {
            rest.bytes.end = next.bytes.end;
            rest.tokens += next.tokens;
            *next = rest;
        } else {
            self.words.insert(1, rest);
        }
        true
    }

    /// Tokenizes the next piece.
    fn tokenize_on(&mut self) -> Result<(), TokenizeError> {
        let rest = &self.text[self.at..];
        let piece = piece(rest);
        let mut words = self.tokenizer.words(piece, self.body)?;
        for word in &mut words {
            word.bytes = self.at + word.bytes.start..self.at + word.bytes.end;
        }
        // Without white space between two pieces they may have divided a word.
        if let (Some(before), Some(after)) = (self.words.back_mut(), words.first_mut())
            && before.bytes.end == after.bytes.start
        {
            before.part = true;
            after.part = true;
        }
        self.tokens += words.iter().map(|word| word.tokens).sum::<usize>();
        self.words.extend(words);
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
