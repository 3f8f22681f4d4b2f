//! Time in milliseconds since the process first asked, for stamps and for the decay of idle memory.

#[cfg(not(leasehold_loom))]
use std::{sync::OnceLock, time::Instant};

#[cfg(not(leasehold_loom))]
static START: OnceLock<Instant> = OnceLock::new();

/// The time now. Never zero, which stands for no time at all.
#[cfg(not(leasehold_loom))]
pub(super) fn now() -> u64 {
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// In models time stands still.
#[cfg(leasehold_loom)]
pub(super) fn now() -> u64 {
    1
}
