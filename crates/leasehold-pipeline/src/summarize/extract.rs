//! The sentences of documents, through the model, into a summary.

use leasehold::MemoryOwner;
use unicode_segmentation::UnicodeSegmentation;

use super::{Length, Summarizer, line::on_one_line, sentence::Cutter};
use crate::{
    cancel::Cancel,
    document::{Document, Place},
    error::{EmbedError, SourceError},
    passage::Passages,
    pipeline::{Pipeline, Summary},
    sink::Sink,
};

/// Chooses the sentences that stand for a text of any length, in one pass; the rule is [`Summarizer`]'s.
///
/// Beside what the pipeline rents it keeps 1000 to 2200 sentences with their vectors, more for very long summaries: a few mebibytes of
/// prose, and 64 KiB for each where there is no full stop.
///
/// # Examples
/// ```no_run
/// use leasehold_pipeline::{Cancel, EmbedError, Extract, Length, Pipeline, Source};
///
/// fn print(pipeline: &Pipeline, paragraphs: Source) -> Result<(), EmbedError> {
///     let extract = Extract { length: Length::Sentences(5) };
///     for sentence in extract.run(pipeline, paragraphs, &Cancel::new(), &mut |_| {})?.sentences {
///         println!("{}", sentence.text);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Extract {
    /// How long the summary may be.
    pub length: Length,
}

/// What was chosen of a text.
#[derive(Clone, Debug)]
pub struct Extracted {
    /// The sentences, in the order of the text.
    pub sentences: Vec<Sentence>,
    /// Sentences that the text has.
    pub of: u64,
    /// Words of the shortest sentence that could have been chosen, for those who gave too few.
    pub shortest: Option<usize>,
    /// What the model did.
    pub embedded: Summary,
}

/// A sentence and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Sentence {
    /// The sentence on one line: each run of white space in it is one space, and words that a line end has cut behind a hyphen are
    /// whole.
    pub text: String,
    /// Where it starts.
    pub place: Place,
    /// The byte behind its last.
    pub end: u64,
    /// How much it stands for the text.
    pub score: f32,
}

impl Extract {
    /// Reads all documents, usually the paragraphs of one text, and chooses among their sentences.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run`].
    pub fn run<I>(
        &self,
        pipeline: &Pipeline,
        documents: I,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Summary),
    ) -> Result<Extracted, EmbedError>
    where
        I: Iterator<Item = Result<Document, SourceError>> + Send + 'static,
    {
        let summarizer = Summarizer::new(pipeline.encoder().width(), self.length).cancelled_by(cancel);
        let mut sink = SummarySink { summarizer };
        // Sentences are passages already, and all of them count.
        let (pipeline, _) = pipeline.take_windows();
        let embedded = pipeline.run(SentencesOf::new(documents), &mut sink, cancel, progress)?;
        let (of, shortest) = (sink.summarizer.seen(), sink.summarizer.shortest());
        let chosen = sink.summarizer.finish().into_iter();
        // Choosing ended early then.
        if cancel.is_cancelled() {
            return Err(EmbedError::Cancelled);
        }
        let sentences = chosen.map(|chosen| Sentence { score: chosen.score, ..chosen.sentence }).collect();
        Ok(Extracted { sentences, of, shortest, embedded })
    }
}

/// Documents cut into sentences, which are slices of the same blocks.
///
/// # Examples
/// ```no_run
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{Format, Input, SentencesOf, Source, Split};
///
/// let pool = MemoryPool::builder().build_bounded(16 << 20);
/// let source = Source::open(vec![(Input::Standard, Format::Text(Split::Paragraph))], &pool)?;
/// for sentence in SentencesOf::new(source) {
///     println!("{}", sentence?.text()?);
/// }
/// # Ok::<(), leasehold_pipeline::SourceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SentencesOf<I> {
    documents: I,
    current: Option<Current>,
}

impl<I> SentencesOf<I> {
    /// The sentences of these documents.
    pub fn new(documents: I) -> Self {
        Self { documents, current: None }
    }
}

impl<I: Iterator<Item = Result<Document, SourceError>>> Iterator for SentencesOf<I> {
    type Item = Result<Document, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(current) = &mut self.current else {
                match self.documents.next()? {
                    Ok(document) => self.current = Some(Current::new(document)),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            let next = current.next_sentence().transpose();
            if !matches!(next, Some(Ok(_))) {
                self.current = None;
            }
            if next.is_some() {
                return next;
            }
        }
    }
}

/// The document that sentences are taken from.
///
/// It may be as long as its file: nothing here looks at all of it more than once.
#[derive(Clone, Debug)]
struct Current {
    document: Document,
    cutter: Cutter,
    passages: Passages,
}

impl Current {
    fn new(document: Document) -> Self {
        Self { document, cutter: Cutter::default(), passages: Passages::new(true) }
    }

    fn next_sentence(&mut self) -> Result<Option<Document>, SourceError> {
        let document = &self.document;
        let range = self.cutter.next(document.text.as_bytes()).map_err(|_| document.changed())?;
        range.map(|range| self.passages.next(document, range)).transpose()
    }
}

/// Gives every sentence to the summarizer.
struct SummarySink {
    summarizer: Summarizer<Sentence>,
}

impl Sink for SummarySink {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        let width = vectors.len() / documents.len().max(1);
        for (document, vector) in documents.iter().zip(vectors.chunks_exact(width.max(1))) {
            let text = document.text()?;
            let words = text.unicode_words().count();
            let keep = || Sentence {
                text: on_one_line(text),
                place: document.place.clone(),
                end: document.place.offset + document.text.input_len() as u64,
                score: 0.0,
            };
            self.summarizer.add(vector, words, is_whole(text, words), keep);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        Ok(())
    }
}

/// Words that a sentence has at least; shorter ones say nothing by themselves.
const FEWEST_WORDS: usize = 4;

/// Whether a sentence begins and ends as sentences do and has words as they have, and is no heading, row of a table, line of a
/// program or list of options.
fn is_whole(text: &str, words: usize) -> bool {
    let end = text.trim_end_matches(|c: char| "\"'”’»)]*_`".contains(c));
    let begins = text.chars().find(|c| c.is_alphanumeric()).is_some_and(|first| !first.is_lowercase());
    let starting =
        |case: fn(char) -> bool| text.unicode_words().filter(|word| word.starts_with(case)).count();
    let is_prose = starting(char::is_lowercase) >= starting(char::is_uppercase);
    let ends = end.ends_with(['.', '!', '?', '…', '。', '！', '？', '।', '؟']);
    begins && ends && is_prose && words >= FEWEST_WORDS
}
