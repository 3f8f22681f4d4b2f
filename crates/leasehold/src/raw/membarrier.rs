//! The asymmetric fence on Linux: the kernel fences for the readers.
//!
//! `membarrier` is outside of the language's memory model, so no model covers this file; the litmus program in
//! `checks/litmus` does, with a control that must fail.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static ASYMMETRIC: AtomicBool = AtomicBool::new(false);
static DECIDED: Once = Once::new();

const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

pub(super) fn decide() {
    DECIDED.call_once(|| {
        let registered = membarrier(REGISTER_PRIVATE_EXPEDITED);
        // Relaxed: `Once` orders this store before everything that follows in every thread.
        ASYMMETRIC.store(registered, Ordering::Relaxed);
    });
}

pub(super) fn is_asymmetric() -> bool {
    // Relaxed: written once, before any record exists; see `decide`.
    ASYMMETRIC.load(Ordering::Relaxed)
}

pub(super) fn heavy() {
    if is_asymmetric() && !membarrier(PRIVATE_EXPEDITED) {
        refused();
    }
}

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier reads no memory of ours; its three arguments are plain integers.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// The kernel took the registration back, as a seccomp filter installed later can. Readers run without
/// fences by now, so there is no sound way on.
#[cold]
fn refused() -> ! {
    eprintln!(
        "leasehold: the kernel refuses membarrier although this process registered for it: {}. \
         Install seccomp filters before the first lease, or build with --cfg leasehold_fences.",
        std::io::Error::last_os_error()
    );
    std::process::abort()
}
