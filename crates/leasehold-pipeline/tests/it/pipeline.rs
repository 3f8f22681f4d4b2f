//! The order of results, the bounds of memory, and every way for a run to end.

use std::{
    io,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use leasehold::{BoundedPool, MemoryOwner, MemoryPool, SharedOwner};
use leasehold_pipeline::{
    Cancel, Document, EmbedError, Encoder, Pipeline, Place, Precision, Sink, SinkError, SourceError, Summary,
    Text, flow::FlowError,
};

use crate::support::{pool, small_directory, small_encoder};

/// Keeps what it is given, and fails when it is told to.
#[derive(Default)]
struct Kept {
    texts: Vec<String>,
    vectors: Vec<f32>,
    finished: bool,
    fail_after: Option<usize>,
    cancel_after: Option<(usize, Cancel)>,
    written: Arc<AtomicUsize>,
    /// Whether it only counts.
    forget: bool,
}

impl Sink for Kept {
    fn write(&mut self, documents: &[Document], vectors: MemoryOwner<f32>) -> Result<(), EmbedError> {
        if self.forget {
            return Ok(());
        }
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

fn pipeline(threads: usize, pool: &BoundedPool) -> Pipeline {
    Pipeline::new(small_encoder(), NonZeroUsize::new(threads).unwrap(), pool).unwrap()
}

/// A pool with a budget for the small model and some text.
fn small_pool() -> BoundedPool {
    MemoryPool::builder().build_bounded(16 << 20)
}

fn run<I>(threads: usize, documents: I, sink: &mut Kept) -> Result<Summary, EmbedError>
where
    I: Iterator<Item = Result<Document, SourceError>> + Send + 'static,
{
    let cancel = sink.cancel_after.as_ref().map(|(_, cancel)| cancel.clone()).unwrap_or_default();
    pipeline(threads, &small_pool()).run(documents, sink, &cancel, &mut |_| {})
}

/// Waits until a run that was not waited for has given everything back.
fn comes_back(block: &SharedOwner<u8>, pipeline: &Pipeline) {
    let back = || block.owners() == 1 && outstanding(pipeline) == 0;
    while !back() {
        std::thread::yield_now();
    }
}

/// Blocks that runs have, besides the weights of the model, which the encoder of all tests has elsewhere.
fn outstanding(pipeline: &Pipeline) -> usize {
    pipeline.pools().iter().map(|pool| pool.outstanding().len()).sum()
}

#[test]
fn results_come_in_the_order_of_the_input() {
    // Units of very different cost, so that workers overtake each other.
    let texts: Vec<String> = (0..60)
        .map(|i| format!("text {i} {}", "and more ".repeat(if i % 7 == 0 { 90 } else { 1 })))
        .collect();
    let mut sink = Kept::default();
    let blocks: Vec<_> = texts.iter().map(|text| block(text)).collect();
    let documents = blocks.into_iter().enumerate().map(|(line, text)| Ok(document(&text, line)));
    let summary = run(3, documents, &mut sink).unwrap();
    assert_eq!(sink.texts, texts);
    assert!(sink.finished);
    assert_eq!(summary.documents, 60);
    let mut alone = small_encoder().worker(pool()).unwrap();
    for (text, vector) in texts.iter().zip(sink.vectors.chunks_exact(8)) {
        let expected = alone.embed(std::iter::once(Ok(text.as_str()))).unwrap();
        // To the bit: a run that is resumed has other batches than one that is not.
        assert_eq!(expected[..], *vector, "for {text:?}");
    }
}

#[test]
fn documents_of_hardly_any_tokens_have_vectors_too() {
    // More rows than one batch may have, in one unit.
    let shared = block("a");
    let mut sink = Kept::default();
    let documents = {
        let shared = shared.clone();
        (0..1000).map(move |line| Ok(document(&shared, line)))
    };
    assert_eq!(run(2, documents, &mut sink).unwrap().documents, 1000);
    assert_eq!(sink.vectors.len(), 8 * 1000);
    assert!(sink.vectors.chunks(8).all(|vector| vector == &sink.vectors[..8]));
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
    let furthest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&furthest);
    let documents = (0..500).map(move |line| {
        seen.fetch_max(line - written.load(Ordering::SeqCst).min(line), Ordering::SeqCst);
        Ok(document(&shared, line))
    });
    run(1, documents, &mut sink).unwrap();
    // 64 wait behind the source; two such documents make a unit, of which two wait for the tokenizer, two for the model and
    // two for the sink, where each queue may hold one more; and each thread has one in hand.
    let bound = (64 + 1) + 2 * (3 + 3 + 3) + 1 + 2 * 4;
    let furthest = furthest.load(Ordering::SeqCst);
    assert!(furthest <= bound, "{furthest} documents were read before they could be written");
}

#[test]
fn an_error_of_the_source_ends_the_run() {
    let shared = block("word");
    let pipeline = pipeline(2, &small_pool());
    let documents = {
        let shared = shared.clone();
        (0..1000).map(move |line| match line {
            900 => Err(SourceError::Changed { path: "x".into(), line: 1 }),
            _ => Ok(document(&shared, line)),
        })
    };
    let mut sink = Kept::default();
    let error = pipeline.run(documents, &mut sink, &Cancel::new(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::Source(SourceError::Changed { .. })), "{error}");
    assert!(!sink.finished);
    comes_back(&shared, &pipeline);
}

/// Documents without end, all of one text.
fn endless(shared: &SharedOwner<u8>) -> impl Iterator<Item = Result<Document, SourceError>> + use<> {
    let shared = shared.clone();
    (0..).map(move |line| Ok(document(&shared, line)))
}

#[test]
fn an_error_of_the_sink_ends_the_run() {
    let shared = block("word");
    let pipeline = pipeline(2, &small_pool());
    let mut sink = Kept { fail_after: Some(1), ..Kept::default() };
    let error = pipeline.run(endless(&shared), &mut sink, &Cancel::new(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::Sink(SinkError::Write { .. })), "{error}");
    assert!(!sink.finished);
    comes_back(&shared, &pipeline);
}

#[test]
fn a_cancelled_run_gives_every_buffer_back() {
    let shared = block("word");
    let (pool, cancel) = (small_pool(), Cancel::new());
    let pipeline = pipeline(1, &pool);
    let mut sink = Kept { cancel_after: Some((1, cancel.clone())), ..Kept::default() };
    let error = pipeline.run(endless(&shared), &mut sink, &cancel, &mut |_| {}).unwrap_err();
    assert!(matches!(error, EmbedError::Cancelled), "{error}");
    assert!(!sink.finished);
    comes_back(&shared, &pipeline);
    drop(pipeline);
    // Its shares come back with it, and with the last of the threads, which a run that failed does not wait for.
    while pool.share(16 << 20).is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn a_run_that_is_cancelled_at_any_moment_gives_every_buffer_back() {
    let shared = block("a few words of text");
    let pipeline = pipeline(2, &small_pool());
    for moment in 0..24 {
        let cancel = Cancel::new();
        let mut run = pipeline.start(endless(&shared), &cancel).unwrap();
        assert!(outstanding(&pipeline) > 0);
        for _ in 0..moment / 4 {
            run.next().unwrap().unwrap();
        }
        for _ in 0..moment * 50 {
            std::thread::yield_now();
        }
        cancel.cancel();
        let error = run.find_map(Result::err).unwrap();
        assert!(matches!(error, FlowError::Cancelled), "{error}");
        run.join();
        assert_eq!(outstanding(&pipeline), 0, "moment {moment}");
        assert_eq!(shared.owners(), 1, "moment {moment}");
    }
}

#[test]
fn a_future_that_is_dropped_with_its_run_gives_every_buffer_back() {
    let shared = block("a few words of text");
    let pipeline = pipeline(2, &small_pool());
    let mut run = pipeline.start(endless(&shared), &Cancel::new()).unwrap();
    let mut task = Box::pin(async move { while run.next_async().await.is_some() {} });
    // It goes as far as it can, and is dropped where it waits.
    let mut context = Context::from_waker(Waker::noop());
    let _ = task.as_mut().poll(&mut context);
    drop(task);
    comes_back(&shared, &pipeline);
}

#[test]
fn memory_has_the_same_peak_for_ten_times_the_text() {
    let directory = small_directory();
    let budget = Pipeline::least_memory(directory.path(), Precision::F32, NonZeroUsize::MIN).unwrap();
    let pool = MemoryPool::builder().build_bounded(budget);
    let encoder = Encoder::open(directory.path(), Precision::F32, &pool).unwrap();
    let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool).unwrap();
    // What the budget says is what is there when everything is rented.
    let peak = |megabytes: usize| {
        // Rented from the share of the source, as streams do, 64 documents a block.
        let rents = pipeline.source_pool().clone();
        let documents = (0..megabytes * 16).flat_map(move |_| {
            let mut block = rents.rent_blocking::<u8>(64 << 10).unwrap();
            block.fill(b'x');
            let block = block.into_shared();
            (0..64).map(move |line| {
                Ok::<_, SourceError>(document(&block.slice(line << 10..(line + 1) << 10), line))
            })
        });
        let mut sink = Kept { forget: true, ..Kept::default() };
        let summary = pipeline.run(documents, &mut sink, &Cancel::new(), &mut |_| {}).unwrap();
        assert_eq!(summary.documents as usize, megabytes << 10);
        assert_eq!(pipeline.source_pool().outstanding().len(), 0);
        (pool.stats().peak_bytes, pipeline.source_pool().stats().peak_bytes)
    };
    let small = peak(3);
    assert_eq!(peak(30), small);
    assert!(small.0 <= budget, "{small:?} of {budget}");
    // The model's own weights are all that is left.
    let weights = pool.outstanding().len();
    drop((pipeline, encoder));
    assert!(weights > 0 && pool.outstanding().is_empty());
}

#[test]
fn more_threads_than_any_budget_has_room_for_are_refused() {
    for threads in [usize::MAX, usize::MAX / 2, usize::MAX / 1_000_000] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let error = Pipeline::new(small_encoder(), threads, pool()).unwrap_err();
        assert!(matches!(error, EmbedError::BudgetTooSmall { .. }), "{error}");
    }
}

#[test]
fn a_budget_that_is_too_small_is_refused_with_the_least_that_works() {
    let directory = small_directory();
    for threads in [1, 2, 9] {
        let threads = NonZeroUsize::new(threads).unwrap();
        for precision in [Precision::F32, Precision::Bf16, Precision::Int16, Precision::Int8] {
            let least = Pipeline::least_memory(directory.path(), precision, threads).unwrap();
            let open = |budget| {
                let pool = MemoryPool::builder().build_bounded(budget);
                let encoder = Encoder::open(directory.path(), precision, &pool)?;
                Pipeline::new(&encoder, threads, &pool)
            };
            let run = open(least).unwrap().start(endless(&block("word")), &Cancel::new()).unwrap();
            assert!(run.take(10).all(|item| item.is_ok()));
            let error = open(least - 1).unwrap_err();
            assert!(
                matches!(&error, EmbedError::BudgetTooSmall { budget, least: said } if (*budget, *said) == (least - 1, least)),
                "{error}"
            );
        }
    }
}

#[test]
fn what_others_have_rented_of_a_pool_is_left_to_them() {
    let directory = small_directory();
    let least = Pipeline::least_memory(directory.path(), Precision::F32, NonZeroUsize::MIN).unwrap();
    let budget = least + (8 << 20);
    let pool = MemoryPool::builder().build_bounded(budget);
    let encoder = Encoder::open(directory.path(), Precision::F32, &pool).unwrap();
    let mut worker = encoder.worker(&pool).unwrap();
    let taken = pool.share(pool.free() - (1 << 20)).unwrap();
    let error = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool).map(|_| ()).unwrap_err();
    assert!(matches!(error, EmbedError::BudgetTooSmall { least, .. } if least > budget), "{error}");
    drop(taken);
    let vectors = worker.embed(std::iter::once(Ok("word"))).unwrap();
    let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool).unwrap();
    let mut run = pipeline.start(endless(&block("word")), &Cancel::new()).unwrap();
    assert_eq!(run.next().unwrap().unwrap().vectors[..8], vectors[..]);
    run.join();
}

#[test]
fn documents_that_are_done_are_passed_over() {
    let shared = block("word");
    let pipeline = pipeline(2, &small_pool()).skip(70);
    let mut sink = Kept::default();
    let documents = endless(&shared).take(100);
    let summary = pipeline.run(documents, &mut sink, &Cancel::new(), &mut |_| {}).unwrap();
    assert_eq!((summary.documents, sink.texts.len()), (30, 30));
}

#[test]
fn a_panic_of_the_source_is_an_error() {
    let shared = block("word");
    let documents = (0..1000).map(move |line| {
        assert!(line < 500, "the source breaks");
        Ok(document(&shared, line))
    });
    let error = run(2, documents, &mut Kept::default()).unwrap_err();
    assert_eq!(error.to_string(), "the stage source panicked: the source breaks");
}
