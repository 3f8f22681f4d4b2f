//! Owners, shared owners, revocable leases, pins and pools for heap-stable buffers: what `Memory<T>` is to .NET,
//! without the rules that only people could keep.
//!
//! A buffer has one [`MemoryOwner`], which is a `[T]` with nothing to check. It can become a [`SharedOwner`], which many clone
//! and only read. Or it can be **leased**: the owner turns into a [`Lessor`], the right to get the buffer back, and a
//! handle that can be stored, sent and forgotten, and that gives access only while the lease goes on.
//!
//! ```
//! use leasehold::MemoryPool;
//!
//! let mut owner = MemoryPool::shared().rent::<u8>(5);
//! owner.copy_from_slice(b"hello");
//!
//! let (lessor, memory) = owner.lease_read_only(); // `memory` is `Copy`
//! let reader = std::thread::spawn(move || memory.span().map(|span| span.to_ascii_uppercase()));
//! assert_eq!(reader.join().unwrap()?, b"HELLO");
//!
//! let owner = lessor.revoke().wait().unwrap(); // the buffer is ours again,
//! let error = memory.span().unwrap_err(); //      and a stale handle says so:
//! println!("{error}"); // the lease is over: revoked at src/lib.rs:10:20; leased at ..; created at ..
//! # drop(owner);
//! # Ok::<_, leasehold::Revoked>(())
//! ```
//!
//! # Which one
//!
//! | I want | use | access costs |
//! | --- | --- | --- |
//! | a buffer that moves between threads and tasks | [`MemoryOwner`] | nothing |
//! | to read one buffer in many places for as long as they like | [`SharedOwner`] | nothing; a clone is one atomic |
//! | to lend a buffer and get it back | [`MemoryOwner::lease`], [`MemoryOwner::lease_read_only`] | a nanosecond and a half |
//! | to give an address to the kernel, a device or C | [`Memory::pin`], [`ReadOnlyMemory::pin`] | two atomics, once |
//! | to lend a local array to an actor or a task | [`scope`] | as a lease |
//! | buffers again and again | [`MemoryPool`] | a few nanoseconds to rent |
//! | to write what has no end yet, and have others read it meanwhile | [`MemoryWriter`] | nothing; to hand out, one atomic |
//! | to read pieces as one | [`Sequence`], [`SequenceReader`] | a comparison at the borders |
//! | to hand data from one task to another, within bounds | [`pipe()`] | one mutex a call |
//! | overlapping windows of a stream | [`Windows`] | nothing, also where they go over the end of the ring |
//! | rows of different lengths without padding | [`Ragged`] | nothing |
//! | bytes as numbers, or numbers as bytes | [`MemoryOwner::cast`], [`SharedOwner::cast`], [`Number`] | a look at the address |
//! | memory from somewhere else | [`MemoryManager`], [`MemoryOwner::from_raw_parts`] | nothing |
//!
//! # What you can count on
//!
//! - A span stays valid until it is dropped, whatever other threads do.
//! - After a revocation has begun no new span or pin succeeds; the error names where the buffer was created, leased and revoked.
//! - A handle of an earlier lease never sees a later tenant's data.
//! - A buffer is disposed of exactly once, when no span and no pin is left. Nobody blocks for it.
//! - Forgetting a guard can leak its buffer, and nothing worse.
//!
//! # Testing and verification
//!
//! Loom models of every path run the code that ships, and fail when a memory ordering that they can judge is
//! weakened; a litmus program checks the kernel's barrier against a control that has to fail; tests run under miri
//! with both aliasing models and under the thread and address sanitizers; a property test and a fuzz target compare
//! random operations with a slow oracle; a stress program reads recycled buffers and has to find bugs that are
//! planted on purpose; misuse that must not compile is compiled; allocations and instructions are counted. The
//! commands are in the repository's `CONTRIBUTING.md`.
//!
//! # Features
//!
//! - `bytes`: `Bytes` from owners, shared owners and pins, and back; `Buf` for [`SequenceReader`] and, as
//!   `SequenceBuf`, for [`Sequence`]; `BufMut` for [`MemoryWriter`].
//! - `cuda`: [`cuda::PinnedHost`], host memory that CUDA devices reach directly. The driver is loaded at run time.
//! - `half`: [`Number`] for `f16` and `bf16`. Both are plain types, which pools rent.
//! - `memmap2`: [`FileMapping`] and [`FileMappingMut`].
//! - `metrics`: [`PoolStats::record`] hands a pool's figures to the recorder of that crate.
//! - `serde`: owners, shared owners, pins, sequences and ragged batches are serialised, all but pins deserialised; the module
//!   `serde` deserialises into a pool's memory, and without a copy out of the buffer that is read.
//! - `tokio`: the module `tokio` reads straight into rented blocks and writes sequences with vectored calls; the ends of a
//!   pipe are `AsyncBufRead` and `AsyncWrite`.
//! - `tracing`: pools tell a subscriber of buffers that are made, of rents that wait, of idle memory that is let go.
//!
//! The `cfg` `leasehold_fences` makes spans use real fences where `membarrier` would do, for systems whose seccomp filter arrives
//! late.

#[expect(unsafe_code, reason = "backings answer for the memory that they give")]
mod backing;
mod cast;
mod counters;
mod error;
mod handle;
mod interop;
mod lessor;
#[expect(unsafe_code, reason = "managers answer for memory of any origin")]
mod manager;
mod memory;
mod number;
mod owner;
mod pipe;
mod pool;
mod ragged;
#[expect(unsafe_code, reason = "the one place where memory is handled by hand; see its invariants")]
mod raw;
mod scope;
mod sequence;
mod shared;
mod span;
mod sync;
mod windows;
mod writer;

#[cfg(feature = "cuda")]
pub use backing::cuda;
pub use backing::{Backing, BackingError, Heap};
#[cfg(target_os = "linux")]
pub use backing::{FreezeError, FreezeReason, Sealed, SharedMemory, UnfitFile, UnfitReason};
#[cfg(unix)]
pub use backing::{Granted, GuardPages, HugePages, Locked, Pages};
pub use counters::{Counters, counters, reclaim_now};
pub use error::{
    BadOffsets, CastError, CastReason, Exhausted, HeldByThisThread, InUse, NotAdjacent, NotExclusive,
    OutOfRange, RaggedFull, Refused, RentError, Revoked, TooShort,
};
pub use handle::{MemoryHandle, MemoryHandleMut};
#[cfg(feature = "bytes")]
pub use interop::bytes::SequenceBuf;
#[cfg(feature = "serde")]
pub use interop::serde;
#[cfg(feature = "tokio")]
pub use interop::tokio;
pub use lessor::{Exclusive, LeaseKind, Lessor, ReadOnly, Returned, Revocation, SharedReadOnly};
#[cfg(unix)]
pub use manager::PageLocked;
#[cfg(feature = "memmap2")]
pub use manager::{FileMapping, FileMappingMut};
pub use manager::{MemoryManager, MemoryManagerMut, SharedSlice};
pub use memory::{Memory, ReadOnlyMemory};
pub use number::Number;
pub use owner::MemoryOwner;
pub use pipe::{
    BoxError, Flush, PipeBuilder, PipeReader, PipeWriter, Read, ReadError, ReadResult, Reserve, WriteError,
    pipe,
};
pub use pool::{
    AnyPool, BoundedPool, ClassStats, LeakGuard, MemoryPool, OutstandingRent, PoolBuilder, PoolStats, Rent,
};
pub use ragged::{Ragged, RaggedRows};
pub use scope::{scope, scope_read_only};
pub use sequence::{Elements, Segments, Sequence, SequenceReader};
pub use shared::SharedOwner;
pub use span::{Span, SpanMut};
pub use windows::{Windows, WindowsError};
pub use writer::{Contiguous, Growth, MemoryWriter, Segmented};
