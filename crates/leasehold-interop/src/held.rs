//! What keeps its elements by itself.

use leasehold::{MemoryHandle, MemoryHandleMut, MemoryOwner, SharedOwner};

/// A buffer whose elements stay as long as the value does: an owner, a shared owner or a pin.
///
/// Spans and memories do not: what they show depends on a lease, or on a scope. Nobody else implements it.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
/// use leasehold_interop::Held;
///
/// fn first<T: Copy>(held: &impl Held<T>) -> Option<T> {
///     held.as_ref().first().copied()
/// }
/// let (_lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// assert_eq!(first(&memory.pin()?), Some(1));
/// # Ok::<_, leasehold::Revoked>(())
/// ```
pub trait Held<T>: AsRef<[T]> + Send + 'static + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! held {
    ($($type:ident: $($bound:ident)+;)*) => {$(
        impl<T: $($bound +)+ 'static> sealed::Sealed for $type<T> {}
        impl<T: $($bound +)+ 'static> Held<T> for $type<T> {}
    )*};
}

held! {
    MemoryOwner: Send;
    SharedOwner: Send Sync;
    MemoryHandle: Send Sync;
    MemoryHandleMut: Send;
}
