//! Lending borrowed memory, the stack included, to other threads.

use std::panic::Location;

use crate::memory::{Memory, ReadOnlyMemory};
use crate::raw;

/// Lends a borrowed slice, wherever it lies, as a [`Memory`] that can be stored and sent like any other.
///
/// When `body` returns or panics the lease is revoked, and the call waits until the last span and pin is gone; the
/// handles that are left are stale. Unlike `std::thread::scope`, the borrower need not be a scoped thread: it may be an
/// actor, a task or a callback that outlives the call.
///
/// # Aborts
/// If the calling thread itself still holds a span of the memory when `body` is over, the process is aborted: the
/// slice must not go away under the span, and nobody else could end the span. A pin that the caller holds, or lets `body`
/// return, and a span or pin that anybody has forgotten, make the call wait for ever.
///
/// # Examples
/// ```
/// let (work, inbox) = std::sync::mpsc::channel::<leasehold::Memory<u32>>();
/// let actor = std::thread::spawn(move || {
///     for mut memory in inbox {
///         if let Ok(mut span) = memory.span_mut() {
///             span.fill(7);
///         }
///     }
/// });
///
/// let mut on_the_stack = [0u32; 16];
/// leasehold::scope(&mut on_the_stack, |memory| work.send(memory).unwrap());
/// // Written by then or not, but never written again:
/// assert!(on_the_stack == [0; 16] || on_the_stack == [7; 16]);
/// # drop(work);
/// # actor.join().unwrap();
/// ```
#[track_caller]
pub fn scope<T: Send + 'static, R>(slice: &mut [T], body: impl FnOnce(Memory<T>) -> R) -> R {
    raw::lend_mut(slice, Location::caller(), |part| body(Memory(part)))
}

/// As [`scope`], for reading by any number of borrowers.
///
/// # Aborts
/// As [`scope`].
///
/// # Examples
/// ```
/// let table = [1u32, 2, 3];
/// let stale = leasehold::scope_read_only(&table, |memory| {
///     std::thread::spawn(move || assert_eq!(memory.span().unwrap()[1], 2)).join().unwrap();
///     memory
/// });
/// assert!(stale.span().is_err());
/// ```
#[track_caller]
pub fn scope_read_only<T: Send + Sync + 'static, R>(
    slice: &[T],
    body: impl FnOnce(ReadOnlyMemory<T>) -> R,
) -> R {
    raw::lend(slice, Location::caller(), |view| body(ReadOnlyMemory(view)))
}
