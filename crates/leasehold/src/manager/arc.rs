//! Slices that are shared already.

use std::ptr::NonNull;
use std::sync::Arc;

use super::MemoryManager;

/// Lends an `Arc<[T]>` without copying it.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use leasehold::{SharedOwner, SharedSlice};
///
/// let slice: Arc<[u16]> = Arc::from([1, 2, 3]);
/// let owner = SharedOwner::from_manager(SharedSlice(Arc::clone(&slice)));
/// assert_eq!(owner.as_ptr(), slice.as_ptr());
/// ```
pub struct SharedSlice<T>(pub Arc<[T]>);

// SAFETY: 1, 3: the `Arc` keeps its slice where it is; 2: others can only have shared references to it while we hold
// a count (`Arc::get_mut` needs to be the only one); 4: there are no hooks.
unsafe impl<T: Send + Sync + 'static> MemoryManager<T> for SharedSlice<T> {
    fn memory(&mut self) -> NonNull<[T]> {
        NonNull::from(&*self.0)
    }
}
