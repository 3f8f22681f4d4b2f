//! The order of results, the bounds of memory, and every way for a run to end.

use std::{
    io,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use leasehold::{BoundedPool, MemoryOwner, MemoryPool, SharedOwner};
use leasehold_pipeline::{
    Cancel, Document, EmbedError, Pipeline, Place, Sink, SinkError, SourceError, Summary, Text,
};

use crate::support::{pool, small_encoder};

/// Keeps what it is given, and fails when it is told to.
#[derive(Default)]
struct Kept {
    texts: Vec<String>,
    vectors: Vec<f32>,
    finished: bool,
    fail_after: Option<usize>,
    cancel_after: Option<(usize, Cancel)>,
    written: Arc<AtomicUsize>,
}

impl Sink for Kept {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        for document in documents {
            self.texts.push(document.text()?.to_owned());
        }
        self.vectors.extend_from_slice(&vectors);
        self.written.store(self.texts.len(), Ordering::SeqCst);
        if let Some((after, cancel)) = &self.cancel_after
            && self.texts.len() >= *after
        {
            cancel.cancel();
        }
        match self.fail_after {
            Some(after) if self.texts.len() >= after => {
                let source = io::ErrorKind::StorageFull.into();
                Err(SinkError::Write { target: "nowhere".to_owned(), source }.into())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        self.finished = true;
        Ok(())
    }
}

fn document(block: &SharedOwner<u8>, line: usize) -> Document {
    let path: Arc<Path> = Path::new("-").into();
    let text = Text::new(block.clone()).unwrap();
    Document { text, place: Place { path, line: line as u64 + 1, offset: 0 }, consumed: line as u64 }
}

fn block(text: &str) -> SharedOwner<u8> {
    MemoryOwner::from(text.to_owned()).into_shared()
}

fn pipeline(threads: usize, pool: &BoundedPool, cancel: Cancel) -> Pipeline<'_> {
    Pipeline { encoder: small_encoder(), pool, threads: NonZeroUsize::new(threads).unwrap(), cancel }
}

fn run<I>(threads: usize, documents: I, sink: &mut Kept) -> Result<Summary, EmbedError>
where
    I: Iterator<Item = Result<Document, SourceError>> + Send,
{
    let cancel = sink.cancel_after.as_ref().map(|(_, cancel)| cancel.clone()).unwrap_or_default();
    pipeline(threads, pool(), cancel).run(documents, sink, &mut |_| {})
}

#[test]
fn results_come_in_the_order_of_the_input() {
    // Units of very different cost, so that workers overtake each other.
    let texts: Vec<String> = (0..60)
        .map(|i| format!("text {i} {}", "and more ".repeat(if i % 7 == 0 { 90 } else { 1 })))
        .collect();
    let mut sink = Kept::default();
    let documents = texts.iter().enumerate().map(|(line, text)| Ok(document(&block(text), line)));
    let summary = run(3, documents, &mut sink).unwrap();
    assert_eq!(sink.texts, texts);
    assert!(sink.finished);
    assert_eq!(summary.documents, 60);
    let mut alone = small_encoder().worker(pool()).unwrap();
    for (text, vector) in texts.iter().zip(sink.vectors.chunks_exact(8)) {
        let expected = alone.embed(std::iter::once(Ok(text.as_str()))).unwrap();
        let difference = expected.iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "for {text:?}");
    }
}

#[test]
fn no_documents_are_a_run_like_any_other() {
    let mut sink = Kept::default();
    assert_eq!(run(2, std::iter::empty(), &mut sink).unwrap(), Summary::default());
    assert!(sink.finished);
}

#[test]
fn the_source_never_runs_far_ahead_of_the_sink() {
    // Long enough to count for many tokens, and cheap all the same.
    let shared = block(&format!("word{}", " ".repeat(2000)));
    let mut sink = Kept::default();
    let written = Arc::clone(&sink.written);
    let mut furthest = 0;
    let documents = (0..500).map(|line| {
        furthest = furthest.max(line - written.load(Ordering::SeqCst));
        Ok(document(&shared, line))
    });
    run(1, documents, &mut sink).unwrap();
    // Two such documents make a unit; a worker has eight units under way, and the source is cutting one.
    assert!(furthest <= 2 * (8 + 1), "{furthest} documents were read before they could be written");
}

#[test]
fn an_error_of_the_source_ends_the_run() {
    let shared = block("word");
    let documents = (0..1000).map(|line| match line {
        900 => Err(SourceError::Changed { path: "x".into(), line: 1 }),
        _ => Ok(document(&shared, line)),
    });
    let mut sink = Kept::default();
    let error = run(2, documents, &mut sink).unwrap_err();
    assert!(matches!(error, EmbedError::Source(SourceError::Changed { .. })), "{error}");
    assert!(!sink.finished);
    assert_eq!(shared.owners(), 1);
}

#[test]
fn an_error_of_the_sink_ends_the_run() {
    let shared = block("word");
    let mut sink = Kept { fail_after: Some(1), ..Kept::default() };
    let endless = (0..).map(|line| Ok(document(&shared, line)));
    let error = run(2, endless, &mut sink).unwrap_err();
    assert!(matches!(error, EmbedError::Sink(SinkError::Write { .. })), "{error}");
    assert!(!sink.finished);
    assert_eq!(shared.owners(), 1);
}

#[test]
fn a_cancelled_run_gives_every_buffer_back() {
    let shared = block("word");
    let pool = MemoryPool::builder().build_bounded(64 << 20);
    let cancel = Cancel::new();
    let mut sink = Kept { cancel_after: Some((1, cancel.clone())), ..Kept::default() };
    let endless = (0..).map(|line| Ok(document(&shared, line)));
    let error = pipeline(1, &pool, cancel).run(endless, &mut sink, &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::Cancelled), "{error}");
    assert!(!sink.finished);
    assert_eq!(shared.owners(), 1, "every document was dropped");
    // One vector of eight for each of 768 tokens, three projections, the context, and the wide activations of a block.
    let activations = ((1 + 3 + 1) * 768 * 8 + 336 * 12) * size_of::<f32>();
    // A thread empties its cache when it ends, which is after what it ran has ended.
    while pool.stats().idle_bytes < activations {
        std::thread::yield_now();
    }
}

#[test]
fn a_panic_of_the_source_is_passed_on_and_not_waited_for() {
    let shared = block("word");
    let documents = (0..1000).map(|line| {
        assert!(line < 500, "the source breaks");
        Ok(document(&shared, line))
    });
    let mut sink = Kept::default();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(2, documents, &mut sink)));
    assert!(ended.is_err());
}
