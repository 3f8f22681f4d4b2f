//! The one door to atomics, mutexes and thread-locals: std's in a normal build, loom's under
//! `--cfg leasehold_loom`, so that the models run the very code that ships.

#[cfg(not(leasehold_loom))]
mod imp {
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, fence};
    pub(crate) use std::thread_local;
}

#[cfg(leasehold_loom)]
mod imp {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
    pub(crate) use loom::thread_local;

    use super::Ordering;

    loom::lazy_static! {
        static ref TURN: AtomicUsize = AtomicUsize::new(0);
    }

    /// A fence that other threads may come before. Loom's own is one with the operation before it.
    pub(crate) fn fence(ordering: Ordering) {
        if ordering == Ordering::SeqCst {
            // Relaxed: orders nothing, but is a point at which loom tries every order of threads.
            TURN.fetch_add(1, Ordering::Relaxed);
        }
        loom::sync::atomic::fence(ordering);
    }

    /// To be called when a model begins: what makes a lazy static happens before all that use it.
    #[cfg(test)]
    pub(crate) fn set_up() {
        TURN.load(Ordering::Relaxed);
    }
}

pub(crate) use imp::*;
pub(crate) use std::sync::atomic::Ordering;

/// Locks a mutex whose critical sections cannot leave a half-made state, so poisoning carries no news.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> + '_ {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// As [`lock`], unless somebody has the lock.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<impl std::ops::DerefMut<Target = T> + '_> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

/// The ordering of an exchange whose result nobody looks at, with [`fence_after_rmw`] behind it. Sequentially consistent
/// where that fence leans on the instruction, which a compiler might make a plain store otherwise, and which costs no more.
pub(crate) const FENCED: Ordering =
    if cfg!(all(any(target_arch = "x86", target_arch = "x86_64"), not(leasehold_loom), not(miri))) {
        Ordering::SeqCst
    } else {
        Ordering::Relaxed
    };

/// A full fence behind a read-modify-write instruction, to be called directly after one.
///
/// On x86 every locked instruction already is a full fence, so only the compiler has to be held back;
/// elsewhere, and in models, it is a `SeqCst` fence.
#[inline(always)]
pub(crate) fn fence_after_rmw() {
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), not(leasehold_loom), not(miri)))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(not(all(any(target_arch = "x86", target_arch = "x86_64"), not(leasehold_loom), not(miri))))]
    fence(Ordering::SeqCst);
}
