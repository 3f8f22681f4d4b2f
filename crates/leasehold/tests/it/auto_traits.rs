//! Which public types may cross threads, move while pinned, and how large they are.

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use leasehold::{
    AnyPool, CastError, Contiguous, Counters, Exclusive, Flush, HeldByThisThread, InUse, Lessor, Memory,
    MemoryHandle, MemoryHandleMut, MemoryOwner, MemoryPool, MemoryWriter, NotAdjacent, NotExclusive,
    OutOfRange, PipeReader, PipeWriter, Ragged, RaggedRows, Read, ReadError, ReadOnly, ReadOnlyMemory,
    Refused, RentError, Reserve, Returned, Revocation, Revoked, Segmented, Sequence, SequenceReader,
    SharedOwner, SharedReadOnly, Span, SpanMut, TooShort, WriteError,
};

const fn send<T: Send>() {}
const fn sync<T: Sync>() {}
const fn unpin<T: Unpin>() {}
const fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

/// Whether a type has a trait, decided by which of two methods wins.
macro_rules! has {
    ($type:ty: $bound:path) => {{
        #[allow(dead_code, reason = "it is there for the types that lack the trait")]
        trait Fallback {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Fallback for T {}
        struct Asked<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "it is there for the types that have the trait")]
        impl<T: ?Sized + $bound> Asked<T> {
            const HAS: bool = true;
        }
        Asked::<$type>::HAS
    }};
}

type OfCells = Cell<u8>;

#[test]
fn everything_but_spans_is_send() {
    send::<MemoryOwner<u8>>();
    send::<SharedOwner<u8>>();
    send::<Lessor<u8>>();
    send::<Lessor<u8, ReadOnly>>();
    send::<Lessor<u8, SharedReadOnly>>();
    send::<Revocation<u8, Exclusive>>();
    send::<Revocation<u8, ReadOnly>>();
    send::<Revocation<u8, SharedReadOnly>>();
    send::<Returned<'_, u8>>();
    send::<Memory<u8>>();
    send::<ReadOnlyMemory<u8>>();
    send::<MemoryHandle<u8>>();
    send::<MemoryHandleMut<u8>>();
    send::<MemoryPool>();
    send::<Ragged<u8>>();
    send::<Revoked>();
    send::<InUse<Lessor<u8>>>();
    send::<HeldByThisThread<Revocation<u8>>>();
    send::<Refused<Memory<u8>, Revoked>>();
    send::<NotAdjacent<Memory<u8>>>();
    send::<NotExclusive<SharedOwner<u8>>>();
    send::<OutOfRange>();
    send::<RentError>();
    send::<Counters>();
    send::<Sequence<u8>>();
    send::<SequenceReader<'_, u8>>();
    send::<MemoryWriter<u8, Contiguous>>();
    send::<MemoryWriter<u8, Segmented<u8>>>();
    send::<PipeWriter<u8>>();
    send::<PipeReader<u8>>();
    send::<Reserve<'_, u8>>();
    send::<Flush<'_, u8>>();
    send::<Read<'_, u8>>();
    send::<RaggedRows<'_, u8>>();
    send::<AnyPool>();
    send::<leasehold::Windows<u8>>();
    const { assert!(!has!(Span<'static, u8>: Send)) }
    const { assert!(!has!(SpanMut<'static, u8>: Send)) }
}

#[test]
fn everything_is_sync_when_its_elements_are() {
    sync::<MemoryOwner<u8>>();
    sync::<SharedOwner<u8>>();
    sync::<Lessor<u8>>();
    sync::<Revocation<u8>>();
    sync::<Memory<u8>>();
    sync::<ReadOnlyMemory<u8>>();
    sync::<Span<'_, u8>>();
    sync::<SpanMut<'_, u8>>();
    sync::<MemoryHandle<u8>>();
    sync::<MemoryHandleMut<u8>>();
    sync::<MemoryPool>();
    sync::<Ragged<u8>>();
    sync::<Sequence<u8>>();
    sync::<leasehold::Windows<u8>>();
    sync::<MemoryWriter<u8>>();
    sync::<PipeWriter<u8>>();
    sync::<PipeReader<u8>>();
}

#[test]
fn elements_that_are_not_sync_stay_with_one_reader() {
    send::<MemoryOwner<OfCells>>();
    send::<Memory<OfCells>>();
    send::<MemoryHandleMut<OfCells>>();
    send::<Lessor<OfCells>>();
    send::<Lessor<OfCells, ReadOnly>>();
    const { assert!(!has!(MemoryOwner<OfCells>: Sync)) }
    const { assert!(!has!(Memory<OfCells>: Sync)) }
    const { assert!(!has!(MemoryHandleMut<OfCells>: Sync)) }
    const { assert!(!has!(Span<'static, OfCells>: Sync)) }
    const { assert!(!has!(SpanMut<'static, OfCells>: Sync)) }
    const { assert!(!has!(SharedOwner<OfCells>: Send)) }
    const { assert!(!has!(SharedOwner<OfCells>: Sync)) }
    const { assert!(!has!(Sequence<OfCells>: Send)) }
    const { assert!(!has!(Sequence<OfCells>: Sync)) }
    const { assert!(!has!(ReadOnlyMemory<OfCells>: Send)) }
    const { assert!(!has!(ReadOnlyMemory<OfCells>: Sync)) }
    const { assert!(!has!(MemoryHandle<OfCells>: Send)) }
    const { assert!(!has!(MemoryHandle<OfCells>: Sync)) }
    const { assert!(!has!(Lessor<OfCells, SharedReadOnly>: Send)) }
    const { assert!(!has!(Revocation<OfCells, SharedReadOnly>: Send)) }
}

#[test]
fn elements_that_are_not_send_stay_where_they_are() {
    const { assert!(!has!(MemoryOwner<Rc<u8>>: Send)) }
    const { assert!(!has!(MemoryOwner<Rc<u8>>: Sync)) }
    const { assert!(!has!(SharedOwner<Rc<u8>>: Send)) }
}

#[test]
fn only_read_only_handles_are_copied() {
    const { assert!(has!(ReadOnlyMemory<u8>: Copy)) }
    const { assert!(has!(ReadOnlyMemory<String>: Copy)) }
    const { assert!(!has!(Memory<u8>: Clone)) }
    const { assert!(!has!(Lessor<u8>: Clone)) }
    const { assert!(!has!(MemoryOwner<u8>: Clone)) }
    const { assert!(!has!(Revocation<u8>: Clone)) }
    const { assert!(!has!(MemoryHandle<u8>: Clone)) }
    const { assert!(!has!(MemoryHandleMut<u8>: Clone)) }
    const { assert!(!has!(Span<'static, u8>: Clone)) }
    const { assert!(!has!(SpanMut<'static, u8>: Clone)) }
}

#[test]
fn everything_is_unpin() {
    unpin::<MemoryOwner<u8>>();
    unpin::<SharedOwner<u8>>();
    unpin::<Memory<u8>>();
    unpin::<ReadOnlyMemory<u8>>();
    unpin::<Lessor<u8>>();
    unpin::<Revocation<u8>>();
    unpin::<Returned<'_, u8>>();
    unpin::<Span<'_, u8>>();
    unpin::<MemoryHandle<u8>>();
    unpin::<Sequence<u8>>();
    unpin::<Reserve<'_, u8>>();
    unpin::<Flush<'_, u8>>();
    unpin::<Read<'_, u8>>();
}

#[test]
fn errors_and_pools_may_cross_an_unwind() {
    unwind_safe::<OutOfRange>();
    unwind_safe::<MemoryPool>();
    unwind_safe::<leasehold::BoundedPool>();
}

#[test]
fn handles_are_four_words_and_owners_three() {
    const WORD: usize = size_of::<usize>();
    assert_eq!(size_of::<MemoryOwner<u8>>(), 3 * WORD);
    assert_eq!(size_of::<SharedOwner<u8>>(), 3 * WORD);
    assert_eq!(size_of::<Option<MemoryOwner<u8>>>(), 3 * WORD);
    assert_eq!(size_of::<ReadOnlyMemory<u8>>(), 3 * WORD + 8);
    assert_eq!(size_of::<Memory<u8>>(), 3 * WORD + 8);
    assert_eq!(size_of::<Lessor<u8>>(), 3 * WORD + 8);
    assert_eq!(size_of::<MemoryHandleMut<u8>>(), size_of::<Memory<u8>>() + WORD + 8);
    assert_eq!(size_of::<Result<Span<'_, u8>, ()>>(), size_of::<Span<'_, u8>>());
    assert!(size_of::<Revoked>() <= 3 * WORD);
}

#[test]
fn errors_are_errors() {
    const fn error<E: std::error::Error + 'static>() {}
    error::<Revoked>();
    error::<OutOfRange>();
    error::<RentError>();
    error::<InUse<Lessor<u8>>>();
    error::<HeldByThisThread<Revocation<u8>>>();
    error::<Refused<Memory<u8>, Revoked>>();
    error::<NotAdjacent<Memory<u8>>>();
    error::<NotExclusive<SharedOwner<u8>>>();
    error::<leasehold::RaggedFull>();
    error::<TooShort>();
    error::<CastError<SharedOwner<u8>>>();
    error::<ReadError>();
    error::<WriteError>();
    error::<leasehold::WindowsError>();
}
