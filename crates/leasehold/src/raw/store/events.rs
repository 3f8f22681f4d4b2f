//! What the slow paths tell a subscriber, with the feature `tracing`. Without it, nothing.

#[cfg(feature = "tracing")]
use super::class::bytes_of;

/// A block came from the backing.
#[inline]
pub(super) fn made(class: usize) {
    #[cfg(feature = "tracing")]
    tracing::trace!(bytes = bytes_of(class), "a buffer was made");
    let _ = class;
}

/// A rent began to wait.
#[inline]
pub(super) fn queued(class: usize, waiting: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(bytes = bytes_of(class), waiting, "a rent waits for the budget");
    let _ = (class, waiting);
}

/// Idle memory went to the backing because nobody needed it.
#[inline]
pub(super) fn swept(bytes: usize) {
    #[cfg(feature = "tracing")]
    if bytes > 0 {
        tracing::debug!(bytes, "idle memory was let go");
    }
    let _ = bytes;
}

/// Somebody wrote where no tenant is.
#[inline]
pub(super) fn violated(message: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!("{message}");
    let _ = message;
}
