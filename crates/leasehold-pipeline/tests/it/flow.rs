//! Stages and queues: order, bounds, and every way for a run to end.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use leasehold::{BoundedPool, MemoryOwner, MemoryPool};
use leasehold_pipeline::{
    Cancel,
    flow::{Emit, Flow, FlowError, Run, Stage, StageError, Stopped},
};

/// Numbers in no order, the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Gives others a chance to overtake.
fn stumble(seed: u64) {
    for _ in 0..Dice(seed).below(6) {
        thread::yield_now();
    }
}

/// What a step of a random pipeline does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u64),
    DropMultiples(u64),
    /// As many copies as the number modulo this.
    Repeat(u64),
    /// Sums of so many, and of what is left.
    Sum(u64),
}

impl Step {
    fn random(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::Add(dice.below(100)),
            1 => Self::DropMultiples(2 + dice.below(3)),
            2 => Self::Repeat(1 + dice.below(9)),
            _ => Self::Sum(1 + dice.below(5)),
        }
    }

    /// The oracle: all items, one after the other.
    fn apply(self, items: &[u64]) -> Vec<u64> {
        match self {
            Self::Add(by) => items.iter().map(|item| item + by).collect(),
            Self::DropMultiples(of) => items.iter().copied().filter(|item| item % of != 0).collect(),
            Self::Repeat(most) => items.iter().flat_map(|item| vec![*item; (item % most) as usize]).collect(),
            Self::Sum(count) => items.chunks(count as usize).map(|chunk| chunk.iter().sum()).collect(),
        }
    }
}

struct Random {
    step: Step,
    kept: Vec<u64>,
}

impl Stage for Random {
    type Input = u64;
    type Output = u64;

    fn process(&mut self, item: u64, output: &mut Emit<'_, u64>) -> Result<(), StageError> {
        stumble(item);
        self.kept.push(item);
        match self.step {
            Step::Sum(count) if (self.kept.len() as u64) < count => Ok(()),
            _ => self.finish(output),
        }
    }

    fn finish(&mut self, output: &mut Emit<'_, u64>) -> Result<(), StageError> {
        for item in self.step.apply(&std::mem::take(&mut self.kept)) {
            output.send(item)?;
            stumble(item + 1);
        }
        Ok(())
    }
}

#[test]
fn whatever_the_stages_and_their_workers_the_result_is_that_of_one_after_the_other() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let items: Vec<u64> = (0..dice.below(300)).map(|_| dice.below(1000)).collect();
        let mut expected = items.clone();
        let mut flow = Flow::source("items", items.into_iter().map(Ok::<_, StageError>));
        for _ in 0..dice.below(5) {
            let step = Step::random(&mut dice);
            let workers = if matches!(step, Step::Sum(_)) { 1 } else { 1 + dice.below(4) as usize };
            expected = step.apply(&expected);
            flow = flow
                .room(1 + dice.below(5) as usize)
                .parallel(format!("{step:?}"), workers, || Random { step, kept: Vec::new() });
        }
        let mut run = flow.room(1 + dice.below(5) as usize).start(&Cancel::new()).unwrap();
        let mut found = Vec::new();
        for item in &mut run {
            found.push(item.unwrap());
            stumble(found.len() as u64);
        }
        assert_eq!(found, expected, "seed {seed}: {run:?}");
        assert!(run.next().is_none());
    }
}

/// Something that counts how many of its kind there are.
struct Counted {
    number: usize,
    alive: Arc<Alive>,
}

#[derive(Default)]
struct Alive {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counted {
    fn new(number: usize, alive: &Arc<Alive>) -> Self {
        let now = alive.now.fetch_add(1, Ordering::SeqCst) + 1;
        alive.most.fetch_max(now, Ordering::SeqCst);
        Self { number, alive: Arc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Passes items on, and does something once on the way.
struct Pass<F>(F);

impl<F: FnMut(&Counted) -> Result<(), StageError> + Send + 'static> Stage for Pass<F> {
    type Input = Counted;
    type Output = Counted;

    fn process(&mut self, item: Counted, output: &mut Emit<'_, Counted>) -> Result<(), StageError> {
        (self.0)(&item)?;
        Ok(output.send(item)?)
    }
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is broken")
    }
}

impl std::error::Error for Broken {}

/// The stages of the run below.
const STAGES: [&str; 4] = ["source", "first", "second", "third"];

/// An endless run through stages with one worker and three, in which `act` is told of each item in each stage.
fn endless(
    alive: &Arc<Alive>,
    cancel: &Cancel,
    act: impl Fn(&str, &Counted) -> Result<(), StageError> + Clone + Send + 'static,
) -> Run<Counted> {
    let alive = Arc::clone(alive);
    let at = |stage: &'static str| {
        let act = act.clone();
        move |item: &Counted| act(stage, item)
    };
    let first = at("source");
    let source = (0..).map(move |number| {
        let item = Counted::new(number, &alive);
        first(&item).map(|()| item)
    });
    Flow::source("source", source)
        .room(3)
        .stage("first", Pass(at("first")))
        .room(2)
        .parallel("second", 3, || Pass(at("second")))
        .room(2)
        .stage("third", Pass(at("third")))
        .room(2)
        .start(cancel)
        .unwrap()
}

/// Takes what comes until the run ends, and tells how.
fn end_of(run: &mut Run<Counted>) -> FlowError {
    let mut next = 0;
    loop {
        match run.next().expect("an endless run does not come to its end") {
            Ok(item) => assert_eq!(item.number, next),
            Err(error) => break error,
        }
        next += 1;
    }
}

#[test]
fn an_error_of_any_stage_ends_the_run_and_says_which() {
    for broken in STAGES {
        let alive = Arc::default();
        let mut run = endless(&alive, &Cancel::new(), move |stage, item| {
            if stage == broken && item.number == 20 { Err(Broken.into()) } else { Ok(()) }
        });
        match end_of(&mut run) {
            FlowError::Stage { stage, source } => {
                assert_eq!(stage, broken);
                assert!(source.is::<Broken>());
            }
            error => panic!("{error}"),
        }
        assert!(run.next().is_none(), "nothing comes after an error");
        run.join();
        assert_eq!(alive.now.load(Ordering::SeqCst), 0, "everything was dropped");
    }
}

#[test]
fn a_panic_of_any_stage_is_an_error() {
    for broken in STAGES {
        let alive = Arc::default();
        let mut run = endless(&alive, &Cancel::new(), move |stage, item| {
            assert!(stage != broken || item.number < 20, "item {} is too much", item.number);
            Ok(())
        });
        match end_of(&mut run) {
            FlowError::Panicked { stage, message } => {
                assert_eq!(stage, broken);
                assert!(message.starts_with("item 2"), "{message}");
            }
            error => panic!("{error}"),
        }
        run.join();
        assert_eq!(alive.now.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_run_can_be_cancelled_from_within_any_stage() {
    for asking in STAGES {
        let alive = Arc::default();
        let cancel = Cancel::new();
        let asked = cancel.clone();
        let mut run = endless(&alive, &cancel, move |stage, item| {
            if stage == asking && item.number == 20 {
                asked.cancel();
            }
            Ok(())
        });
        assert!(matches!(end_of(&mut run), FlowError::Cancelled));
        run.join();
        assert_eq!(alive.now.load(Ordering::SeqCst), 0);
    }
}

/// Passes on that another run, which it uses, has been stopped.
struct GivesUp;

impl Stage for GivesUp {
    type Input = u64;
    type Output = u64;

    fn process(&mut self, number: u64, output: &mut Emit<'_, u64>) -> Result<(), StageError> {
        if number == 3 { Err(Stopped.into()) } else { Ok(output.send(number)?) }
    }
}

#[test]
fn a_stage_that_gives_up_by_itself_ends_the_run() {
    for workers in [1, 2] {
        let numbers = (0..).map(Ok::<u64, StageError>);
        let run = Flow::source("numbers", numbers).parallel("gives up", workers, || GivesUp);
        let last = run.start(&Cancel::new()).unwrap().last().unwrap();
        assert!(matches!(last, Err(FlowError::Cancelled)), "{last:?}");
    }
}

#[test]
fn a_run_that_is_cancelled_before_it_starts_gives_nothing_but_that() {
    let alive = Arc::default();
    let cancel = Cancel::new();
    cancel.cancel();
    let mut run = endless(&alive, &cancel, |_, _| Ok(()));
    assert!(matches!(run.next(), Some(Err(FlowError::Cancelled))));
    assert!(run.next().is_none());
    run.join();
    assert_eq!(alive.now.load(Ordering::SeqCst), 0);
}

#[test]
fn cancelling_wakes_who_waits_for_a_source_that_gives_nothing() {
    let (send, receive) = mpsc::channel::<u64>();
    let source = receive.into_iter().map(Ok::<_, StageError>);
    let cancel = Cancel::new();
    let mut run = Flow::source("silence", source).start(&cancel).unwrap();
    let waiting = thread::spawn(move || run.next());
    cancel.cancel();
    assert!(matches!(waiting.join().unwrap(), Some(Err(FlowError::Cancelled))));
    drop(send);
}

#[test]
fn a_run_that_is_dropped_ends_by_itself() {
    let alive: Arc<Alive> = Arc::default();
    let mut run = endless(&alive, &Cancel::new(), |_, _| Ok(()));
    for expected in 0..10 {
        assert_eq!(run.next().unwrap().unwrap().number, expected);
    }
    drop(run);
    while alive.now.load(Ordering::SeqCst) > 0 {
        thread::yield_now();
    }
}

#[test]
fn one_cancel_ends_one_run_when_it_is_that_runs_own() {
    let (one, other) = (Cancel::new(), Cancel::new());
    let alive = Arc::default();
    let mut stopped = endless(&alive, &one, |_, _| Ok(()));
    let mut going = endless(&alive, &other, |_, _| Ok(()));
    one.cancel();
    end_of(&mut stopped);
    for expected in 0..50 {
        assert_eq!(going.next().unwrap().unwrap().number, expected);
    }
    // Dropping a run does not ask its `Cancel`, which others may share.
    drop(going);
    assert!(!other.is_cancelled());
}

#[test]
fn a_slow_consumer_bounds_what_is_under_way() {
    let alive: Arc<Alive> = Arc::default();
    let mut run = endless(&alive, &Cancel::new(), |_, _| Ok(()));
    for _ in 0..200 {
        stumble(3);
        run.next().unwrap().unwrap();
    }
    // The room of each queue and one more, one in the hands of each worker and of the consumer.
    let bound = (3 + 2 + 2 + 2) + 4 + (1 + 1 + 3 + 1) + 1;
    let most = alive.most.load(Ordering::SeqCst);
    assert!(most <= bound, "{most} items were there at once");
    run.join();
}

/// Sends many items for each.
struct Many {
    count: usize,
    alive: Arc<Alive>,
}

impl Stage for Many {
    type Input = usize;
    type Output = Counted;

    fn process(&mut self, number: usize, output: &mut Emit<'_, Counted>) -> Result<(), StageError> {
        for inner in 0..self.count {
            stumble((number + inner) as u64);
            output.send(Counted::new(number * self.count + inner, &self.alive))?;
        }
        Ok(())
    }
}

#[test]
fn a_stage_that_makes_many_of_one_does_not_pile_them_up() {
    let alive: Arc<Alive> = Arc::default();
    let make = || Many { count: 100, alive: Arc::clone(&alive) };
    let source = (0..20).map(Ok::<_, StageError>);
    let run = Flow::source("numbers", source).parallel("many", 4, make).room(5).start(&Cancel::new());
    let mut run = run.unwrap();
    for (expected, item) in (&mut run).enumerate() {
        assert_eq!(item.unwrap().number, expected);
    }
    let metrics = run.metrics();
    assert_eq!((metrics[0].given, metrics[1].taken, metrics[1].given), (20, 20, 2000));
    assert_eq!((&*metrics[1].name, metrics[1].workers), ("many", 4));
    assert!(metrics[1].busy > Duration::ZERO);
    let most = alive.most.load(Ordering::SeqCst);
    assert!(most <= 5 + 1 + 4 + 1, "{most} items were there at once");
    run.join();
}

#[test]
fn an_endless_stage_ends_when_nobody_listens() {
    let alive: Arc<Alive> = Arc::default();
    let endless = Many { count: usize::MAX, alive: Arc::clone(&alive) };
    let source = std::iter::once(Ok::<_, StageError>(0));
    let mut run = Flow::source("one", source).stage("endless", endless).start(&Cancel::new()).unwrap();
    assert_eq!(run.by_ref().take(100).map(|item| item.unwrap().number).last(), Some(99));
    run.join();
    assert_eq!(alive.now.load(Ordering::SeqCst), 0);
}

/// Puts numbers together, four at a time.
#[derive(Default)]
struct Fours {
    kept: Vec<u64>,
}

impl Stage for Fours {
    type Input = u64;
    type Output = Vec<u64>;

    fn process(&mut self, number: u64, output: &mut Emit<'_, Vec<u64>>) -> Result<(), StageError> {
        self.kept.push(number);
        if self.kept.len() == 4 { self.idle(output) } else { Ok(()) }
    }

    fn finish(&mut self, output: &mut Emit<'_, Vec<u64>>) -> Result<(), StageError> {
        self.idle(output)
    }

    fn idle(&mut self, output: &mut Emit<'_, Vec<u64>>) -> Result<(), StageError> {
        match std::mem::take(&mut self.kept) {
            kept if kept.is_empty() => Ok(()),
            kept => Ok(output.send(kept)?),
        }
    }
}

#[test]
fn what_a_stage_keeps_comes_out_when_its_input_pauses() {
    let (send, receive) = mpsc::channel();
    let source = receive.into_iter().map(Ok::<u64, StageError>);
    let mut run =
        Flow::source("slow", source).stage("fours", Fours::default()).start(&Cancel::new()).unwrap();
    for number in 0..6 {
        send.send(number).unwrap();
    }
    // The source is not at its end, and yet everything comes.
    let mut found = Vec::new();
    while found.len() < 6 {
        let four = run.next().unwrap().unwrap();
        assert!(four.len() <= 4);
        found.extend(four);
    }
    send.send(6).unwrap();
    assert_eq!(run.next().unwrap().unwrap(), [6]);
    drop(send);
    assert!(run.next().is_none());
    assert_eq!(found, [0, 1, 2, 3, 4, 5]);
}

/// Rents a block for each number, and one while it works.
struct Rents(BoundedPool);

impl Stage for Rents {
    type Input = usize;
    type Output = MemoryOwner<u8>;

    fn process(&mut self, length: usize, output: &mut Emit<'_, Self::Output>) -> Result<(), StageError> {
        let scratch = self.0.rent_blocking::<u8>(length)?;
        stumble(scratch.len() as u64);
        Ok(output.send(scratch)?)
    }
}

#[test]
fn a_run_that_is_dropped_in_the_middle_gives_every_block_back() {
    let pool = MemoryPool::builder().build_bounded(1 << 20);
    for taken in [0, 1, 7, 40] {
        let source = (100..).map(Ok::<usize, StageError>);
        let mut run = Flow::source("sizes", source)
            .parallel("rent", 3, || Rents(pool.clone()))
            .room(4)
            .start(&Cancel::new())
            .unwrap();
        let kept: Vec<_> = run.by_ref().take(taken).map(Result::unwrap).collect();
        assert_eq!(kept.len(), taken);
        run.join();
        assert_eq!(pool.outstanding().len(), taken);
        drop(kept);
        assert!(pool.outstanding().is_empty());
    }
}

/// Wakes a thread that runs a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn a_task_gets_what_a_thread_gets() {
    let source = (0..100).map(Ok::<u64, StageError>);
    let step = Step::Repeat(3);
    let make = || Random { step, kept: Vec::new() };
    let flow = Flow::source("numbers", source).parallel("repeat", 3, make);
    let mut run = flow.room(2).start(&Cancel::new()).unwrap();
    let found = block_on(async {
        let mut found = Vec::new();
        while let Some(item) = run.next_async().await {
            found.push(item.unwrap());
        }
        found
    });
    assert_eq!(found, step.apply(&(0..100).collect::<Vec<_>>()));
}

#[test]
fn a_future_that_is_dropped_loses_nothing() {
    let (send, receive) = mpsc::channel();
    let source = receive.into_iter().map(Ok::<u64, StageError>);
    let mut run = Flow::source("slow", source).start(&Cancel::new()).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(run.next_async()).poll(&mut context).is_pending());
    send.send(1).unwrap();
    assert_eq!(block_on(run.next_async()).unwrap().unwrap(), 1);
    drop(send);
    assert!(block_on(run.next_async()).is_none());
}

#[test]
fn cancelling_wakes_a_task() {
    let (send, receive) = mpsc::channel::<u64>();
    let cancel = Cancel::new();
    let source = receive.into_iter().map(Ok::<_, StageError>);
    let mut run = Flow::source("silence", source).start(&cancel).unwrap();
    let waiting = thread::spawn(move || block_on(run.next_async()));
    cancel.cancel();
    assert!(matches!(waiting.join().unwrap(), Some(Err(FlowError::Cancelled))));
    drop(send);
}

#[test]
fn what_is_registered_with_a_cancel_is_called_once_or_taken_back() {
    let cancel = Cancel::new();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let call = |name| {
        let calls = Arc::clone(&calls);
        move || calls.lock().unwrap().push(name)
    };
    let _kept = cancel.on_cancel(call("kept"));
    drop(cancel.on_cancel(call("taken back")));
    cancel.cancel();
    cancel.cancel();
    let _late = cancel.on_cancel(call("late"));
    assert_eq!(*calls.lock().unwrap(), ["kept", "late"]);
}

#[test]
fn a_flow_can_be_put_together_on_one_thread_and_started_on_another() {
    let flow = Flow::source("numbers", (0..10).map(Ok::<u64, StageError>))
        .parallel("one", 2, || Random { step: Step::Add(1), kept: Vec::new() })
        .stage("fours", Fours::default());
    let started = thread::spawn(move || flow.start(&Cancel::new()));
    let fours: Vec<Vec<u64>> = started.join().unwrap().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(fours.concat(), (1..=10).collect::<Vec<_>>());
}
