//! Loom models of the code above them: every interleaving (up to the bound) and every allowed reordering.
//!
//! Elements are loom cells, so an access that does not happen before, or after, a conflicting one fails the model. A
//! release is a write to every element. Light and heavy fences are those of [`super::gates`], and order no more than the kernel
//! promises; that it keeps the promise is what the litmus program in `checks/litmus` is for.
//!
//! Of accesses to an atomic loom remembers the last one only, so that a load which it explored early may hide behind the load of
//! who then stores. So whoever observes without storing is a thread that is spawned, and does not run before the main one waits.

use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::block::{Block, Kind, Source, allocate};
use super::handle::{self, Part, View};
use super::owned::{Owned, Shared};
use super::rest::Rest;
use super::window::Window;
use super::word::{State, Word};
use super::{gates, lease, limbo, record, wait};
use crate::lessor::{Exclusive, Lessor, ReadOnly};

/// An element whose accesses loom checks.
struct Element(UnsafeCell<u32>);

// SAFETY: loom checks that accesses are ordered, which is all that sharing needs.
unsafe impl Send for Element {}
// SAFETY: as above.
unsafe impl Sync for Element {}

impl Element {
    fn read(&self) -> u32 {
        // SAFETY: loom fails the model if a write is concurrent.
        self.0.with(|value| unsafe { *value })
    }

    fn write(&self, new: u32) {
        // SAFETY: loom fails the model if any access is concurrent.
        self.0.with_mut(|value| unsafe { *value = new });
    }
}

/// One element and the number of times it was released.
struct Memory {
    element: Element,
    released: AtomicUsize,
}

impl Memory {
    fn new() -> &'static Memory {
        Box::leak(Box::new(Memory { element: Element(UnsafeCell::new(1)), released: AtomicUsize::new(0) }))
    }

    fn released(&self) -> usize {
        self.released.load(Ordering::Relaxed)
    }

    fn owned(&'static self, kind: &'static Kind) -> Owned<Element> {
        let block = allocate();
        let this = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the block is fresh, and the memory is leaked.
        unsafe { block.settle(Source { kind, base: this, len: 1, room: 4, extra: this }) };
        let element = std::ptr::NonNull::from(&self.element);
        // SAFETY: one element is there for ever.
        let window = unsafe { Window::new(element, 1) };
        // SAFETY: the block is ours.
        unsafe { Owned::resume(window, block, Some(Location::caller())) }
    }
}

/// Released at once or by the last one out.
static EAGER: Kind = Kind { release, pin_hooks: None, writable: true, patient: false, pooled: false };
/// May wait in the limbo.
static PATIENT: Kind = Kind { release, pin_hooks: None, writable: true, patient: true, pooled: false };

/// # Safety
/// As [`Kind::release`].
unsafe fn release(block: &'static Block) {
    // SAFETY: the caller holds the block exclusively; `owned` put a leaked `Memory` there.
    let memory: &'static Memory = unsafe { &*block.source().extra.cast() };
    memory.element.write(0);
    memory.released.fetch_add(1, Ordering::Relaxed);
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    model_within(3, check);
}

/// As [`model`], for models that would take minutes with more preemptions.
fn model_within(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound =
        Some(builder.preemption_bound.map_or(preemptions, |bound| bound.min(preemptions)));
    builder.check(move || {
        gates::set_up();
        check();
    });
}

#[track_caller]
fn lease_view(
    memory: &'static Memory,
    kind: &'static Kind,
) -> (handle::Lease<Owned<Element>>, View<Element>) {
    handle::lease_read_only(memory.owned(kind), Location::caller())
}

#[track_caller]
fn lease_part(
    memory: &'static Memory,
    kind: &'static Kind,
) -> (handle::Lease<Owned<Element>>, Part<Element>) {
    handle::lease(memory.owned(kind), Location::caller())
}

/// Reads under a span, if the lease still goes on; it must then be the first tenant's value.
fn read(view: &View<Element>) {
    if let Some(span) = view.span() {
        assert_eq!(span.as_slice()[0].read(), 1);
    }
}

fn end(lease: handle::Lease<Owned<Element>>) -> Result<Owned<Element>, handle::Draining<Owned<Element>>> {
    lease.end(Location::caller())
}

#[test]
fn a_guessed_handle_sees_what_was_published() {
    // Handles cannot be guessed. Should one ever be smuggled past the language's synchronisation, the word orders it.
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let origin = view.identity_for_guessing();
        let reader = thread::spawn(move || {
            read(&view);
            let (window, block, word) = origin;
            let guess = View::guessed(window, block, word.after().in_state(State::Published));
            if let Some(span) = guess.span() {
                assert_eq!(span.as_slice()[0].read(), 2);
            }
        });
        if let Ok(owned) = end(lease) {
            owned.as_slice()[0].write(2);
            let (lease, _) = handle::lease_read_only(owned, Location::caller());
            if let Ok(owned) = end(lease) {
                owned.as_slice()[0].write(3);
            }
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_guessed_handle_does_not_take_an_earlier_toucher_for_its_own() {
    // The toucher of the first lease is a record that another thread has by the time of the second.
    model(|| {
        let (first, second) = (Memory::new(), Memory::new());
        let (lease, view) = lease_view(first, &EAGER);
        let (_other, touched) = lease_view(second, &EAGER);
        read(&view);
        let (window, block, word) = view.identity_for_guessing();
        let owned = end(lease).ok().expect("nobody else was there");
        record::detach();
        let reader = thread::spawn(move || {
            read(&touched);
            read(&View::guessed(window, block, word.after().in_state(State::Published)));
        });
        owned.as_slice()[0].write(1);
        let (lease, _) = handle::lease_read_only(owned, Location::caller());
        if let Ok(owned) = end(lease) {
            owned.as_slice()[0].write(2);
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_span_holds_a_revoked_block() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || read(&view));
        match end(lease) {
            Ok(owned) => {
                owned.as_slice()[0].write(2);
                reader.join().unwrap();
            }
            Err(draining) => {
                reader.join().unwrap();
                let owned = draining.try_take().ok().expect("the last one out has finished it");
                owned.as_slice()[0].write(2);
            }
        }
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn the_last_of_two_readers_wakes_the_lessor() {
    model_within(2, || {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let readers = [thread::spawn(move || read(&view)), thread::spawn(move || read(&view))];
        let ended = end(lease).or_else(handle::Draining::try_take);
        if let Ok(owned) = &ended {
            owned.as_slice()[0].write(2);
        }
        for reader in readers {
            reader.join().unwrap();
        }
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("the last one out has finished it");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn a_stale_view_never_sees_the_next_tenant() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || {
            read(&view);
            read(&view);
        });
        if let Ok(owned) = end(lease) {
            owned.as_slice()[0].write(2);
            let (lease, view) = handle::lease_read_only(owned, Location::caller());
            assert_eq!(view.span().expect("just leased").as_slice()[0].read(), 2);
            drop(lease);
        }
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_late_departure_does_not_end_the_next_lease() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || read(&view));
        if let Ok(owned) = end(lease) {
            owned.as_slice()[0].write(2);
            let (lease, view) = handle::lease_read_only(owned, Location::caller());
            let span = view.span().expect("just leased");
            let draining = end(lease).err().expect("we are inside ourselves");
            let draining = draining.try_take().err().expect("we are inside ourselves");
            assert_eq!(span.as_slice()[0].read(), 2);
            drop(span);
            reader.join().unwrap();
            draining.try_take().ok().expect("everybody has left").as_slice()[0].write(3);
        } else {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_stale_view_in_passing_does_not_wedge_the_next_lease() {
    model(|| {
        let memory = Memory::new();
        let (lease, stale) = lease_view(memory, &EAGER);
        read(&stale);
        let owned = end(lease).ok().expect("nobody else was there");
        let (lease, view) = handle::lease_read_only(owned, Location::caller());
        let visitor = thread::spawn(move || assert!(stale.span().is_none()));
        let reader = thread::spawn(move || read(&view));
        let ended = end(lease);
        visitor.join().unwrap();
        reader.join().unwrap();
        let owned =
            ended.or_else(handle::Draining::try_take).ok().expect("whoever left last has finished it");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn an_abandoned_block_is_released_once_by_the_last_one_out() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || read(&view));
        drop(lease);
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_limbo_releases_after_its_barrier() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &PATIENT);
        let reader = thread::spawn(move || read(&view));
        drop(lease);
        limbo::flush();
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_sole_toucher_releases_on_its_way_out_of_the_limbo() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &PATIENT);
        let reader = thread::spawn(move || {
            read(&view);
            read(&view);
        });
        drop(lease);
        reader.join().unwrap();
        limbo::flush();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_late_departure_releases_the_next_lease_only_when_it_sees_its_end() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &PATIENT);
        let late = thread::spawn(move || read(&view));
        if let Ok(owned) = end(lease) {
            owned.as_slice()[0].write(2);
            let (lease, _view) = handle::lease_read_only(owned, Location::caller());
            drop(lease);
        }
        late.join().unwrap();
        limbo::flush();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_fence_that_happened_anyway_frees_the_limbo() {
    model(|| {
        let (first, second) = (Memory::new(), Memory::new());
        let (lease, view) = lease_view(first, &PATIENT);
        let (_other, touched) = lease_view(second, &EAGER);
        let reader = thread::spawn(move || {
            read(&view);
            read(&touched);
            read(&view);
        });
        drop(lease);
        limbo::release_by_piggyback();
        reader.join().unwrap();
        limbo::flush();
        assert_eq!(first.released(), 1);
    });
}

#[test]
fn a_second_toucher_is_not_overlooked() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        read(&view);
        let reader = thread::spawn(move || read(&view));
        let ended = end(lease);
        reader.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("drained");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn who_is_taken_for_the_toucher_is_not_overlooked_by_another_lessor() {
    for kind in [&EAGER, &PATIENT] {
        model(move || {
            let memory = Memory::new();
            let (lease, view) = lease_view(memory, kind);
            read(&view);
            let owned = end(lease).ok().expect("nobody else was there");
            let (lease, view) = handle::lease_read_only(owned, Location::caller());
            let lessor = thread::spawn(move || {
                drop(lease);
                limbo::flush();
            });
            read(&view);
            lessor.join().unwrap();
            assert_eq!(memory.released(), 1);
        });
    }
}

#[test]
fn a_pin_holds_a_revoked_block() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || {
            if let Some(pinned) = view.pin() {
                assert_eq!(pinned.as_slice()[0].read(), 1);
            }
        });
        let ended = end(lease);
        if let Ok(owned) = &ended {
            owned.as_slice()[0].write(2);
        }
        reader.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("the last pin has finished it");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn the_last_of_two_pins_publishes_what_was_done_under_both() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let [first, second] = [view.pin(), view.pin()].map(|pinned| pinned.expect("leased"));
        let draining = end(lease).err().expect("pinned");
        let other = thread::spawn(move || assert_eq!(second.as_slice()[0].read(), 1));
        let lessor = thread::spawn(move || {
            let ended = draining.try_take();
            if let Ok(owned) = &ended {
                owned.as_slice()[0].write(2);
            }
            ended
        });
        assert_eq!(first.as_slice()[0].read(), 1);
        drop(first);
        other.join().unwrap();
        let ended = lessor.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("the last pin has finished it");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn a_pin_outlives_an_abandoned_lease_on_another_thread() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &PATIENT);
        let pinned = view.pin().expect("leased");
        let reader = thread::spawn(move || assert_eq!(pinned.as_slice()[0].read(), 1));
        drop(lease);
        limbo::flush();
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_span_and_a_pin_leave_together() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let pinned = view.pin().expect("leased");
        let holder = thread::spawn(move || assert_eq!(pinned.as_slice()[0].read(), 1));
        let reader = thread::spawn(move || read(&view));
        drop(lease);
        holder.join().unwrap();
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_span_of_an_ending_thread_is_counted() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || {
            record::detach();
            read(&view);
        });
        let ended = end(lease);
        reader.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("drained");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn more_spans_than_slots_continue_in_another_record() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || {
            let spans = [view.span(), view.span(), view.span()];
            let mut seen = spans.iter().flatten().map(|span| span.as_slice()[0].read());
            assert!(seen.all(|value| value == 1));

            drop(spans);
        });
        let ended = end(lease);
        reader.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("drained");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn try_end_refuses_or_ends_and_never_in_between() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let reader = thread::spawn(move || {
            let first = view.span().map(|span| assert_eq!(span.as_slice()[0].read(), 1)).is_some();
            let second = view.span().map(|span| assert_eq!(span.as_slice()[0].read(), 1)).is_some();
            assert!(first || !second, "a lease that has ended does not begin again");
        });
        let ended = lease.try_end(Location::caller());
        match ended {
            Ok(owned) => owned.as_slice()[0].write(2),
            Err((lease, in_use)) => {
                assert_eq!((in_use.spans, in_use.pins), (1, 0));
                reader.join().unwrap();
                let owned = lease.try_end(Location::caller()).ok().expect("nobody is left");
                owned.as_slice()[0].write(2);
                return;
            }
        }
        reader.join().unwrap();
    });
}

#[test]
fn try_end_that_fails_turns_nobody_away() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let pinned = view.pin().expect("leased");
        let reader = thread::spawn(move || {
            assert!(view.span().is_some(), "the lease goes on");
            assert!(view.pin().is_some(), "the lease goes on");
        });
        let (lease, _) = lease.try_end(Location::caller()).err().expect("pinned");
        reader.join().unwrap();
        drop((pinned, lease));
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn try_end_counts_pins() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let holder = thread::spawn(move || {
            if let Some(pinned) = view.pin() {
                assert_eq!(pinned.as_slice()[0].read(), 1);
            }
        });
        match lease.try_end(Location::caller()) {
            Ok(owned) => owned.as_slice()[0].write(2),
            Err((lease, in_use)) => {
                assert_eq!((in_use.spans, in_use.pins), (0, 1));
                drop(lease);
            }
        }
        holder.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_returned_part_needs_no_barrier() {
    model(|| {
        let memory = Memory::new();
        let (lease, mut part) = lease_part(memory, &EAGER);
        let consumer = thread::spawn(move || {
            if let Some(span) = part.span_mut() {
                span.as_slice()[0].write(1);
            }
        });
        if lease.is_returned() {
            let owned = lease.try_end(Location::caller()).ok().expect("returned");
            owned.as_slice()[0].write(2);
        } else {
            drop(lease);
        }
        consumer.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn the_return_of_a_part_publishes_what_was_done_under_it() {
    // Without the span and the drop around it, whose fences would hide a return that publishes nothing.
    model(|| {
        let memory = Memory::new();
        let (lease, part) = lease_part(memory, &EAGER);
        let block = lease.block();
        let consumer = thread::spawn(move || {
            memory.element.write(1);
            lease::return_part(block);
            std::mem::forget(part);
        });
        if lease.is_returned() {
            memory.element.write(2);
        }
        consumer.join().unwrap();
    });
}

#[test]
fn a_part_cut_off_while_it_is_dropped_does_not_count_in_the_next_lease() {
    model(|| {
        let memory = Memory::new();
        let (lease, part) = lease_part(memory, &EAGER);
        let consumer = thread::spawn(move || drop(part));
        if let Ok(owned) = end(lease) {
            let (next, part) = handle::lease(owned, Location::caller());
            consumer.join().unwrap();
            assert!(!next.is_returned(), "the part of the new lease is still out");
            drop(part);
            assert!(next.is_returned());
        } else {
            consumer.join().unwrap();
        }
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn two_parts_come_back_from_two_threads() {
    model(|| {
        let memory = Memory::new();
        let (lease, part) = lease_part(memory, &EAGER);
        let (left, right) = part.split_at(1).ok().expect("in range");
        let threads = [left, right].map(|mut part| {
            thread::spawn(move || {
                for element in part.span_mut().expect("leased").as_slice() {
                    element.write(1);
                }
            })
        });
        let early = lease.is_returned();
        if early {
            lease.try_end(Location::caller()).ok().expect("returned").as_slice()[0].write(2);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn the_last_part_wakes_who_awaits_it() {
    model(|| {
        let memory = Memory::new();
        let (lease, mut part) = lease_part(memory, &EAGER);
        let mut lessor: Lessor<Element, Exclusive> = Lessor::new(lease);
        let consumer = thread::spawn(move || part.span_mut().expect("leased").as_slice()[0].write(1));
        loom::future::block_on(lessor.returned()).expect("no span here");
        let owner = lessor.try_reclaim().expect("returned");
        owner[0].write(2);
        consumer.join().unwrap();
    });
}

#[test]
fn the_last_reader_wakes_who_awaits_the_revocation() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let lessor: Lessor<Element, ReadOnly> = Lessor::new(lease);
        let reader = thread::spawn(move || read(&view));
        let owner = loom::future::block_on(lessor.revoke()).expect("no span here");
        owner[0].write(2);
        reader.join().unwrap();
    });
}

#[test]
fn a_revocation_is_abandoned_while_the_last_one_leaves() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let pinned = view.pin().expect("leased");
        let draining = end(lease).err().expect("pinned");
        let holder = thread::spawn(move || drop(pinned));
        drop(draining);
        holder.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn many_leases_end_with_one_barrier() {
    model(|| {
        let memories = [Memory::new(), Memory::new()];
        let (leases, views): (Vec<_>, Vec<_>) =
            memories.iter().map(|memory| lease_view(memory, &EAGER)).unzip();
        let reader = thread::spawn(move || views.iter().for_each(read));
        let draining = handle::Lease::end_all(leases, Location::caller());
        reader.join().unwrap();
        for lease in draining {
            lease.try_take().ok().expect("drained").as_slice()[0].write(2);
        }
    });
}

#[test]
fn the_last_share_releases() {
    model(|| {
        let memory = Memory::new();
        let shared = memory.owned(&EAGER).into_shared();
        let other = shared.clone();
        let reader = thread::spawn(move || assert_eq!(other.as_slice()[0].read(), 1));
        match shared.try_into_owned() {
            Ok(owned) => owned.as_slice()[0].write(2),
            Err((shared, _)) => drop::<Shared<_>>(shared),
        }
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

#[test]
fn a_rest_takes_back_what_its_readers_are_done_with() {
    model(|| {
        let memory = Memory::new();
        let mut rest = Rest::new(memory.owned(&EAGER));
        let share = rest.split_to(1);
        let reader = thread::spawn(move || {
            let slice = share.clone();
            drop(share);
            assert_eq!(slice.as_slice()[0].read(), 1);
        });
        if rest.reclaim() {
            rest.as_slice()[0].write(2);
        }
        drop(rest);
        reader.join().unwrap();
        assert_eq!(memory.released(), 1);
    });
}

/// What a thread did under a span happens before what is done by whoever sees that the span is gone, also when no fence comes
/// between.
fn a_slot_publishes_departure(next: fn(&record::Slot, &'static Block, Word)) {
    model(move || {
        let memory = Memory::new();
        let (block, word) = (allocate(), Word::FIRST);
        let slot: &'static record::Slot = Box::leak(Box::new(record::Slot::new()));
        slot.occupy(block, word);
        let reader = thread::spawn(move || {
            memory.element.read();
            next(slot, block, word);
        });
        if !slot.holds(block, word) {
            memory.element.write(2);
        }
        reader.join().unwrap();
    });
}

#[test]
fn an_announced_fence_publishes_the_slots_before_it() {
    model(|| {
        let memory = Memory::new();
        let (block, word) = (allocate(), Word::FIRST);
        let record: &'static record::Record = Box::leak(Box::new(record::Record::new()));
        let observer = thread::spawn(move || {
            if record.touched_since(0) && record.count(block, word) == 0 {
                memory.element.write(2);
            }
        });
        record.first_slot().occupy(block, word);
        record.announce_touch();
        memory.element.read();
        record.first_slot().clear();
        observer.join().unwrap();
    });
}

#[test]
fn a_slot_that_another_thread_takes_over_publishes_the_departure_of_the_first() {
    model(|| {
        let memory = Memory::new();
        let (block, word) = (allocate(), Word::FIRST);
        let record: &'static record::Record = Box::leak(Box::new(record::Record::new()));
        record.first_slot().occupy(block, word);
        let first = thread::spawn(move || {
            memory.element.read();
            record.first_slot().clear();
        });
        let second = thread::spawn(move || {
            if record.occupied() == 0 {
                record.first_slot().occupy(allocate(), word);
            }
        });
        if record.count(block, word) == 0 {
            memory.element.write(2);
        }
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_record_that_is_handed_on_publishes_the_departure_of_its_first_thread() {
    model(|| {
        let memory = Memory::new();
        let (block, word) = (allocate(), Word::FIRST);
        let record: &'static record::Record = Box::leak(Box::new(record::Record::new()));
        record.first_slot().occupy(block, word);
        let first = thread::spawn(move || {
            memory.element.read();
            record.first_slot().clear();
            record.give_back();
        });
        let second = thread::spawn(move || {
            if record.try_take() {
                record.first_slot().occupy(allocate(), word);
            }
        });
        if record.count(block, word) == 0 {
            memory.element.write(2);
        }
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn an_empty_slot_publishes_departure() {
    a_slot_publishes_departure(|slot, _, _| slot.clear());
}

#[test]
fn a_slot_with_another_block_publishes_departure() {
    a_slot_publishes_departure(|slot, _, word| {
        slot.clear();
        slot.occupy(allocate(), word);
    });
}

#[test]
fn a_slot_with_another_lease_publishes_departure() {
    a_slot_publishes_departure(|slot, block, word| {
        slot.clear();
        slot.occupy(block, word.after());
    });
}

#[test]
fn a_record_is_handed_on_clean() {
    model_within(2, || {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let use_and_exit = move || {
            read(&view);
            record::detach();
        };
        let first = thread::spawn(use_and_exit);
        let second = thread::spawn(use_and_exit);
        let ended = end(lease);
        first.join().unwrap();
        second.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("drained");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn a_record_left_with_a_span_is_handed_on_when_the_span_is_gone() {
    model_within(2, || {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let late = thread::spawn(move || {
            let span = view.span();
            record::detach();
            if let Some(span) = span {
                assert_eq!(span.as_slice()[0].read(), 1);
            }
        });
        let next = thread::spawn(move || {
            read(&view);
            record::detach();
        });
        let ended = end(lease);
        late.join().unwrap();
        next.join().unwrap();
        let owned = ended.or_else(handle::Draining::try_take).ok().expect("drained");
        owned.as_slice()[0].write(2);
    });
}

#[test]
fn spans_that_an_ended_thread_left_are_counted() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let observer = thread::spawn(|| assert!(record::leaked_spans() <= 2));
        let spans = [view.span(), view.span()];
        record::detach();
        assert_eq!(record::leaked_spans(), 2);
        observer.join().unwrap();
        drop((spans, lease));
    });
}

#[test]
fn call_sites_are_those_of_the_lease_or_forgotten() {
    model(|| {
        let memory = Memory::new();
        let first = Location::caller();
        let (lease, view) = handle::lease_read_only(memory.owned(&EAGER), first);
        let origin = view.origin();
        let reader = thread::spawn(move || {
            let sites = origin.sites();
            assert!(sites.leased.is_none_or(|site| std::ptr::eq(site, first)));
        });
        let owned = end(lease).ok().expect("nobody came");
        let second = Location::caller();
        let (lease, _) = handle::lease_read_only(owned, second);
        drop(lease);
        reader.join().unwrap();
    });
}

#[test]
fn the_latest_call_site_is_that_of_the_latest_lease() {
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let origin = view.origin();
        let owned = end(lease).ok().expect("nobody came");
        let second = Location::caller();
        let reader = thread::spawn(move || {
            let (successors, latest) = origin.successors();
            assert!(successors == 0 || latest.is_none_or(|site| std::ptr::eq(site, second)));
        });
        let (lease, _) = handle::lease_read_only(owned, second);
        drop(lease);
        reader.join().unwrap();
    });
}

#[test]
fn a_blocked_thread_is_woken() {
    // `wait::until_drained` parks with the standard library; the model drives the same calls with a waker of its own.
    let _ = wait::until_drained::<Owned<Element>>;
    model(|| {
        let memory = Memory::new();
        let (lease, view) = lease_view(memory, &EAGER);
        let woken = Arc::new(Flag(loom::sync::atomic::AtomicBool::new(false)));
        let pinned = view.pin().expect("leased");
        let holder = thread::spawn(move || drop(pinned));
        let ended = end(lease);
        let ready =
            ended.as_ref().err().is_none_or(|draining| draining.poll(&Waker::from(Arc::clone(&woken))));
        holder.join().unwrap();
        assert!(ready || woken.0.load(Ordering::Relaxed));
    });
}

struct Flag(loom::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
