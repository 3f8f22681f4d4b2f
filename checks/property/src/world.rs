//! All handles there are, and the operations on them.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use leasehold::{
    Exclusive, LeaseKind, Lessor, Memory, MemoryHandle, MemoryHandleMut, MemoryOwner, MemoryPool,
    NotExclusive, ReadOnly, ReadOnlyMemory, Revocation, SharedOwner, SharedReadOnly, reclaim_now,
};

use crate::buffer::{Buffer, Lease, LeaseId, State};
use crate::element::Element;
use crate::source::{Fresh, make};
use crate::worker::Worker;

/// What to do, as bytes that random sources make: which operation, and what it picks.
pub type Operation = (u8, u8, u8, u8);

/// Does `operations` one after the other, checks every outcome, then drops all that is left and checks what was released.
pub fn run<T: Element>(operations: &[Operation]) {
    let mut world = World::<T>::new();
    for &operation in operations {
        world.step(operation);
        world.buffers.iter().for_each(Buffer::check);
    }
    world.finish();
}

struct World<T: Element> {
    pool: MemoryPool,
    workers: [Worker<T>; 2],
    buffers: Vec<Buffer>,
    owners: Vec<Held<MemoryOwner<T>>>,
    shares: Vec<Held<SharedOwner<T>>>,
    lessors: Vec<Held<AnyLessor<T>>>,
    revocations: Vec<Held<AnyRevocation<T>>>,
    memories: Vec<Held<Memory<T>>>,
    views: Vec<Held<ReadOnlyMemory<T>>>,
    pins: Vec<Held<MemoryHandle<T>>>,
    pins_mut: Vec<Held<MemoryHandleMut<T>>>,
    spans: Vec<Held<SpanOf>>,
    next_span: usize,
    next_value: u32,
}

/// A handle with what the oracle knows of it.
struct Held<H> {
    handle: H,
    id: LeaseId,
    range: Range<usize>,
}

/// A span that a worker keeps.
struct SpanOf {
    key: usize,
    worker: usize,
}

enum AnyLessor<T: Element> {
    Exclusive(Lessor<T, Exclusive>),
    ReadOnly(Lessor<T, ReadOnly>),
    Shared(Lessor<T, SharedReadOnly>),
}

enum AnyRevocation<T: Element> {
    Exclusive(Revocation<T, Exclusive>),
    ReadOnly(Revocation<T, ReadOnly>),
    Shared(Revocation<T, SharedReadOnly>),
}

/// An owner of either kind, as the end of a lease gives it back.
enum AnyOwner<T: Element> {
    Owned(MemoryOwner<T>),
    Shared(SharedOwner<T>),
}

/// A kind of lease, for code that does not care which.
trait Kind<T: Element>: LeaseKind<T> + Sized + 'static {
    fn lessor(lessor: Lessor<T, Self>) -> AnyLessor<T>;
    fn revocation(revocation: Revocation<T, Self>) -> AnyRevocation<T>;
    fn try_reclaim(lessor: Lessor<T, Self>) -> Result<AnyOwner<T>, (Lessor<T, Self>, usize, usize)>;
    fn try_take(revocation: Revocation<T, Self>) -> Result<AnyOwner<T>, Revocation<T, Self>>;
    fn wait(revocation: Revocation<T, Self>) -> Result<AnyOwner<T>, (Revocation<T, Self>, usize)>;
    fn poll(revocation: Revocation<T, Self>) -> Result<AnyOwner<T>, (Revocation<T, Self>, usize)>;
}

macro_rules! kind {
    ($kind:ident, $variant:ident -> $owner:ident) => {
        impl<T: Element> Kind<T> for $kind {
            fn lessor(lessor: Lessor<T, Self>) -> AnyLessor<T> {
                AnyLessor::$variant(lessor)
            }
            fn revocation(revocation: Revocation<T, Self>) -> AnyRevocation<T> {
                AnyRevocation::$variant(revocation)
            }
            fn try_reclaim(lessor: Lessor<T, Self>) -> Result<AnyOwner<T>, (Lessor<T, Self>, usize, usize)> {
                let in_use = match lessor.try_reclaim() {
                    Ok(owner) => return Ok(AnyOwner::$owner(owner)),
                    Err(in_use) => in_use,
                };
                Err((in_use.lessor, in_use.spans, in_use.pins))
            }
            fn try_take(revocation: Revocation<T, Self>) -> Result<AnyOwner<T>, Revocation<T, Self>> {
                revocation.try_take().map(AnyOwner::$owner)
            }
            fn wait(revocation: Revocation<T, Self>) -> Result<AnyOwner<T>, (Revocation<T, Self>, usize)> {
                revocation.wait().map(AnyOwner::$owner).map_err(|held| (held.waiting, held.spans))
            }
            fn poll(
                mut revocation: Revocation<T, Self>,
            ) -> Result<AnyOwner<T>, (Revocation<T, Self>, usize)> {
                match pin!(&mut revocation).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(owner)) => Ok(AnyOwner::$owner(owner)),
                    Poll::Ready(Err(held)) => Err((held.waiting, held.spans)),
                    Poll::Pending => Err((revocation, 0)),
                }
            }
        }
    };
}

kind!(Exclusive, Exclusive -> Owned);
kind!(ReadOnly, ReadOnly -> Owned);
kind!(SharedReadOnly, Shared -> Shared);

/// Does the same for each kind of lessor or revocation.
macro_rules! each_kind {
    ($any:ident, $handle:expr, $inner:ident => $body:expr) => {
        match $handle {
            $any::Exclusive($inner) => $body,
            $any::ReadOnly($inner) => $body,
            $any::Shared($inner) => $body,
        }
    };
}

/// Takes the handle that `pick` names out of a list.
pub fn take<H>(list: &mut Vec<H>, pick: u8) -> Option<H> {
    (!list.is_empty()).then(|| list.swap_remove(usize::from(pick) % list.len()))
}

pub fn any<H>(list: &[H], pick: u8) -> Option<&H> {
    (!list.is_empty()).then(|| &list[usize::from(pick) % list.len()])
}

fn values<T: Element>(elements: &[T]) -> Vec<u32> {
    elements.iter().map(T::value).collect()
}

/// A range for a slice of `len` elements, mostly inside.
fn range_of(len: usize, a: u8, b: u8) -> Range<usize> {
    let start = usize::from(a) % (len + 2);
    let end = usize::from(b) % (len + 3);
    start..end
}

fn fits(range: &Range<usize>, len: usize) -> bool {
    range.start <= range.end && range.end <= len
}

/// `inner` counted from the start of `outer`.
fn within(outer: &Range<usize>, inner: &Range<usize>) -> Range<usize> {
    outer.start + inner.start..outer.start + inner.end
}

impl<T: Element> World<T> {
    fn new() -> World<T> {
        World {
            pool: MemoryPool::new(),
            workers: [Worker::new(), Worker::new()],
            buffers: Vec::new(),
            owners: Vec::new(),
            shares: Vec::new(),
            lessors: Vec::new(),
            revocations: Vec::new(),
            memories: Vec::new(),
            views: Vec::new(),
            pins: Vec::new(),
            pins_mut: Vec::new(),
            spans: Vec::new(),
            next_span: 0,
            next_value: 1000,
        }
    }

    fn step(&mut self, (what, a, b, c): Operation) {
        let worker = usize::from(c >> 7);
        match what % 38 {
            0..=2 => self.create(worker, a, b),
            3 => self.write_owner(worker, a),
            4 => self.truncate(a, b),
            5 => self.share(a),
            6 | 7 => self.lease(worker, a),
            8 | 9 => self.lease_read_only(worker, a),
            10 => self.drop_owner(worker, a),
            11 => self.slice_share(worker, a, b, c),
            12 => self.split_share(a, b),
            13 => self.own_again(worker, a),
            14 => self.lease_share(worker, a),
            15 => self.drop_share(worker, a),
            16 => self.read_memory(worker, a, b),
            17 => self.write_memory(worker, a),
            18 => self.split_memory(worker, a, b),
            19 => self.join_memories(worker, a, b),
            20 => self.slice_memory(a, b, c),
            21 => self.pin_memory(worker, a),
            22 => self.drop_memory(worker, a, b),
            23 => self.hold_memory(worker, a),
            24 => self.read_view(worker, a),
            25 => self.slice_view(a, b, c),
            26 => self.hold_view(worker, a),
            27 => self.pin_view(worker, a),
            28 => self.drop_view(a),
            29 => self.end_pin(worker, a, b),
            30 => self.end_pin_mut(worker, a, b),
            31 => self.end_span(a, b),
            32 => self.try_reclaim(worker, a),
            33 => self.revoke(worker, a),
            34 => self.revoke_all(worker, a, b),
            35 => self.drop_lessor(worker, a),
            36 => self.end_revocation(worker, a, b),
            _ => self.look_at_lessor(worker, a),
        }
    }

    fn lease_of(&self, id: LeaseId) -> &Lease {
        &self.buffers[id.buffer].leases[id.lease]
    }

    fn lease_mut(&mut self, id: LeaseId) -> &mut Lease {
        &mut self.buffers[id.buffer].leases[id.lease]
    }

    fn contents(&self, id: LeaseId, range: &Range<usize>) -> Vec<u32> {
        self.buffers[id.buffer].slice(range).to_vec()
    }

    fn fresh_value(&mut self) -> u32 {
        self.next_value += 1;
        self.next_value
    }

    fn wrote(&mut self, id: LeaseId, range: &Range<usize>, value: u32) {
        self.buffers[id.buffer].contents[range.clone()].fill(value);
    }

    // Owners.

    fn create(&mut self, worker: usize, kind: u8, len: u8) {
        let (pool, seed) = (self.pool.clone(), self.fresh_value());
        let made = self.workers[worker].run(move |_| make::<T>(kind, usize::from(len % 10), seed, &pool));
        let tells = [made.tells_release, made.tells_pins, made.drops_elements];
        let writable = !(kind % 9 == 6 || kind % 9 == 8 && T::table().is_some());
        let id = LeaseId { buffer: self.buffers.len(), lease: usize::MAX };
        let range = 0..made.contents.len();
        let mut buffer = Buffer::new((made.contents, made.seen), writable, tells);
        match made.fresh {
            Fresh::Owned(handle) => self.owners.push(Held { handle, id, range }),
            Fresh::Shared(handle) => {
                buffer.shares = 1;
                self.shares.push(Held { handle, id, range });
            }
        }
        self.buffers.push(buffer);
    }

    fn write_owner(&mut self, worker: usize, pick: u8) {
        let Some(mut held) = take(&mut self.owners, pick) else { return };
        let (expected, value) = (self.contents(held.id, &held.range), self.fresh_value());
        held.handle = self.workers[worker].run(move |_| {
            let mut owner = held.handle;
            assert_eq!(values(&owner), expected);
            owner.iter_mut().for_each(|element| element.set(value));
            owner
        });
        self.wrote(held.id, &held.range, value);
        self.owners.push(held);
    }

    fn truncate(&mut self, pick: u8, len: u8) {
        let Some(mut held) = take(&mut self.owners, pick) else { return };
        let len = usize::from(len % 12);
        held.handle.truncate(len);
        held.range.end = held.range.end.min(held.range.start + len);
        self.owners.push(held);
    }

    fn share(&mut self, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.owners, pick) else { return };
        self.buffers[id.buffer].shares = 1;
        self.shares.push(Held { handle: handle.into_shared(), id, range });
    }

    fn begin(&mut self, id: LeaseId, exclusive: bool) -> LeaseId {
        LeaseId { buffer: id.buffer, lease: self.buffers[id.buffer].begin(exclusive) }
    }

    fn lease(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.owners, pick) else { return };
        let id = self.begin(id, true);
        let (lessor, memory) = self.workers[worker].run(move |_| handle.lease());
        assert_eq!((lessor.len(), memory.len()), (range.len(), range.len()));
        self.lessors.push(Held { handle: AnyLessor::Exclusive(lessor), id, range: range.clone() });
        self.memories.push(Held { handle: memory, id, range });
    }

    fn lease_read_only(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.owners, pick) else { return };
        let id = self.begin(id, false);
        let (lessor, memory) = self.workers[worker].run(move |_| handle.lease_read_only());
        assert_eq!((lessor.len(), memory.len()), (range.len(), range.len()));
        self.lessors.push(Held { handle: AnyLessor::ReadOnly(lessor), id, range: range.clone() });
        self.views.push(Held { handle: memory, id, range });
    }

    fn drop_owner(&mut self, worker: usize, pick: u8) {
        let Some(held) = take(&mut self.owners, pick) else { return };
        self.workers[worker].run(move |_| drop(held.handle));
        self.buffers[held.id.buffer].released = true;
    }

    // Shared owners.

    fn slice_share(&mut self, worker: usize, pick: u8, b: u8, c: u8) {
        let Some(held) = any(&self.shares, pick) else { return };
        let (id, outer) = (held.id, held.range.clone());
        let (range, expected) = (range_of(outer.len(), b, c), self.contents(id, &outer));
        let share = held.handle.clone();
        let sliced = self.workers[worker].run({
            let range = range.clone();
            move |_| {
                assert_eq!(values(&share), expected);
                share.try_slice(range).ok()
            }
        });
        assert_eq!(sliced.is_some(), fits(&range, outer.len()));
        if let Some(handle) = sliced {
            self.buffers[id.buffer].shares += 1;
            self.shares.push(Held { handle, id, range: within(&outer, &range) });
        }
    }

    fn split_share(&mut self, pick: u8, mid: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.shares, pick) else { return };
        let mid = usize::from(mid) % (range.len() + 1);
        let (left, right) = handle.split_at(mid);
        self.buffers[id.buffer].shares += 1;
        let mid = range.start + mid;
        self.shares.push(Held { handle: left, id, range: range.start..mid });
        self.shares.push(Held { handle: right, id, range: mid..range.end });
    }

    fn own_again(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.shares, pick) else { return };
        let buffer = &mut self.buffers[id.buffer];
        assert_eq!(handle.owners(), buffer.shares);
        match self.workers[worker].run(move |_| handle.try_into_owner()) {
            Ok(handle) => {
                assert!(buffer.shares == 1 && buffer.writable);
                buffer.shares = 0;
                self.owners.push(Held { handle, id, range });
            }
            Err(refused) => {
                assert_eq!(matches!(refused, NotExclusive::ReadOnly(_)), !buffer.writable);
                assert!(buffer.shares > 1 || !buffer.writable);
                self.shares.push(Held { handle: refused.into_shared(), id, range });
            }
        }
    }

    fn lease_share(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.shares, pick) else { return };
        let unique = self.buffers[id.buffer].shares == 1;
        match self.workers[worker].run(move |_| handle.try_lease_read_only()) {
            Ok((lessor, memory)) => {
                assert!(unique);
                let id = self.begin(id, false);
                self.lessors.push(Held { handle: AnyLessor::Shared(lessor), id, range: range.clone() });
                self.views.push(Held { handle: memory, id, range });
            }
            Err(refused) => {
                assert!(!unique && matches!(refused, NotExclusive::Shared(_)));
                self.shares.push(Held { handle: refused.into_shared(), id, range });
            }
        }
    }

    fn drop_share(&mut self, worker: usize, pick: u8) {
        let Some(held) = take(&mut self.shares, pick) else { return };
        self.workers[worker].run(move |_| drop(held.handle));
        let buffer = &mut self.buffers[held.id.buffer];
        buffer.shares -= 1;
        buffer.released = buffer.shares == 0;
    }

    // Exclusive memories.

    /// Whether the lease goes on, and what a handle of it is to show.
    fn expectation(&self, id: LeaseId, range: &Range<usize>) -> Option<Vec<u32>> {
        self.lease_of(id).is_running().then(|| self.contents(id, range))
    }

    fn read_memory(&mut self, worker: usize, pick: u8, how: u8) {
        let Some(mut held) = take(&mut self.memories, pick) else { return };
        let expected = self.expectation(held.id, &held.range);
        let forgets = how % 16 == 1;
        if forgets && expected.is_some() {
            self.lease_mut(held.id).spans[worker] += 1;
        }
        held.handle = self.workers[worker].run(move |_| {
            let span = held.handle.span().ok();
            assert_eq!(span.as_ref().map(|span| values(span)), expected);
            if forgets {
                std::mem::forget(span)
            } else {
                drop(span)
            }
            held.handle
        });
        self.memories.push(held);
    }

    fn write_memory(&mut self, worker: usize, pick: u8) {
        let Some(mut held) = take(&mut self.memories, pick) else { return };
        let (running, value) = (self.lease_of(held.id).is_running(), self.fresh_value());
        held.handle = self.workers[worker].run(move |_| {
            let written = held.handle.span_mut().map(|mut span| {
                span.iter_mut().for_each(|element| element.set(value));
            });
            assert_eq!(written.is_ok(), running);
            held.handle
        });
        if running {
            self.wrote(held.id, &held.range, value);
        }
        self.memories.push(held);
    }

    fn split_memory(&mut self, worker: usize, pick: u8, mid: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.memories, pick) else { return };
        let mid = usize::from(mid) % (range.len() + 2);
        match self.workers[worker].run(move |_| handle.split_at(mid)) {
            Ok((left, right)) => {
                assert!(mid <= range.len());
                self.lease_mut(id).part_made();
                let mid = range.start + mid;
                self.memories.push(Held { handle: left, id, range: range.start..mid });
                self.memories.push(Held { handle: right, id, range: mid..range.end });
            }
            Err(refused) => {
                assert!(mid > range.len());
                self.memories.push(Held { handle: refused.memory, id, range });
            }
        }
    }

    fn join_memories(&mut self, worker: usize, a: u8, b: u8) {
        if self.memories.len() < 2 {
            return;
        }
        let first = take(&mut self.memories, a).unwrap();
        let second = take(&mut self.memories, b).unwrap();
        let (Held { handle: first, id, range }, Held { handle: second, id: other, range: next }) =
            (first, second);
        let adjacent = id == other && range.end == next.start;
        match self.workers[worker].run(move |_| first.join(second)) {
            Ok(handle) => {
                assert!(adjacent);
                self.lease_mut(id).part_ended();
                self.memories.push(Held { handle, id, range: range.start..next.end });
            }
            Err(apart) => {
                assert!(!adjacent);
                self.memories.push(Held { handle: apart.first, id, range });
                self.memories.push(Held { handle: apart.second, id: other, range: next });
            }
        }
    }

    fn slice_memory(&mut self, pick: u8, b: u8, c: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.memories, pick) else { return };
        let inner = range_of(range.len(), b, c);
        match handle.slice(inner.clone()) {
            Ok(handle) => {
                assert!(fits(&inner, range.len()));
                self.memories.push(Held { handle, id, range: within(&range, &inner) });
            }
            Err(refused) => {
                assert!(!fits(&inner, range.len()));
                self.memories.push(Held { handle: refused.memory, id, range });
            }
        }
    }

    fn pin_memory(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.memories, pick) else { return };
        let running = self.lease_of(id).is_running();
        match self.workers[worker].run(move |_| handle.pin()) {
            Ok(handle) => {
                assert!(running);
                self.buffers[id.buffer].pinned(id.lease);
                self.pins_mut.push(Held { handle, id, range });
            }
            Err(refused) => {
                assert!(!running);
                self.memories.push(Held { handle: refused.memory, id, range });
            }
        }
    }

    fn drop_memory(&mut self, worker: usize, pick: u8, how: u8) {
        let Some(held) = take(&mut self.memories, pick) else { return };
        if how % 16 == 1 {
            return std::mem::forget(held.handle);
        }
        self.workers[worker].run(move |_| drop(held.handle));
        self.lease_mut(held.id).part_ended();
    }

    /// Gives a part up for a span that is held.
    fn hold_memory(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.memories, pick) else { return };
        if !self.lease_of(id).is_running() {
            return self.memories.push(Held { handle, id, range });
        }
        let key = self.next_span;
        self.next_span += 1;
        self.workers[worker].run(move |local| {
            let memory: &'static Memory<T> = Box::leak(Box::new(handle));
            local.spans.insert(key, memory.span().unwrap());
        });
        self.lease_mut(id).spans[worker] += 1;
        self.spans.push(Held { handle: SpanOf { key, worker }, id, range });
    }

    // Views.

    fn read_view(&mut self, worker: usize, pick: u8) {
        let Some(held) = any(&self.views, pick) else { return };
        let (view, expected) = (held.handle, self.expectation(held.id, &held.range));
        self.workers[worker].run(move |_| {
            let span = view.span();
            assert_eq!(span.as_ref().ok().map(|span| values(span)), expected);
            let Err(revoked) = span else { return };
            assert!(revoked.to_string().contains("the lease is over"));
        });
    }

    fn slice_view(&mut self, pick: u8, b: u8, c: u8) {
        let Some(held) = any(&self.views, pick) else { return };
        let (id, outer, inner) = (held.id, held.range.clone(), range_of(held.range.len(), b, c));
        let sliced = held.handle.try_slice(inner.clone());
        assert_eq!(sliced.is_ok(), fits(&inner, outer.len()));
        if let Ok(handle) = sliced {
            let range = within(&outer, &inner);
            let known = self.views.iter().find(|view| view.handle == handle);
            assert!(known.is_none_or(|view| view.id == id && view.range == range || range.is_empty()));
            self.views.push(Held { handle, id, range });
        }
    }

    fn hold_view(&mut self, worker: usize, pick: u8) {
        let Some(held) = any(&self.views, pick) else { return };
        let (view, id, range) = (held.handle, held.id, held.range.clone());
        let running = self.lease_of(id).is_running();
        let key = self.next_span;
        self.next_span += 1;
        let entered = self.workers[worker].run(move |local| {
            let view: &'static ReadOnlyMemory<T> = Box::leak(Box::new(view));
            view.span().map(|span| local.spans.insert(key, span)).is_ok()
        });
        assert_eq!(entered, running);
        if running {
            self.lease_mut(id).spans[worker] += 1;
            self.spans.push(Held { handle: SpanOf { key, worker }, id, range });
        }
    }

    fn pin_view(&mut self, worker: usize, pick: u8) {
        let Some(held) = any(&self.views, pick) else { return };
        let (view, id, range) = (held.handle, held.id, held.range.clone());
        let pinned = self.workers[worker].run(move |_| view.pin().ok());
        assert_eq!(pinned.is_some(), self.lease_of(id).is_running());
        if let Some(handle) = pinned {
            self.buffers[id.buffer].pinned(id.lease);
            self.pins.push(Held { handle, id, range });
        }
    }

    fn drop_view(&mut self, pick: u8) {
        // Stale handles are kept for long: they are what must not come back to life.
        if self.views.len() > 20 {
            take(&mut self.views, pick);
        }
    }

    // Pins and held spans.

    fn end_pin(&mut self, worker: usize, pick: u8, how: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.pins, pick) else { return };
        let expected = self.contents(id, &range);
        let view = self.workers[worker].run(move |_| {
            assert_eq!(values(&handle), expected);
            let view = handle.memory();
            if how % 16 == 1 {
                std::mem::forget(handle)
            } else {
                drop(handle)
            }
            view
        });
        if how % 16 != 1 {
            self.buffers[id.buffer].unpinned(id.lease);
        }
        self.views.push(Held { handle: view, id, range });
    }

    fn end_pin_mut(&mut self, worker: usize, pick: u8, how: u8) {
        let Some(Held { mut handle, id, range }) = take(&mut self.pins_mut, pick) else { return };
        let (expected, value) = (self.contents(id, &range), self.fresh_value());
        self.wrote(id, &range, value);
        let memory = self.workers[worker].run(move |_| {
            assert_eq!(values(&handle), expected);
            handle.iter_mut().for_each(|element| element.set(value));
            match how % 8 {
                1 => std::mem::forget(handle),
                2..=4 => drop(handle),
                _ => return Some(handle.unpin()),
            }
            None
        });
        if how % 8 == 1 {
            return;
        }
        match memory {
            Some(handle) => self.memories.push(Held { handle, id, range }),
            None => self.lease_mut(id).part_ended(),
        }
        self.buffers[id.buffer].unpinned(id.lease);
    }

    fn end_span(&mut self, pick: u8, how: u8) {
        let Some(Held { handle: SpanOf { key, worker }, id, range }) = take(&mut self.spans, pick) else {
            return;
        };
        let expected = self.contents(id, &range);
        self.workers[worker].run(move |local| {
            let span = local.spans.remove(&key).unwrap();
            assert_eq!(values(&span), expected);
            if how % 16 == 1 { std::mem::forget(span) } else { drop(span) }
        });
        if how % 16 != 1 {
            self.buffers[id.buffer].span_ended(id.lease, worker);
        }
    }

    // The ends of leases.

    fn ended(&mut self, owner: AnyOwner<T>, id: LeaseId, range: Range<usize>) {
        let lease = self.lease_mut(id);
        assert!(lease.is_reclaimable() && lease.state != State::Ended);
        lease.state = State::Ended;
        match owner {
            AnyOwner::Owned(handle) => self.owners.push(Held { handle, id, range }),
            AnyOwner::Shared(handle) => {
                self.buffers[id.buffer].shares = 1;
                self.shares.push(Held { handle, id, range });
            }
        }
    }

    fn try_reclaim(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.lessors, pick) else { return };
        let lease = self.lease_of(id);
        let (spans, pins, free) = (lease.span_count(), lease.pins, lease.is_reclaimable());
        each_kind!(AnyLessor, handle, lessor => {
            match self.workers[worker].run(move |_| Kind::try_reclaim(lessor)) {
                Ok(owner) => {
                    assert!(free);
                    self.ended(owner, id, range);
                }
                Err((lessor, seen_spans, seen_pins)) => {
                    assert!(!free);
                    assert_eq!((seen_spans, seen_pins), (spans, pins), "a refusal counts right");
                    self.lessors.push(Held { handle: Kind::lessor(lessor), id, range });
                }
            }
        });
    }

    fn revoke(&mut self, worker: usize, pick: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.lessors, pick) else { return };
        let handle = each_kind!(AnyLessor, handle, lessor => {
            Kind::revocation(self.workers[worker].run(move |_| lessor.revoke()))
        });
        self.lease_mut(id).state = State::Draining;
        self.revocations.push(Held { handle, id, range });
    }

    /// Revokes those of the lessors that are of one kind.
    fn revoke_all(&mut self, worker: usize, kind: u8, most: u8) {
        let mut exclusive = Vec::new();
        let mut read_only = Vec::new();
        let mut rest = Vec::new();
        for held in self.lessors.drain(..) {
            match held.handle {
                AnyLessor::Exclusive(lessor) if kind < 128 && exclusive.len() < usize::from(most) => {
                    exclusive.push((lessor, held.id, held.range));
                }
                AnyLessor::ReadOnly(lessor) if kind >= 128 && read_only.len() < usize::from(most) => {
                    read_only.push((lessor, held.id, held.range));
                }
                handle => rest.push(Held { handle, id: held.id, range: held.range }),
            }
        }
        self.lessors = rest;
        self.revoke_these(worker, exclusive);
        self.revoke_these(worker, read_only);
    }

    fn revoke_these<K: Kind<T>>(&mut self, worker: usize, these: Vec<(Lessor<T, K>, LeaseId, Range<usize>)>)
    where
        Lessor<T, K>: Send,
        Revocation<T, K>: Send,
    {
        let mut lessors = Vec::new();
        let mut known = Vec::new();
        for (lessor, id, range) in these {
            lessors.push(lessor);
            known.push((id, range));
        }
        let revocations = self.workers[worker].run(move |_| Lessor::revoke_all(lessors));
        assert_eq!(revocations.len(), known.len());
        for (revocation, (id, range)) in revocations.into_iter().zip(known) {
            self.lease_mut(id).state = State::Draining;
            self.revocations.push(Held { handle: K::revocation(revocation), id, range });
        }
    }

    fn drop_lessor(&mut self, worker: usize, pick: u8) {
        let Some(held) = take(&mut self.lessors, pick) else { return };
        each_kind!(AnyLessor, held.handle, lessor => self.workers[worker].run(move |_| drop(lessor)));
        self.buffers[held.id.buffer].abandon(held.id.lease);
    }

    fn end_revocation(&mut self, worker: usize, pick: u8, how: u8) {
        let Some(Held { handle, id, range }) = take(&mut self.revocations, pick) else { return };
        let lease = self.lease_of(id);
        let (free, own_spans) = (lease.is_reclaimable(), lease.spans[worker]);
        each_kind!(AnyRevocation, handle, revocation => {
            let outcome = match how % 4 {
                0 => {
                    self.workers[worker].run(move |_| drop(revocation));
                    return self.buffers[id.buffer].abandon(id.lease);
                }
                // A wait for others would not end: nothing happens meanwhile.
                1 if free || own_spans > 0 => self.workers[worker].run(move |_| Kind::wait(revocation)),
                2 => self.workers[worker].run(move |_| Kind::poll(revocation)),
                _ => self.workers[worker].run(move |_| Kind::try_take(revocation).map_err(|back| (back, own_spans))),
            };
            match outcome {
                Ok(owner) => {
                    assert!(free);
                    self.ended(owner, id, range);
                }
                Err((revocation, spans)) => {
                    assert!(!free);
                    assert_eq!(spans, own_spans, "the spans of the thread that waits");
                    self.revocations.push(Held { handle: Kind::revocation(revocation), id, range });
                }
            }
        });
    }

    fn look_at_lessor(&mut self, worker: usize, pick: u8) {
        self.workers[worker].run(|_| reclaim_now());
        let Some(Held { handle, id, range }) = take(&mut self.lessors, pick) else { return };
        let AnyLessor::Exclusive(mut lessor) = handle else {
            return self.lessors.push(Held { handle, id, range });
        };
        let lease = self.lease_of(id);
        let (returned, own_spans) = (lease.is_returned(), lease.spans[worker]);
        let lessor = self.workers[worker].run(move |_| {
            assert_eq!(lessor.is_returned(), returned);
            match pin!(lessor.returned()).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(())) => assert!(returned),
                Poll::Ready(Err(held)) => assert_eq!((returned, held.spans), (false, own_spans)),
                Poll::Pending => assert_eq!((returned, own_spans), (false, 0)),
            }
            lessor
        });
        self.lessors.push(Held { handle: AnyLessor::Exclusive(lessor), id, range });
    }

    /// Drops everything, and checks that all is released but what was forgotten.
    fn finish(mut self) {
        while !self.spans.is_empty() {
            self.end_span(0, 0);
        }
        while !self.lessors.is_empty() {
            self.drop_lessor(0, 0);
        }
        while !self.revocations.is_empty() {
            self.end_revocation(1, 0, 0);
        }
        while !self.pins.is_empty() {
            self.end_pin(0, 0, 0);
        }
        while !self.pins_mut.is_empty() {
            self.end_pin_mut(1, 0, 2);
        }
        while !self.memories.is_empty() {
            self.drop_memory(0, 0, 0);
        }
        while !self.owners.is_empty() {
            self.drop_owner(1, 0);
        }
        while !self.shares.is_empty() {
            self.drop_share(0, 0);
        }
        for view in &self.views {
            assert!(view.handle.span().is_err() && view.handle.pin().is_err());
        }
        self.buffers.iter().for_each(Buffer::check);
        let forgotten = |buffer: &Buffer| buffer.leases.iter().any(|lease| !lease.is_empty());
        assert!(self.buffers.iter().all(|buffer| buffer.released || forgotten(buffer)));
    }
}
