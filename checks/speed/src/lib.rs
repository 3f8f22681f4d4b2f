//! What the benches of Leasehold share: rows that are measured in turns, clocks, pairs of pinned threads, and a workload to
//! replay.
//!
//! Figures of a machine that others use too drift by a factor of two within a minute. So every row is measured for a
//! millisecond at a time, in turns with all the others, the best turn counts, and what is printed beside the
//! nanoseconds is the ratio to one locked instruction, measured in the same turns.

mod buffers;
mod channel;
#[cfg_attr(target_os = "linux", expect(unsafe_code, reason = "clocks and processor sets are system calls"))]
mod clock;
#[cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "an empty instruction sequence is the cheapest way to hide a pointer")
)]
mod opaque;
mod pair;
mod ring;
mod table;
mod trace;

pub use buffers::{MANY, at_a_time, at_once, elsewhere, seen, through_a_channel};
pub use channel::item_by_item;
pub use clock::{Clock, OnProcessor, processors};
pub use opaque::opaque;
pub use pair::{Busy, beside};
pub use ring::handover;
pub use table::{Goal, Row, Sample, Table, repeat};
pub use trace::Trace;

/// What one locked instruction cost on the machine for which the goals were set, in nanoseconds.
pub const LOCKED: f64 = 4.75;
