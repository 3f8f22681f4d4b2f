//! Search: what is found is what comparing everything finds, with and without a store.

use std::{fs, num::NonZeroUsize, path::PathBuf, sync::Arc};

use leasehold::MemoryPool;
use leasehold_pipeline::{
    Cancel, EmbedError, Fingerprint, Format, Found, Input, Pipeline, Precision, Search, Source, SourceError,
    Split, VectorStore, Windows, dot,
};
use tempfile::TempDir;

use crate::support::{Random, pool, small_encoder};

fn vector(text: &str) -> Vec<f32> {
    let mut worker = small_encoder().worker(pool()).unwrap();
    worker.embed(std::iter::once(Ok(text))).unwrap().to_vec()
}

fn lines(count: usize, seed: usize) -> Vec<String> {
    let words = ["lease", "owner", "buffer", "span", "pool", "rent", "reader", "of", "the", "a"];
    let mut random = Random::new(seed as u64);
    let mut line = || (0..1 + random.below(9)).map(|_| words[random.below(words.len())]).collect::<Vec<_>>();
    (0..count).map(|_| line().join(" ")).collect()
}

struct Corpus {
    place: TempDir,
}

impl Corpus {
    fn new(lines: &[String]) -> Self {
        let corpus = Self { place: TempDir::new().unwrap() };
        corpus.write(lines);
        corpus
    }

    fn write(&self, lines: &[String]) {
        fs::write(self.path(), lines.join("\n")).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("corpus.txt")
    }

    fn source(&self) -> Source {
        Source::open(vec![(Input::File(self.path()), Format::Text(Split::Line))], pool()).unwrap()
    }

    fn store(&self) -> Arc<VectorStore> {
        let print = Fingerprint::of_model(self.place.path(), Precision::F32).unwrap();
        let width = small_encoder().width();
        let store =
            VectorStore::open(self.place.path(), print, width, 1 << 20, &mut |event| panic!("{event:?}"));
        Arc::new(store.unwrap())
    }
}

fn pipeline() -> Pipeline {
    let pool = MemoryPool::builder().build_bounded(64 << 20);
    Pipeline::new(small_encoder(), NonZeroUsize::new(2).unwrap(), &pool).unwrap()
}

fn search(corpus: &Corpus, most: usize, least: f32, store: Option<Arc<VectorStore>>) -> Found {
    let search = Search { most, least, store };
    let query = vector("the owner of a buffer");
    search.run(&pipeline(), &query, corpus.source(), &Cancel::new(), &mut |_| {}).unwrap()
}

fn found(found: &Found) -> Vec<(u64, &str)> {
    found.hits.iter().map(|hit| (hit.place.line, hit.passage.as_str())).collect()
}

#[test]
fn the_nearest_passages_are_those_that_sorting_all_gives() {
    let lines = lines(400, 9);
    let corpus = Corpus::new(&lines);
    let query = vector("the owner of a buffer");
    let mut all: Vec<(f32, u64, &str)> = lines
        .iter()
        .zip(1..)
        .map(|(line, number)| (dot(&query, &vector(line)), number, line.as_str()))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let result = search(&corpus, 25, -1.0, None);
    assert_eq!(result.passages, 400);
    // Batches of another shape may round otherwise, so scores that are almost equal may change places.
    for (hit, expected) in result.hits.iter().zip(&all) {
        assert!((hit.score - expected.0).abs() < 1e-5, "{hit:?} in place of {expected:?}");
        assert_eq!(hit.passage, lines[hit.place.line as usize - 1]);
    }
    assert_eq!(result.hits.len(), 25);
    let least = all[10].0 - 1e-4;
    let expected = all.iter().filter(|(score, ..)| *score >= least).count();
    assert_eq!(search(&corpus, 400, least, None).hits.len(), expected);
}

#[test]
fn of_equal_passages_the_first_wins() {
    let mut lines = lines(300, 10);
    for at in [7, 100, 250] {
        "the owner of a buffer".clone_into(&mut lines[at]);
    }
    let corpus = Corpus::new(&lines);
    let store = corpus.store();
    // The second and third time some of them are found in the store, and come out of it before the others.
    for _ in 0..3 {
        let result = search(&corpus, 2, 0.0, Some(Arc::clone(&store)));
        assert_eq!(found(&result), [(8, "the owner of a buffer"), (101, "the owner of a buffer")]);
    }
}

#[test]
fn only_passages_that_are_new_go_through_the_model() {
    let mut lines = lines(200, 11);
    let corpus = Corpus::new(&lines);
    let first = search(&corpus, 10, -1.0, Some(corpus.store()));
    assert!(first.embedded.documents > 100, "repeated lines may be found already");
    let again = search(&corpus, 10, -1.0, Some(corpus.store()));
    assert_eq!((again.passages, again.embedded.documents), (200, 0));
    assert_eq!(found(&again), found(&first));
    lines[50] = "something that nobody has said".to_owned();
    lines.insert(0, String::new());
    corpus.write(&lines);
    let edited = search(&corpus, 10, -1.0, Some(corpus.store()));
    assert_eq!((edited.passages, edited.embedded.documents), (200, 1));
}

#[test]
fn a_query_has_the_vector_that_a_passage_has() {
    let query = Search::query(&pipeline(), "the owner of a buffer", &Cancel::new()).unwrap();
    assert_eq!(query, vector("the owner of a buffer"));
}

#[test]
fn windows_are_passages_of_their_own_with_and_without_a_store() {
    let lines = lines(60, 15);
    let corpus = Corpus::new(&lines);
    let windows = Windows::new(small_encoder(), 12, 3).unwrap();
    let cut = || Source::open(vec![(Input::File(corpus.path()), Format::Text(Split::File))], pool()).unwrap();
    let pipeline = pipeline().windows(windows);
    let query = vector("the owner of a buffer");
    let search = |store| {
        let search = Search { most: 1000, least: -1.0, store };
        search.run(&pipeline, &query, cut(), &Cancel::new(), &mut |_| {}).unwrap()
    };
    let plain = search(None);
    assert!(plain.passages > 20);
    for hit in &plain.hits {
        assert!((hit.score - dot(&query, &vector(&hit.passage))).abs() < 1e-5);
        let line = &lines[hit.place.line as usize - 1];
        assert!(line.contains(hit.passage.lines().next().unwrap()), "{hit:?} in {line:?}");
    }
    search(Some(corpus.store()));
    let stored = search(Some(corpus.store()));
    assert_eq!((stored.passages, stored.embedded.documents), (plain.passages, 0));
    let mut places: Vec<_> = stored.hits.iter().map(|hit| (hit.place.offset, hit.passage.clone())).collect();
    let mut expected: Vec<_> = plain.hits.iter().map(|hit| (hit.place.offset, hit.passage.clone())).collect();
    places.sort();
    expected.sort();
    assert_eq!(places, expected);
}

#[test]
fn nothing_is_found_in_nothing() {
    let corpus = Corpus::new(&[]);
    let result = search(&corpus, 10, -1.0, Some(corpus.store()));
    assert_eq!((result.passages, result.hits.len()), (0, 0));
    let corpus = Corpus::new(&lines(10, 12));
    assert!(search(&corpus, 0, -1.0, None).hits.is_empty());
    assert!(search(&corpus, 10, 1.1, None).hits.is_empty());
}

#[test]
fn a_broken_input_is_an_error_although_the_rest_is_in_the_store() {
    let lines = lines(100, 13);
    let corpus = Corpus::new(&lines);
    search(&corpus, 10, -1.0, Some(corpus.store()));
    let mut bytes = lines.join("\n").into_bytes();
    bytes.extend_from_slice(b"\nbad \xFF\n");
    fs::write(corpus.path(), bytes).unwrap();
    let search = Search { most: 1, least: -1.0, store: Some(corpus.store()) };
    let query = vector("a buffer");
    let error = search.run(&pipeline(), &query, corpus.source(), &Cancel::new(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::Source(SourceError::NotUtf8 { line: 101, .. })), "{error}");
}

#[test]
fn a_search_among_known_passages_can_be_cancelled() {
    let corpus = Corpus::new(&lines(100, 14));
    search(&corpus, 10, -1.0, Some(corpus.store()));
    let cancel = Cancel::new();
    let asking = cancel.clone();
    // Never ends by itself, and never sends anything through the model.
    let store = corpus.store();
    let documents: Vec<_> = corpus.source().collect::<Result<_, _>>().unwrap();
    let endless = documents.into_iter().cycle().enumerate().map(move |(at, document)| {
        if at == 1000 {
            asking.cancel();
        }
        Ok(document)
    });
    let search = Search { most: 1, least: -1.0, store: Some(store) };
    let error = search.run(&pipeline(), &vector("a buffer"), endless, &cancel, &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::Cancelled), "{error}");
}
