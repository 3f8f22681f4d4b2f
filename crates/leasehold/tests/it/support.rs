//! What the tests share: a runtime of a few lines, a watchdog, and elements that count their drops.

use std::any::Any;
use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls once, for nobody in particular.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that counts how often it was called.
#[derive(Default)]
pub struct Bell(AtomicUsize);

impl Bell {
    pub fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        pin!(future).poll(&mut Context::from_waker(&waker))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Fails the test when `body`, which runs on a thread of its own, neither returns nor panics for a long time.
pub fn bounded<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, outcome) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = catch(body);
        done.send(()).unwrap();
        result
    });
    let patience = Duration::from_secs(if cfg!(miri) { 600 } else { 30 });
    outcome.recv_timeout(patience).expect("the test hangs");
    thread.join().unwrap().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Leaks a value, and remembers where, so that a leak checker knows that it is on purpose.
pub fn leak<T: Any + Sync>(value: T) -> &'static T {
    static LEAKED: Mutex<Vec<&(dyn Any + Sync)>> = Mutex::new(Vec::new());
    let leaked: &'static T = Box::leak(Box::new(value));
    LEAKED.lock().unwrap().push(leaked);
    leaked
}

/// The panic of `body`, or what it gives.
pub fn catch<R>(body: impl FnOnce() -> R) -> thread::Result<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
}

/// Runs the test `name` once more, alone in a process of its own, and says how that ended: `None` in that process,
/// which then does the work.
pub fn in_its_own_process(name: &str) -> Option<std::process::Output> {
    const ALONE: &str = "LEASEHOLD_TEST_ALONE";
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    Some(output)
}

/// `true` in the process that does the work; otherwise runs it and passes its failure on.
pub fn alone(name: &str) -> bool {
    let Some(output) = in_its_own_process(name) else { return true };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("1 passed"), "the test did not run: {text}");
    false
}

/// Counts the drops of elements: each must be dropped exactly once.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Vec<AtomicUsize>>);

impl Tally {
    pub fn new(len: usize) -> Tally {
        Tally(Arc::new((0..len).map(|_| AtomicUsize::new(0)).collect()))
    }

    pub fn element(&self, index: usize) -> Element {
        Element { index, tally: self.clone(), panics: false }
    }

    pub fn elements(&self) -> Vec<Element> {
        (0..self.0.len()).map(|index| self.element(index)).collect()
    }

    pub fn drops(&self) -> Vec<usize> {
        self.0.iter().map(|count| count.load(Ordering::SeqCst)).collect()
    }

    pub fn all(&self, times: usize) -> bool {
        self.drops().iter().all(|&drops| drops == times)
    }
}

/// An element that says when it is dropped.
#[derive(Debug)]
pub struct Element {
    pub index: usize,
    pub panics: bool,
    tally: Tally,
}

impl Drop for Element {
    fn drop(&mut self) {
        self.tally.0[self.index].fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "element {} panics in its drop", self.index);
    }
}

/// A zero-sized element that counts its drops process-wide, for one test at a time.
pub struct Nothing;

pub static NOTHINGS_DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Nothing {
    fn drop(&mut self) {
        NOTHINGS_DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

/// Two threads take turns: a value on one side, a signal on the other.
#[derive(Clone, Default)]
pub struct Flag(Arc<AtomicBool>);

impl Flag {
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn wait(&self) {
        while !self.is_raised() {
            thread::yield_now();
        }
    }
}
