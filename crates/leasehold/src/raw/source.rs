//! Where memory comes from, and how each kind is let go.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr::{self, NonNull};

use super::block::{Block, Kind, PinHooks, Source, free};
use super::store;
use super::window::Window;
use crate::manager::{MemoryManager, MemoryManagerMut};
use crate::sync::{Mutex, lock};

/// Ends the tenancy of a block: lets go of what is behind it.
///
/// # Safety
/// The caller holds the block exclusively (R2) and gives it up.
#[inline]
pub(super) unsafe fn release(block: &'static Block) {
    // SAFETY: exclusive by the caller's promise.
    if unsafe { store::keep(block) } {
        return;
    }
    // SAFETY: as above.
    let release = unsafe { block.source() }.kind().release;
    // SAFETY: as above; each tenancy is released once because the exclusive hold is given up here.
    unsafe { release(block) };
}

/// Frees the control block also when user code panics on the way.
struct FreeBlock(&'static Block);

impl Drop for FreeBlock {
    fn drop(&mut self) {
        // SAFETY: made only in release functions, whose caller gives up an exclusive hold.
        unsafe { free(self.0) };
    }
}

/// Elements of `T` that the memory has room for; no limit for zero-sized ones.
pub(super) fn capacity<T>(source: &Source) -> usize {
    source.room.checked_div(size_of::<T>()).unwrap_or(usize::MAX)
}

struct VecSource<T>(PhantomData<T>);

impl<T> VecSource<T> {
    const KIND: Kind =
        Kind { release: Self::release, pin_hooks: None, writable: true, patient: false, pooled: false };

    /// # Safety
    /// As [`Kind::release`]: called once, with an exclusive hold.
    unsafe fn release(block: &'static Block) {
        let _free = FreeBlock(block);
        // SAFETY: the hold is exclusive.
        let &Source { base, len, extra, .. } = unsafe { block.source() };
        // SAFETY: `vec` took these from a vector that was forgotten; elements behind a truncation are still there.
        drop(unsafe { Vec::from_raw_parts(base.cast::<T>(), len, extra.addr()) });
    }
}

/// Answers for the memory of a vector that the caller forgets.
pub(super) fn vec<T>(vec: &mut Vec<T>) -> Source {
    Source {
        kind: const { &VecSource::<T>::KIND },
        base: vec.as_mut_ptr().cast(),
        len: vec.len(),
        room: vec.capacity().saturating_mul(size_of::<T>()),
        extra: ptr::without_provenance_mut(vec.capacity()),
    }
}

/// Memory that nobody has to let go of.
pub(super) fn nothing<T>(slice: NonNull<[T]>, writable: bool) -> Source {
    const fn kind(writable: bool) -> Kind {
        Kind { release: release_nothing, pin_hooks: None, writable, patient: false, pooled: false }
    }
    Source {
        kind: if writable { const { &kind(true) } } else { const { &kind(false) } },
        base: slice.as_ptr().cast(),
        len: slice.len(),
        room: slice.len() * size_of::<T>(),
        extra: ptr::null_mut(),
    }
}

/// # Safety
/// As [`Kind::release`].
unsafe fn release_nothing(block: &'static Block) {
    drop(FreeBlock(block));
}

struct FnSource<T, F>(PhantomData<(T, F)>);

impl<T, F: FnOnce(NonNull<T>, usize) + Send + 'static> FnSource<T, F> {
    const KIND: Kind =
        Kind { release: Self::release, pin_hooks: None, writable: true, patient: false, pooled: false };

    /// # Safety
    /// As [`Kind::release`].
    unsafe fn release(block: &'static Block) {
        let _free = FreeBlock(block);
        // SAFETY: the hold is exclusive.
        let &Source { base, len, extra, .. } = unsafe { block.source() };
        // SAFETY: `release_with` took it from a `NonNull`.
        let ptr = unsafe { NonNull::new_unchecked(base.cast::<T>()) };
        // SAFETY: `release_with` made it from a box of this very type; release is called once.
        let release = unsafe { Box::from_raw(extra.cast::<F>()) };
        release(ptr, len);
    }
}

/// Memory that `release` lets go of.
pub(super) fn release_with<T, F>(ptr: NonNull<T>, len: usize, release: F) -> Source
where
    F: FnOnce(NonNull<T>, usize) + Send + 'static,
{
    Source {
        kind: const { &FnSource::<T, F>::KIND },
        base: ptr.as_ptr().cast(),
        len,
        room: len.saturating_mul(size_of::<T>()),
        extra: Box::into_raw(Box::new(release)).cast(),
    }
}

/// A manager with the number of pins it was told of.
struct Managed<M> {
    pins: Mutex<usize>,
    /// Apart from the calls below, no reference to the manager is made while its memory is lent: it may lie inside.
    manager: UnsafeCell<M>,
}

struct ManagedSource<T, M>(PhantomData<(T, M)>);

impl<T: 'static, M: MemoryManager<T>> ManagedSource<T, M> {
    const READ_ONLY: Kind = Self::kind(false);
    const WRITABLE: Kind = Self::kind(true);

    const fn kind(writable: bool) -> Kind {
        let hooks = PinHooks { pinned: Self::pinned, unpinned: Self::unpinned };
        Kind {
            release: Self::release,
            pin_hooks: if M::PIN_HOOKS { Some(hooks) } else { None },
            writable,
            patient: false,
            pooled: false,
        }
    }

    /// # Safety
    /// As [`Kind::release`].
    unsafe fn release(block: &'static Block) {
        let _free = FreeBlock(block);
        // SAFETY: the hold is exclusive.
        let extra = unsafe { block.source() }.extra;
        // SAFETY: `manage` made it from a box of this very type; release is called once.
        drop(unsafe { Box::from_raw(extra.cast::<Managed<M>>()) });
    }

    /// # Safety
    /// The caller holds a reservation of the block's present lease.
    unsafe fn pinned(source: &Source) {
        let managed = source.extra.cast::<Managed<M>>();
        // SAFETY: `manage` put a box of this type there, which lives until the release.
        let mut pins = lock(unsafe { &(*managed).pins });
        *pins += 1;
        if *pins == 1 {
            // SAFETY: as above.
            let manager = unsafe { (*managed).manager.get() };
            // SAFETY: hooks are called under the lock only, and by its promise the manager does not lie around the memory
            // that it lends.
            unsafe { &mut *manager }.first_pin();
        }
    }

    /// # Safety
    /// As `pinned`, and each call follows one of `pinned`.
    unsafe fn unpinned(source: &Source) {
        let managed = source.extra.cast::<Managed<M>>();
        // SAFETY: as in `pinned`.
        let mut pins = lock(unsafe { &(*managed).pins });
        *pins -= 1;
        if *pins == 0 {
            // SAFETY: as in `pinned`.
            let manager = unsafe { (*managed).manager.get() };
            // SAFETY: as in `pinned`.
            unsafe { &mut *manager }.last_unpin();
        }
    }
}

pub(super) fn managed<T: 'static, M: MemoryManager<T>>(manager: M) -> (Window<T>, Source) {
    manage(manager, const { &ManagedSource::<T, M>::READ_ONLY })
}

pub(super) fn managed_mut<T: 'static, M: MemoryManagerMut<T>>(manager: M) -> (Window<T>, Source) {
    manage(manager, const { &ManagedSource::<T, M>::WRITABLE })
}

fn manage<T: 'static, M: MemoryManager<T>>(manager: M, kind: &'static Kind) -> (Window<T>, Source) {
    // The manager reaches its final address first, so that it may lend memory inside itself.
    let managed = Box::into_raw(Box::new(Managed { pins: Mutex::new(0), manager: UnsafeCell::new(manager) }));
    let unlent = Unlent(managed);
    // SAFETY: the box has just been leaked.
    let manager = unsafe { (*managed).manager.get() };
    // SAFETY: nobody else knows of it.
    let memory = unsafe { &mut *manager }.memory();
    std::mem::forget(unlent);
    let source = Source {
        kind,
        base: memory.as_ptr().cast(),
        len: memory.len(),
        room: memory.len().saturating_mul(size_of::<T>()),
        extra: managed.cast(),
    };
    // SAFETY: the manager answers for that many elements until it is dropped, which the source's release does.
    (unsafe { Window::new(memory.cast(), memory.len()) }, source)
}

/// Frees a manager that panics when it is asked for its memory.
struct Unlent<M>(*mut Managed<M>);

impl<M> Drop for Unlent<M> {
    fn drop(&mut self) {
        // SAFETY: `manage` leaked this box and has not passed it on yet.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
