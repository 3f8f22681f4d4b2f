//! Lending borrowed memory for the time of a call.

use std::ptr::NonNull;

use super::block::Site;
use super::handle::{self, Hold, Lease, Part, View};
use super::owned::{Owned, Shared};
use super::wait;

/// Lends `slice` to whoever `body` gives the part to. Returns, or unwinds, only when nobody uses it any more.
pub(crate) fn lend_mut<T: Send + 'static, R>(
    slice: &mut [T],
    site: Site,
    body: impl FnOnce(Part<T>) -> R,
) -> R {
    // SAFETY: the borrow outlives this call, and this call outlives every use: `EndOfScope` waits for them.
    let owned = unsafe { Owned::borrow(NonNull::from(slice), site) };
    let (lease, part) = handle::lease(owned, site);
    let _end = EndOfScope { lease: Some(lease), site };
    body(part)
}

/// As [`lend_mut`], for reading by any number of threads.
pub(crate) fn lend<T: Send + Sync + 'static, R>(
    slice: &[T],
    site: Site,
    body: impl FnOnce(View<T>) -> R,
) -> R {
    // SAFETY: as in `lend_mut`.
    let shared = unsafe { Shared::borrow(NonNull::from(slice), site) };
    let (lease, view) = handle::begin_read_only(shared, site);
    let _end = EndOfScope { lease: Some(lease), site };
    body(view)
}

/// Revokes the lease and waits until the last span and pin is gone, also while unwinding.
struct EndOfScope<H: Hold> {
    lease: Option<Lease<H>>,
    site: Site,
}

impl<H: Hold> Drop for EndOfScope<H> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let Err(draining) = lease.end(self.site) else { return };
        if wait::until_drained(draining).is_err() {
            leaked(self.site);
        }
    }
}

/// The memory is about to go away, and the one span that keeps us from letting it go can only be dropped by us.
#[cold]
fn leaked(site: Site) -> ! {
    eprintln!(
        "leasehold: the thread that leaves the scope at {site} still holds a span of the memory it lends"
    );
    std::process::abort()
}
