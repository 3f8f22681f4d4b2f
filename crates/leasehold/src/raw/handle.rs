//! Leases with their elements: the lessor's end, the consumers' handles, and what those turn into.

use std::fmt;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, forget};
use std::ops::RangeBounds;
use std::ptr;
use std::task::Waker;

use bytemuck::Pod;

use super::block::{Block, Site, Sites};
use super::lease::{self, InUse};
use super::owned::{Owned, Shared};
use super::reserve::{self, Refused, Reservation};
use super::window::{Miscast, OutOfRange, Window};
use super::word::Word;

/// An exclusive hold of a block that a lease can suspend and its end restore.
pub trait Hold: Sized {
    type Item: Send + 'static;

    fn suspend(self) -> (Window<Self::Item>, &'static Block);

    /// # Safety
    /// The hold was suspended, the window is the same, and the lease that began with it is over and drained.
    unsafe fn restore(window: Window<Self::Item>, block: &'static Block) -> Self;
}

impl<T: Send + 'static> Hold for Owned<T> {
    type Item = T;

    #[inline]
    fn suspend(self) -> (Window<T>, &'static Block) {
        self.into_parts()
    }

    #[inline]
    unsafe fn restore(window: Window<T>, block: &'static Block) -> Self {
        // SAFETY: the end of the lease gave the exclusive hold back.
        unsafe { Owned::resume(window, block, None) }
    }
}

impl<T: Send + 'static> Hold for Shared<T> {
    type Item = T;

    fn suspend(self) -> (Window<T>, &'static Block) {
        debug_assert!(self.is_unique());
        self.into_parts()
    }

    unsafe fn restore(window: Window<T>, block: &'static Block) -> Self {
        // SAFETY: the end of the lease gave the hold back, which was the only share.
        unsafe { Shared::begin(window, block) }
    }
}

/// Begins an exclusive lease: one consumer, who may write.
#[inline]
pub(crate) fn lease<T: Send + 'static>(owned: Owned<T>, site: Site) -> (Lease<Owned<T>>, Part<T>) {
    let (window, block) = owned.suspend();
    // SAFETY: the suspended hold was exclusive.
    let (block, word) = unsafe { lease::publish(block, lease::Kind::Exclusive, site) };
    (Lease { window, block, word, _hold: PhantomData }, Part { window, block, word })
}

/// Begins a read-only lease: any number of consumers.
#[inline]
pub(crate) fn lease_read_only<T: Send + 'static>(owned: Owned<T>, site: Site) -> (Lease<Owned<T>>, View<T>) {
    begin_read_only(owned, site)
}

/// As [`lease_read_only`], from a share that has no siblings.
#[expect(clippy::type_complexity, reason = "both ends of a lease, or what was given")]
pub(crate) fn lease_shared<T: Send + 'static>(
    shared: Shared<T>,
    site: Site,
) -> Result<(Lease<Shared<T>>, View<T>), Shared<T>> {
    if shared.is_unique() { Ok(begin_read_only(shared, site)) } else { Err(shared) }
}

#[inline]
pub(super) fn begin_read_only<H: Hold>(hold: H, site: Site) -> (Lease<H>, View<H::Item>) {
    let (window, block) = hold.suspend();
    // SAFETY: the suspended hold was exclusive.
    let (block, word) = unsafe { lease::publish(block, lease::Kind::ReadOnly, site) };
    (Lease { window, block, word, _hold: PhantomData }, View { window, block, word })
}

/// The lessor's end of a running lease: the only party that can end it (R2).
pub(crate) struct Lease<H: Hold> {
    window: Window<H::Item>,
    block: &'static Block,
    word: Word,
    _hold: PhantomData<H>,
}

// SAFETY: the lessor touches no elements; it hands the suspended hold on, which is `Send` on this condition.
unsafe impl<H: Hold + Send> Send for Lease<H> {}
// SAFETY: a shared reference to a lessor gives out lengths and counts only.
unsafe impl<H: Hold + Send> Sync for Lease<H> {}

impl<H: Hold> Lease<H> {
    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }

    #[cfg(leasehold_loom)]
    pub(super) fn block(&self) -> &'static Block {
        self.block
    }

    /// The hold, if no consumer uses the block now; the lease is then over. Otherwise nothing has changed.
    #[inline]
    pub(crate) fn try_end(self, site: Site) -> Result<H, (Self, InUse)> {
        if lease::all_returned(self.block) {
            return Ok(self.end_returned());
        }
        match lease::try_end(self.block, self.word, site) {
            // SAFETY: the lease is over and nobody is inside.
            Ok(()) => Ok(unsafe { self.into_hold() }),
            Err(in_use) => Err((self, in_use)),
        }
    }

    /// Ends the lease now; the hold comes back at once or when the last consumer has left.
    #[inline]
    pub(crate) fn end(self, site: Site) -> Result<H, Draining<H>> {
        if lease::all_returned(self.block) {
            return Ok(self.end_returned());
        }
        let reclaimed = lease::end(self.block, self.word, site);
        let draining = self.into_draining();
        // SAFETY: the lease is over and nobody is inside.
        if reclaimed { Ok(unsafe { draining.into_hold() }) } else { Err(draining) }
    }

    /// Ends many leases with one barrier.
    pub(crate) fn end_all(leases: Vec<Self>, site: Site) -> Vec<Draining<H>> {
        lease::end_all(leases.iter().map(|lease| (lease.block, lease.word)), site);
        leases.into_iter().map(Lease::into_draining).collect()
    }

    /// Whether every part has come back; `waker` is woken when the last one does.
    pub(crate) fn poll_returned(&self, waker: &Waker) -> bool {
        lease::poll_returned(self.block, waker)
    }

    /// Takes back the waker of [`poll_returned`](Self::poll_returned).
    pub(crate) fn stop_waiting(&self) {
        lease::stop_waiting(self.block);
    }

    pub(crate) fn is_returned(&self) -> bool {
        lease::all_returned(self.block)
    }

    /// The hold of a lease whose parts have all come back.
    fn end_returned(self) -> H {
        lease::end_returned(self.block, self.word);
        // SAFETY: no handle of the lease is left, so nobody is inside or can enter.
        unsafe { self.into_hold() }
    }

    fn into_draining(self) -> Draining<H> {
        let this = ManuallyDrop::new(self);
        Draining { window: this.window, block: this.block, word: this.word, _hold: PhantomData }
    }

    /// # Safety
    /// As [`Hold::restore`].
    #[inline]
    unsafe fn into_hold(self) -> H {
        let this = ManuallyDrop::new(self);
        // SAFETY: the caller's promise; window and block are those the lease began with.
        unsafe { H::restore(this.window, this.block) }
    }

    /// How many spans of the block this thread holds.
    pub(crate) fn spans_of_this_thread(&self) -> usize {
        lease::spans_of_this_thread(self.block, self.word)
    }
}

impl<H: Hold> Drop for Lease<H> {
    #[inline]
    fn drop(&mut self) {
        // By value, so that who drops a lease need not have it in memory.
        lease::give_up(self.block, self.word);
    }
}

/// The lessor's end of a lease that is over, with somebody perhaps still inside.
pub(crate) struct Draining<H: Hold> {
    window: Window<H::Item>,
    block: &'static Block,
    word: Word,
    _hold: PhantomData<H>,
}

// SAFETY: as for `Lease`.
unsafe impl<H: Hold + Send> Send for Draining<H> {}
// SAFETY: as for `Lease`.
unsafe impl<H: Hold + Send> Sync for Draining<H> {}

impl<H: Hold> Draining<H> {
    pub(crate) fn try_take(self) -> Result<H, Self> {
        if lease::is_reclaimed(self.block, self.word) {
            // SAFETY: the lease is over, and the last one out made the block exclusive for us.
            Ok(unsafe { self.into_hold() })
        } else {
            Err(self)
        }
    }

    /// Whether `try_take` would succeed; `waker` is woken when it will.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        lease::poll_reclaimed(self.block, self.word, waker)
    }

    pub(crate) fn spans_of_this_thread(&self) -> usize {
        lease::spans_of_this_thread(self.block, self.word)
    }

    /// # Safety
    /// As [`Hold::restore`].
    unsafe fn into_hold(self) -> H {
        let this = ManuallyDrop::new(self);
        // SAFETY: the caller's promise; window and block are those the lease began with.
        unsafe { H::restore(this.window, this.block) }
    }
}

impl<H: Hold> Drop for Draining<H> {
    fn drop(&mut self) {
        lease::abandon_draining(self.block, self.word);
    }
}

/// A part of an exclusively leased block; the parts of one lease never overlap.
pub(crate) struct Part<T: Send + 'static> {
    window: Window<T>,
    block: &'static Block,
    word: Word,
}

// SAFETY: a part is the only handle of its elements, so it moves as they do.
unsafe impl<T: Send> Send for Part<T> {}
// SAFETY: a shared reference to a part gives out shared references to elements.
unsafe impl<T: Send + Sync> Sync for Part<T> {}

impl<T: Send + 'static> Part<T> {
    #[inline(always)]
    pub(crate) fn span(&self) -> Option<Held<'_, T>> {
        let reservation = reserve::enter(self.block, self.word).ok()?;
        Some(Held { window: self.window, _reservation: reservation, _elements: PhantomData })
    }

    #[inline(always)]
    pub(crate) fn span_mut(&mut self) -> Option<HeldMut<'_, T>> {
        let reservation = reserve::enter(self.block, self.word).ok()?;
        Some(HeldMut { window: self.window, _reservation: reservation, _elements: PhantomData })
    }

    pub(crate) fn narrow(&mut self, range: impl RangeBounds<usize>) -> Result<(), OutOfRange> {
        self.window = self.window.narrow(range)?;
        Ok(())
    }

    pub(crate) fn split_at(self, mid: usize) -> Result<(Self, Self), (Self, OutOfRange)> {
        let halves = self.window.narrow(..mid).and_then(|left| Ok((left, self.window.narrow(mid..)?)));
        let (left, right) = match halves {
            Ok(halves) => halves,
            Err(error) => return Err((self, error)),
        };
        // Once the lease is over its parts are not counted any more: the count belongs to the next lease.
        if let Ok(_current) = reserve::enter(self.block, self.word) {
            lease::add_part(self.block);
        }
        let Part { block, word, .. } = self;
        forget(self);
        Ok((Part { window: left, block, word }, Part { window: right, block, word }))
    }

    /// One part in place of two adjacent ones of the same lease.
    pub(crate) fn join(self, next: Self) -> Result<Self, (Self, Self)> {
        let siblings = ptr::eq(self.block, next.block) && self.word == next.word;
        if !siblings || !self.window.is_followed_by(next.window) {
            return Err((self, next));
        }
        // SAFETY: parts of one lease are parts of its window, and these two are adjacent.
        let window = unsafe { self.window.joined(next.window) };
        let Part { block, word, .. } = self;
        forget(self);
        drop(next);
        Ok(Part { window, block, word })
    }

    #[inline]
    pub(crate) fn pin(self) -> Result<PinnedMut<T>, Self> {
        match Pin::new(self.block, self.word) {
            Ok(pin) => Ok(PinnedMut { _pin: pin, part: self }),
            Err(Refused) => Err(self),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::new(self.window, self.block, self.word)
    }

    #[inline(always)]
    pub(crate) fn origin(&self) -> Origin {
        Origin { block: self.block, word: self.word }
    }

    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }
}

impl<T: Send + 'static> Drop for Part<T> {
    #[inline]
    fn drop(&mut self) {
        let Ok(current) = reserve::enter(self.block, self.word) else {
            // The lease is over; its parts are not counted any more.
            return;
        };
        let awaited = lease::return_part(self.block);
        drop(current);
        if awaited {
            self.block.wake();
        }
    }
}

/// A read-only handle of a leased block, or of a range of it.
pub(crate) struct View<T: Send + 'static> {
    window: Window<T>,
    block: &'static Block,
    word: Word,
}

impl<T: Send + 'static> Clone for View<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + 'static> Copy for View<T> {}

// SAFETY: views on several threads read the same elements (Sync); the last one out drops them (Send).
unsafe impl<T: Send + Sync> Send for View<T> {}
// SAFETY: a view is `Copy`, so a shared reference is as good as a view.
unsafe impl<T: Send + Sync> Sync for View<T> {}

impl<T: Send + 'static> View<T> {
    #[cfg(leasehold_loom)]
    pub(super) fn identity_for_guessing(&self) -> (Window<T>, &'static Block, Word) {
        (self.window, self.block, self.word)
    }

    /// A handle that nobody was given.
    #[cfg(leasehold_loom)]
    pub(super) fn guessed(window: Window<T>, block: &'static Block, word: Word) -> View<T> {
        View { window, block, word }
    }

    #[inline(always)]
    pub(crate) fn span(&self) -> Option<Held<'_, T>> {
        let reservation = reserve::enter(self.block, self.word).ok()?;
        Some(Held { window: self.window, _reservation: reservation, _elements: PhantomData })
    }

    #[inline]
    pub(crate) fn narrow(self, range: impl RangeBounds<usize>) -> Result<Self, OutOfRange> {
        Ok(View { window: self.window.narrow(range)?, ..self })
    }

    #[inline]
    pub(crate) fn pin(self) -> Option<Pinned<T>> {
        let pin = Pin::new(self.block, self.word).ok()?;
        Some(Pinned { _pin: pin, view: self })
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::new(self.window, self.block, self.word)
    }

    #[inline(always)]
    pub(crate) fn origin(&self) -> Origin {
        Origin { block: self.block, word: self.word }
    }

    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }
}

/// Elements under a reservation of this thread, for reading.
pub(crate) struct Held<'a, T> {
    window: Window<T>,
    _reservation: Reservation,
    /// Borrows the handle; a part cannot be written while it is read.
    _elements: PhantomData<&'a [T]>,
}

// SAFETY: `&Held` gives out `&[T]`; the reservation itself is touched by the drop only, in its own thread.
unsafe impl<T: Sync> Sync for Held<'_, T> {}

impl<T> Held<'_, T> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the reservation keeps the block (R3). Nobody writes: the handle is a view, of which there are no
        // writers, or a part, which is borrowed.
        unsafe { self.window.as_slice() }
    }
}

/// Elements under a reservation of this thread, for writing.
pub(crate) struct HeldMut<'a, T> {
    window: Window<T>,
    _reservation: Reservation,
    /// Borrows the part: one writer at a time.
    _elements: PhantomData<&'a mut [T]>,
}

// SAFETY: as for `Held`.
unsafe impl<T: Sync> Sync for HeldMut<'_, T> {}

impl<T> HeldMut<'_, T> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the reservation keeps the block (R3), and the part is ours.
        unsafe { self.window.as_slice() }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the reservation keeps the block (R3); the part is mutably borrowed and no other part overlaps it.
        // Exclusive leases begin with owned, hence writable, memory.
        unsafe { self.window.as_mut_slice() }
    }
}

/// A counted reservation, which may move between threads.
struct Pin {
    block: &'static Block,
    word: Word,
}

impl Pin {
    #[inline]
    fn new(block: &'static Block, word: Word) -> Result<Pin, Refused> {
        if reserve::pin(block, word)? {
            announce(block, word);
        }
        Ok(Pin { block, word })
    }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        if self.block.is_hooked() {
            retract(self.block, self.word);
        } else {
            reserve::unpin(self.block, self.word);
        }
    }
}

/// Tells the source of a pin. By value, as everything that is rare, so that a pin need not be in memory.
#[cold]
#[inline(never)]
fn announce(block: &'static Block, word: Word) {
    let undo = Announced { block, word };
    // SAFETY: we hold a reservation of the present lease.
    let source = unsafe { block.source() };
    if let Some(hooks) = source.kind().pin_hooks {
        // SAFETY: as above.
        unsafe { (hooks.pinned)(source) };
    }
    forget(undo);
}

/// A pin whose hook has not returned. When it panics, the source has counted the pin and is told of its end.
struct Announced {
    block: &'static Block,
    word: Word,
}

impl Drop for Announced {
    fn drop(&mut self) {
        retract(self.block, self.word);
    }
}

/// Tells the source of the end of a pin, and ends it.
#[cold]
#[inline(never)]
fn retract(block: &'static Block, word: Word) {
    // Also when a hook panics.
    let _unpin = Unpin { block, word };
    // SAFETY: we hold a reservation of the lease until `_unpin` is dropped.
    let source = unsafe { block.source() };
    if let Some(hooks) = source.kind().pin_hooks {
        // SAFETY: follows the call in `announce`.
        unsafe { (hooks.unpinned)(source) };
    }
}

struct Unpin {
    block: &'static Block,
    word: Word,
}

impl Drop for Unpin {
    fn drop(&mut self) {
        reserve::unpin(self.block, self.word);
    }
}

/// A pinned view.
pub(crate) struct Pinned<T: Send + 'static> {
    _pin: Pin,
    view: View<T>,
}

impl<T: Send + 'static> Pinned<T> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the pin keeps the block (R3), and views have no writers.
        unsafe { self.view.window.as_slice() }
    }

    pub(crate) fn view(&self) -> View<T> {
        self.view
    }

    /// The same bytes as elements of another type, pinned by the same pin.
    pub(crate) fn cast<U: Pod + Send>(self) -> Result<Pinned<U>, (Self, Miscast)>
    where
        T: Pod,
    {
        match self.view.window.cast() {
            Ok(window) => {
                let View { block, word, .. } = self.view;
                Ok(Pinned { _pin: self._pin, view: View { window, block, word } })
            }
            Err(miscast) => Err((self, miscast)),
        }
    }
}

/// A pinned part. The pin ends before the part comes back.
pub(crate) struct PinnedMut<T: Send + 'static> {
    _pin: Pin,
    part: Part<T>,
}

impl<T: Send + 'static> PinnedMut<T> {
    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the pin keeps the block (R3), and the part is ours.
        unsafe { self.part.window.as_slice() }
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as above, mutably borrowed; exclusive leases begin with writable memory.
        unsafe { self.part.window.as_mut_slice() }
    }

    pub(crate) fn into_part(self) -> Part<T> {
        self.part
    }

    pub(crate) fn part(&self) -> &Part<T> {
        &self.part
    }

    /// The same bytes as elements of another type, pinned by the same pin.
    pub(crate) fn cast<U: Pod + Send>(self) -> Result<PinnedMut<U>, (Self, Miscast)>
    where
        T: Pod,
    {
        match self.part.window.cast() {
            Ok(window) => {
                let PinnedMut { _pin, part } = self;
                let Part { block, word, .. } = part;
                // The lease goes on counting one part, under another type.
                forget(part);
                Ok(PinnedMut { _pin, part: Part { window, block, word } })
            }
            Err(miscast) => Err((self, miscast)),
        }
    }
}

/// The lease that a handle belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    block: &'static Block,
    word: Word,
}

impl Origin {
    /// Its call sites, as far as the block still remembers them.
    pub(crate) fn sites(self) -> Sites {
        self.block.sites(self.word)
    }

    /// How many leases of the block began since, and where the latest did.
    pub(crate) fn successors(self) -> (u64, Option<Site>) {
        self.block.successors(self.word)
    }
}

/// What a handle refers to, whether or not it still may.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    block: usize,
    generation: u64,
    address: usize,
    len: usize,
}

impl Identity {
    pub(crate) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("block", &format_args!("{:#x}", self.block))
            .field("generation", &self.generation)
            .field("address", &format_args!("{:#x}", self.address))
            .field("len", &self.len)
            .finish()
    }

    fn new<T>(window: Window<T>, block: &'static Block, word: Word) -> Identity {
        Identity {
            block: ptr::from_ref(block).addr(),
            generation: word.generation(),
            address: window.as_ptr().addr(),
            len: window.len(),
        }
    }
}

#[cfg(all(test, not(leasehold_loom)))]
mod tests {
    use std::panic::Location;

    use super::*;

    #[test]
    fn a_block_whose_generations_are_used_up_is_replaced_by_the_next_lease() {
        let owned = Owned::from_vec(vec![7u8; 3], Location::caller());
        owned.block.wear_out();
        let worn = owned.block;
        let (lease, view) = lease_read_only(owned, Location::caller());
        assert!(!ptr::eq(view.block, worn));
        assert_eq!(view.span().expect("just leased").as_slice(), [7; 3]);
        let owned = lease.end(Location::caller()).ok().expect("nobody is inside");
        assert!(view.span().is_none());
        assert_eq!(owned.created(), worn.created());
    }
}
