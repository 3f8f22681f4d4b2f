//! Time in milliseconds since the process first asked, for stamps and for the decay of idle memory.

use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// The time now. Never zero, which stands for no time at all.
pub(super) fn now() -> u64 {
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}
