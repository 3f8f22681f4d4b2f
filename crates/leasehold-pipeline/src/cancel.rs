//! A request to stop.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A request to stop, shared by whoever may ask and whoever must obey.
///
/// # Examples
/// ```
/// use leasehold_pipeline::Cancel;
/// use std::sync::mpsc;
///
/// let cancel = Cancel::new();
/// let (send, receive) = mpsc::channel();
/// let _registration = cancel.on_cancel(move || drop(send.send("stop")));
/// cancel.cancel();
/// assert_eq!(receive.recv(), Ok("stop"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    shared: Arc<Shared>,
}

/// Keeps a call registered with [`Cancel::on_cancel`]; dropping it takes the call back.
#[derive(Debug)]
#[must_use = "dropping it takes the call back"]
pub struct OnCancel {
    cancel: Cancel,
    number: u64,
}

#[derive(Default)]
struct Shared {
    asked: AtomicBool,
    calls: Mutex<Calls>,
}

type Call = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Calls {
    next: u64,
    waiting: Vec<(u64, Call)>,
}

impl Cancel {
    /// Makes a request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to stop: wakes whoever waits in a run, which gives every buffer back.
    ///
    /// Calls what was registered with [`on_cancel`](Self::on_cancel) on this thread.
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data. Set before the lock, so that who registers later sees it.
        self.shared.asked.store(true, Ordering::Relaxed);
        let calls = std::mem::take(&mut self.shared.calls().waiting);
        for (_, call) in calls {
            call();
        }
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // Relaxed: as in `cancel`.
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// Has something called when somebody asks, or at once where somebody has.
    ///
    /// Threads that sleep are woken this way, so nobody has to look again and again.
    pub fn on_cancel(&self, call: impl FnOnce() + Send + 'static) -> OnCancel {
        let mut calls = self.shared.calls();
        let number = calls.next;
        calls.next += 1;
        if self.is_cancelled() {
            drop(calls);
            call();
        } else {
            calls.waiting.push((number, Box::new(call)));
        }
        OnCancel { cancel: self.clone(), number }
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        let mut calls = self.cancel.shared.calls();
        let at = calls.waiting.iter().position(|(number, _)| *number == self.number);
        let call = at.map(|at| calls.waiting.swap_remove(at));
        // What it captured is dropped after the lock.
        drop(calls);
        drop(call);
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Nothing that can panic runs under the lock.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("asked", &self.asked).finish_non_exhaustive()
    }
}
