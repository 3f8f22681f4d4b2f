//! From text to token ids.

use std::{fmt, path::Path};

use tokenizers::{
    Encoding, ModelWrapper, NormalizerWrapper, PostProcessor, PreTokenizerWrapper, TruncationParams,
};

use crate::{error::TokenizeError, window::Word};

/// How much of a long text is tokenized at first; more only when that gives too few tokens.
const FIRST_PREFIX: usize = 16 * 1024;

/// How much of a text is looked at, however few tokens that gives.
const LAST_PREFIX: usize = 1024 * 1024;

/// How far behind a prefix white space is looked for, to end it there.
const STRETCH: usize = 16 * 1024;

/// Turns text into token ids as the model's own tokenizer does, cut off at a number of tokens.
///
/// ```no_run
/// use std::path::Path;
/// use leasehold_pipeline::Tokenizer;
///
/// let tokenizer = Tokenizer::open(Path::new("all-MiniLM-L6-v2/tokenizer.json"), 256)?;
/// assert_eq!(tokenizer.encode("hello world")?.ids(), [101, 7592, 2088, 102]);
/// # Ok::<(), leasehold_pipeline::TokenizeError>(())
/// ```
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    max_tokens: usize,
    /// Whether a word has the same tokens wherever it stands.
    words_stand_alone: bool,
}

impl Tokenizer {
    /// Loads `tokenizer.json`; a text will give at most `max_tokens` tokens, special ones included.
    ///
    /// What the file says about padding and truncation is ignored: padding is what ragged batches save.
    ///
    /// # Errors
    ///
    /// When the file is missing or broken, or leaves no room for a text.
    pub fn open(path: &Path, max_tokens: usize) -> Result<Self, TokenizeError> {
        let load = |reason: String| TokenizeError::Load { path: path.to_owned(), reason };
        let mut inner = tokenizers::Tokenizer::from_file(path).map_err(|error| load(error.to_string()))?;
        inner.with_padding(None);
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        inner.with_truncation(Some(truncation)).map_err(|error| load(error.to_string()))?;
        let words_stand_alone = words_stand_alone(&inner);
        Ok(Self { inner, max_tokens, words_stand_alone })
    }

    /// The most tokens that a text gives.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Tokenizes one text.
    ///
    /// Of a text far longer than the limit only the beginning is looked at, so a file that is one huge
    /// line costs no more than its first page; and of one that has hardly any words, no more than its first mebibyte.
    ///
    /// # Errors
    ///
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Tokens, TokenizeError> {
        let mut length = FIRST_PREFIX;
        loop {
            let prefix = prefix(text, length);
            let encoding = self
                .inner
                .encode_fast(prefix, true)
                .map_err(|error| TokenizeError::Encode { reason: error.to_string() })?;
            // A full row stays as it is, whatever follows.
            let enough = encoding.len() >= self.max_tokens || length >= LAST_PREFIX;
            if prefix.len() == text.len() || enough {
                return Ok(Tokens(encoding));
            }
            length *= 4;
        }
    }

    /// Tokens that each text gets besides those of its words.
    pub(crate) fn special_tokens(&self) -> usize {
        self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(false))
    }

    /// How many bytes of a text make at most `most` tokens, special ones not counted; `None` when all do.
    ///
    /// Of words that were counted in a longer text only what may have changed is counted again: nothing of BERT's, where `whole` says
    /// that none of them was cut. What [`encode`](Self::encode) would not look at is always too much.
    pub(crate) fn excess(
        &self,
        text: &str,
        most: usize,
        whole: bool,
    ) -> Result<Option<usize>, TokenizeError> {
        if text.len() > LAST_PREFIX {
            return Ok(Some(text.floor_char_boundary(LAST_PREFIX)));
        }
        if self.words_stand_alone && whole {
            return Ok(None);
        }
        let (_, starts) = self.encode_whole(text)?;
        Ok(starts.get(most).map(|start| text.floor_char_boundary(*start)))
    }

    /// The words of a text and how many tokens each has; one with more than `most` counts as several.
    pub(crate) fn words(&self, text: &str, most: usize) -> Result<Vec<Word>, TokenizeError> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|error| TokenizeError::Encode { reason: error.to_string() })?;
        let mut words: Vec<Word> = Vec::new();
        let mut last = None;
        // What is behind the limit of a text is there, but put aside.
        for part in std::iter::once(&encoding).chain(encoding.get_overflowing()) {
            for (&(start, end), &number) in part.get_offsets().iter().zip(part.get_word_ids()) {
                let known = words.last().map_or(0, |word: &Word| word.bytes.end);
                // Tokens of one character share its bytes.
                let (start, end) = (text.floor_char_boundary(start).max(known), text.ceil_char_boundary(end));
                // White space that has tokens belongs to the word before, without being a part of it.
                let blank = text.get(start..end).is_none_or(|token| token.trim().is_empty());
                let same = number.is_some() && number == last;
                last = number;
                match words.last_mut() {
                    Some(word) if blank => word.tokens += 1,
                    Some(word) if same && word.tokens < most => {
                        word.bytes.end = end;
                        word.tokens += 1;
                    }
                    None if blank => {}
                    before => {
                        if let Some(word) = before {
                            word.part |= same;
                        }
                        words.push(Word { bytes: start..end, tokens: 1, part: same });
                    }
                }
            }
        }
        // What the tokenizer passes over behind a word, such as its last accent, belongs to it all the same.
        let mut next = text.len();
        for word in words.iter_mut().rev() {
            let gap = &text[word.bytes.end..next];
            word.bytes.end += gap.find(char::is_whitespace).unwrap_or(gap.len());
            next = word.bytes.start;
        }
        Ok(words)
    }
}

impl Tokenizer {
    /// Tokenizes the whole of a text, without special tokens: the ids, and the byte at which each token starts.
    ///
    /// # Errors
    ///
    /// When the tokenizer fails.
    pub fn encode_whole(&self, text: &str) -> Result<(Vec<u32>, Vec<usize>), TokenizeError> {
        let mut encoding = self
            .inner
            .encode(text, false)
            .map_err(|error| TokenizeError::Encode { reason: error.to_string() })?;
        // What goes beyond the limit of a passage comes in pieces.
        let rest = encoding.take_overflowing();
        let (mut ids, mut starts) = (Vec::new(), Vec::new());
        for piece in std::iter::once(encoding).chain(rest) {
            ids.extend_from_slice(piece.get_ids());
            starts.extend(piece.get_offsets().iter().map(|offsets| offsets.0));
        }
        Ok((ids, starts))
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("max_tokens", &self.max_tokens).finish_non_exhaustive()
    }
}

/// The token ids of one text.
#[derive(Clone, Debug)]
pub struct Tokens(Encoding);

impl Tokens {
    /// The ids, special ones included.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        self.0.get_ids()
    }
}

/// Whether a word has the same tokens wherever it stands, as it has where BERT's rules separate words before anything else is
/// done. Byte-level BPE counts the space before a word to it, and Unigram puts one before a text.
fn words_stand_alone(tokenizer: &tokenizers::Tokenizer) -> bool {
    let normalizer = tokenizer.get_normalizer();
    normalizer.is_none_or(|normalizer| matches!(normalizer, NormalizerWrapper::BertNormalizer(_)))
        && matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
        && matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_))
}

/// The beginning of `text` up to some white space after `length` bytes, so that no word is cut.
fn prefix(text: &str, length: usize) -> &str {
    if text.len() <= length {
        return text;
    }
    let start = text.floor_char_boundary(length);
    let end = text.floor_char_boundary(length + STRETCH);
    // Without white space for so long there are no words that could be cut, or one without an end.
    let end = text[start..end].find(char::is_whitespace).map_or(end, |at| start + at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn a_prefix_never_cuts_a_word() {
        assert_eq!(prefix("one two three", 5), "one two");
        assert_eq!(prefix("one two three", 7), "one two");
        assert_eq!(prefix("one two three", 8), "one two three");
        assert_eq!(prefix("猫猫 猫", 4), "猫猫");
        assert_eq!(prefix("short", 100), "short");
    }
}
