//! Owners, shared owners, revocable leases, pins and pools for heap-stable buffers.
#![doc = ""]

mod counters;
mod error;
mod handle;
mod lessor;
#[expect(unsafe_code, reason = "managers answer for memory of any origin")]
mod manager;
mod memory;
mod owner;
mod pool;
mod ragged;
#[expect(unsafe_code, reason = "the one place where memory is handled by hand; see its invariants")]
mod raw;
mod scope;
mod shared;
mod span;
mod sync;

pub use counters::{Counters, counters, reclaim_now};
pub use error::{
    HeldByThisThread, InUse, NotAdjacent, NotExclusive, OutOfRange, RaggedFull, Refused, RentError, Revoked,
};
pub use handle::{MemoryHandle, MemoryHandleMut};
pub use lessor::{Exclusive, LeaseKind, Lessor, ReadOnly, Returned, Revocation, SharedReadOnly};
#[cfg(unix)]
pub use manager::PageLocked;
#[cfg(feature = "memmap2")]
pub use manager::{FileMapping, FileMappingMut};
pub use manager::{MemoryManager, MemoryManagerMut, SharedSlice};
pub use memory::{Memory, ReadOnlyMemory};
pub use owner::MemoryOwner;
pub use pool::MemoryPool;
pub use ragged::Ragged;
pub use scope::{scope, scope_read_only};
pub use shared::SharedOwner;
pub use span::{Span, SpanMut};
