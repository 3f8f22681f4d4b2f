//! Who holds what.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::raw::{Outstanding, Store};

/// A buffer that is rented; see [`MemoryPool::outstanding`](crate::MemoryPool::outstanding).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OutstandingRent {
    /// Where it was rented.
    pub rented_at: Option<&'static Location<'static>>,
    /// Bytes in the buffer: those of its size class, which may be a quarter more than were asked for. How many those were
    /// nobody notes.
    pub bytes: usize,
    /// How long ago. A thread looks at the clock every few milliseconds of steady use only, so it may be less by as much.
    pub age: Duration,
    /// Whether it is leased, or still in use under a lease that is over.
    pub leased: bool,
    /// Pins that keep it.
    pub pins: usize,
    /// Spans that keep it.
    pub spans: usize,
}

pub(super) fn list(store: &Store) -> Vec<OutstandingRent> {
    store.outstanding().into_iter().map(OutstandingRent::from).collect()
}

impl From<Outstanding> for OutstandingRent {
    fn from(rent: Outstanding) -> OutstandingRent {
        OutstandingRent {
            rented_at: rent.site,
            bytes: rent.bytes,
            age: Duration::from_millis(rent.age),
            leased: rent.leased,
            pins: rent.pins,
            spans: rent.spans,
        }
    }
}

impl fmt::Display for OutstandingRent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, rented at ", self.bytes)?;
        match self.rented_at {
            Some(site) => write!(f, "{site}")?,
            None => f.write_str("a place unknown")?,
        }
        write!(f, ", {} ms ago", self.age.as_millis())?;
        if self.leased {
            write!(f, ", leased with {} spans and {} pins", self.spans, self.pins)?;
        }
        Ok(())
    }
}

/// Fails a test that leaks; see [`MemoryPool::leak_guard`](crate::MemoryPool::leak_guard).
#[must_use = "it looks when it is dropped"]
pub struct LeakGuard {
    store: Arc<Store>,
    /// When the guard was made, in milliseconds.
    since: u64,
}

impl LeakGuard {
    pub(super) fn new(store: &Arc<Store>) -> LeakGuard {
        LeakGuard { store: Arc::clone(store), since: store.draw_line() }
    }

    /// What was rented since the guard was made, and is still.
    pub fn leaks(&self) -> Vec<OutstandingRent> {
        let mut rents = self.store.outstanding();
        rents.retain(|rent| rent.since >= self.since);
        rents.into_iter().map(OutstandingRent::from).collect()
    }

    /// As [`leaks`](Self::leaks), if there are any after some looks: another thread may be about to return what was revoked
    /// here.
    fn settled_leaks(&self) -> Vec<OutstandingRent> {
        let mut leaks = self.leaks();
        for _ in 0..LOOKS {
            if leaks.is_empty() {
                break;
            }
            std::thread::yield_now();
            leaks = self.leaks();
        }
        leaks
    }
}

/// Looks at what is rented until it is taken for a leak.
const LOOKS: usize = 50;

impl fmt::Debug for LeakGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakGuard").field("leaks", &self.leaks().len()).finish_non_exhaustive()
    }
}

impl Drop for LeakGuard {
    #[track_caller]
    fn drop(&mut self) {
        let leaks = self.settled_leaks();
        if leaks.is_empty() || std::thread::panicking() {
            return;
        }
        let lines: Vec<_> = leaks.iter().map(|leak| format!("\n  {leak}")).collect();
        panic!("{} rents did not come back:{}", leaks.len(), lines.concat());
    }
}
