//! Everything that needs `unsafe`: control blocks, reservations, leases and pooled memory.
//!
//! # Invariants
//! Every `// SAFETY:` in this folder leans on one of these.
//!
//! - **R1, type stability.** Control blocks and thread records are never freed. A reference to one is `'static`,
//!   and a stale handle may read one at any time.
//! - **R2, one holder.** A block has at most one holder at a time: an [`Owned`], the [`Shared`]s of one count, a [`Rest`]
//!   among them, the [`Lease`] or [`Draining`] of its present generation, a free list, a pool, the limbo, or the party that has just
//!   won the exchange that ended a drained lease. Only the holder begins leases, ends them, replaces the source
//!   and releases the block.
//! - **R3, reservations hold.** From a successful `enter` or `pin` until its end, the generation's lease does not
//!   become `Exclusive` again, so there is no owner, no release and no next lease.
//! - **R4, initialised.** Memory behind a window is initialised and stays so until the release.
//! - **R5, static sites.** Call sites are `&'static Location`s; one read from a block may be another lease's, never
//!   dangling.
//! - **R6, one writer.** Nobody writes elements that a share covers. Of a block with shares there is at most one [`Rest`],
//!   which counts as a share; no other share covers its elements, so it may write them while others read theirs.
//!
//! # Orderings
//! Each has a comment that names its partner, and a model that fails when it is weakened (`cargo xtask orderings`). Models have
//! the fences of the kernel (`gates`), are told of records that are reached before they need have been made, and try every order of
//! full fences.
//!
//! # The file to open
//! `word` the state of a lease; `block` the control block; `record` who is inside; `fence` and `membarrier` the asymmetric fence,
//! `gates` that of models; `reserve` entering and leaving; `lease` beginning and ending; `limbo` ended leases nobody waits for;
//! `window`, `owned`, `rest`, `handle` the same with elements; `source` where memory comes from; `store` pooled memory; `scope`
//! and `wait` lending for the time of a call.

mod block;
mod clock;
mod fence;
#[cfg(leasehold_loom)]
mod gates;
mod handle;
mod lease;
mod limbo;
#[cfg(all(target_os = "linux", not(any(leasehold_loom, leasehold_fences, miri))))]
mod membarrier;
mod owned;
mod record;
mod reserve;
mod rest;
mod scope;
mod source;
mod store;
mod wait;
mod window;
mod word;

pub(crate) use block::{Site, Sites};
pub(crate) use fence::{heavy_barriers, is_asymmetric};
pub use handle::Hold;
pub(crate) use handle::{
    Draining, Held, HeldMut, Lease, Origin, Part, Pinned, PinnedMut, View, lease, lease_read_only,
    lease_shared,
};
pub(crate) use lease::InUse;
pub(crate) use limbo::flush;
pub use owned::{Owned, Shared};
pub(crate) use record::{leaked_spans, records};
pub use rest::Rest;
pub(crate) use scope::{lend, lend_mut};
pub(crate) use store::{ALIGNMENT, ClassCount, Outstanding, Queued, Settings, Shortage, Store};
pub(crate) use wait::{block_on, until_drained};
pub(crate) use window::{Miscast, OutOfRange, resolve};

#[cfg(all(test, leasehold_loom))]
mod models;
