//! The passages nearest to a query, of any number of them.

use std::{
    collections::VecDeque,
    iter,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use leasehold::MemoryOwner;

use super::{Key, Top, VectorStore, dot};
use crate::{
    cancel::Cancel,
    document::{Document, Place, Text},
    error::{EmbedError, SourceError, StoreError},
    flow::{Flow, StageError},
    pipeline::{Pipeline, Summary},
    sink::Sink,
    window::Windows,
};

/// Compares every passage with a query and keeps the nearest: exact, in one pass, in memory for those few.
///
/// Documents are cut into passages as [`Pipeline::windows`] says; [`Pipeline::skip`] does not count. With a store only passages
/// that it does not have go through the model, and what they give is put there.
///
/// # Examples
/// ```no_run
/// use std::num::NonZeroUsize;
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{
///     Cache, Cancel, Encoder, Format, Input, Pipeline, Precision, Search, Source, Split,
/// };
///
/// let pool = MemoryPool::builder().build_bounded(256 << 20);
/// let encoder = Encoder::open(&Cache::of_user()?.model(&mut |_| {})?, Precision::F32, &pool)?;
/// let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool)?;
/// let book = (Input::File("book.txt".into()), Format::Text(Split::Paragraph));
/// let source = Source::open(vec![book], pipeline.source_pool())?;
/// let cancel = Cancel::new();
/// let query = Search::query(&pipeline, "what do owls eat", &cancel)?;
/// let search = Search { most: 3, least: -1.0, store: None };
/// for hit in search.run(&pipeline, &query, source, &cancel, &mut |_| {})?.hits {
///     println!("line {}: {:.3} {}", hit.place.line, hit.score, hit.passage);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Search {
    /// How many passages to keep.
    pub most: usize,
    /// The lowest cosine that is kept.
    pub least: f32,
    /// Vectors of passages that were embedded before.
    pub store: Option<Arc<VectorStore>>,
}

/// What a search has found.
#[derive(Debug)]
pub struct Found {
    /// The nearest passages, the nearest first; of equal ones the one that came first.
    pub hits: Vec<Hit>,
    /// Passages that were compared.
    pub passages: u64,
    /// What the model did; passages from the store are not among these.
    pub embedded: Summary,
    /// Why vectors could not be stored. The hits are not affected.
    pub store_error: Option<StoreError>,
}

/// A passage near to the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The passage.
    pub passage: String,
    /// Where it stands.
    pub place: Place,
    /// The cosine with the query.
    pub score: f32,
}

impl Search {
    /// The unit vector of a query, computed as those of passages are.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::start`], and when tokenizer or model fail.
    pub fn query(pipeline: &Pipeline, text: &str, cancel: &Cancel) -> Result<Vec<f32>, EmbedError> {
        let place = Place { path: Path::new("query").into(), line: 1, offset: 0 };
        let block = MemoryOwner::from(text.to_owned()).into_shared();
        let document = Document { text: Text::checked(block), place, consumed: 0 };
        let mut run = pipeline.take_windows().0.start(iter::once(Ok::<_, SourceError>(document)), cancel)?;
        let vector = run.next().ok_or(EmbedError::Cancelled)??.vectors.to_vec();
        run.join();
        Ok(vector)
    }

    /// Reads all passages and keeps the nearest to `query`, which is a unit vector of the pipeline's encoder.
    ///
    /// `progress` is called as [`Pipeline::run`] calls it, so only for passages that go through the model.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run`]. That the store cannot be written is none: see [`Found::store_error`].
    pub fn run<I>(
        &self,
        pipeline: &Pipeline,
        query: &[f32],
        passages: I,
        cancel: &Cancel,
        progress: &mut dyn FnMut(&Summary),
    ) -> Result<Found, EmbedError>
    where
        I: Iterator<Item = Result<Document, SourceError>> + Send + 'static,
    {
        let ranking = Arc::new(Ranking {
            query: query.into(),
            least: self.least,
            state: Mutex::new(State { top: Top::new(self.most), unknown: VecDeque::new(), passages: 0 }),
        });
        let (pipeline, windows) = pipeline.take_windows();
        let unknown = Unknown {
            passages: passages_of(passages, windows, cancel)?,
            ranking: Arc::clone(&ranking),
            store: self.store.clone(),
            vector: vec![0.0; query.len()],
            cancel: cancel.clone(),
        };
        let mut sink = RankingSink { ranking: &ranking, store: self.store.as_deref(), store_error: None };
        let embedded = pipeline.run(unknown, &mut sink, cancel, progress)?;
        // A source that finds everything in the store sends nothing that would end early.
        if cancel.is_cancelled() {
            return Err(EmbedError::Cancelled);
        }
        let store_error = sink.store_error;
        let mut state = ranking.state();
        let top = std::mem::replace(&mut state.top, Top::new(0));
        let hits = top.into_sorted().into_iter();
        Ok(Found {
            hits: hits.map(|(score, (passage, place))| Hit { passage, place, score }).collect(),
            passages: state.passages,
            embedded,
            store_error,
        })
    }
}

/// Passages, in the order of the input.
type Passages = Box<dyn Iterator<Item = Result<Document, StageError>> + Send>;

/// How many documents and passages may wait for one another.
const ROOM: usize = 64;

/// Cuts documents into passages where the pipeline would, so that each is looked up by itself.
fn passages_of<I>(documents: I, windows: Option<Windows>, cancel: &Cancel) -> Result<Passages, EmbedError>
where
    I: Iterator<Item = Result<Document, SourceError>> + Send + 'static,
{
    Ok(match windows {
        None => Box::new(documents.map(|document| document.map_err(StageError::from))),
        Some(windows) => {
            let flow = Flow::source("source", documents).room(ROOM).stage("window", windows).room(ROOM);
            Box::new(flow.start(cancel)?.map(|passage| passage.map_err(StageError::from)))
        }
    })
}

/// What both ends of the pipeline rank passages into.
#[derive(Debug)]
struct Ranking {
    query: Box<[f32]>,
    least: f32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    top: Top<(String, Place)>,
    /// Numbers and keys of the passages that are on their way through the model, in order.
    unknown: VecDeque<(u64, Option<Key>)>,
    /// Passages read so far.
    passages: u64,
}

impl Ranking {
    /// Ranks one passage. The text is copied only when it is among the nearest so far, because what it lies in may be
    /// much larger, and part of the memory budget.
    fn rank(&self, number: u64, document: &Document, vector: &[f32]) -> Result<(), SourceError> {
        let score = dot(&self.query, vector);
        if score < self.least {
            return Ok(());
        }
        let passage = document.text()?;
        self.state().top.offer_at(number, score, || (passage.to_owned(), document.place.clone()));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked ends the run, whose result is not looked at then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The passages that the store does not have; the others are ranked as they come by.
struct Unknown {
    passages: Passages,
    ranking: Arc<Ranking>,
    store: Option<Arc<VectorStore>>,
    /// Where vectors are read into.
    vector: Vec<f32>,
    cancel: Cancel,
}

impl Unknown {
    /// Whether the passage was ranked with a vector from the store.
    fn is_known(&mut self, document: &Document) -> Result<bool, SourceError> {
        let key = match &self.store {
            Some(store) => Some(store.key(document.text()?)),
            None => None,
        };
        let number = {
            let mut state = self.ranking.state();
            state.passages += 1;
            state.passages
        };
        if let (Some(store), Some(key)) = (&self.store, &key)
            && store.get(key, &mut self.vector)
        {
            self.ranking.rank(number, document, &self.vector)?;
            return Ok(true);
        }
        self.ranking.state().unknown.push_back((number, key));
        Ok(false)
    }
}

impl Iterator for Unknown {
    type Item = Result<Document, StageError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.cancel.is_cancelled() {
            let document = match self.passages.next()? {
                Ok(document) => document,
                Err(error) => return Some(Err(error)),
            };
            match self.is_known(&document) {
                Ok(true) => {}
                Ok(false) => return Some(Ok(document)),
                Err(error) => return Some(Err(error.into())),
            }
        }
        None
    }
}

/// Ranks what comes out of the model, and puts it into the store.
struct RankingSink<'a> {
    ranking: &'a Ranking,
    store: Option<&'a VectorStore>,
    store_error: Option<StoreError>,
}

impl Sink for RankingSink<'_> {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        let width = self.ranking.query.len();
        let mut keys = Vec::with_capacity(documents.len());
        for (document, vector) in documents.iter().zip(vectors.chunks_exact(width.max(1))) {
            let next = self.ranking.state().unknown.pop_front();
            let (number, key) = next.expect("each passage was noted on its way into the model");
            keys.extend(key);
            self.ranking.rank(number, document, vector)?;
        }
        if let Some(store) = self.store
            && let Err(error) = store.put(&keys, &vectors)
        {
            self.store_error.get_or_insert(error);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        Ok(())
    }
}
