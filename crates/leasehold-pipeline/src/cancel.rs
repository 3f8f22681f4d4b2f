//! A request to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A request to stop, shared by whoever may ask and whoever must obey.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: Arc<AtomicBool>,
}

impl Cancel {
    /// Makes a request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to stop. A run notices between two units of work and gives every buffer back.
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data, and the channels order everything else.
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // Relaxed: as in `cancel`.
        self.asked.load(Ordering::Relaxed)
    }
}
