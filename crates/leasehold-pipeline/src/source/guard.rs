//! Decoders of others that panic at some kinds of damage.

use std::cell::Cell;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread becomes a [`SourceError`](crate::SourceError), so that a panic hook need not report it.
///
/// The decoder of Parquet panics at some kinds of damaged files. A program that does not want to see what the standard
/// hook says of them asks here first:
///
/// ```
/// let hook = std::panic::take_hook();
/// std::panic::set_hook(Box::new(move |panic| {
///     if !leasehold_pipeline::panic_is_caught() {
///         hook(panic);
///     }
/// }));
/// ```
#[must_use]
pub fn panic_is_caught() -> bool {
    GUARDED.get()
}

/// Calls a decoder; `None` when it panics. Nothing that it has left half done may be used again.
#[cfg(feature = "parquet")]
pub(super) fn guard<T>(decode: impl FnOnce() -> T) -> Option<T> {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let before = GUARDED.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(before);
    decoded.ok()
}
