//! The kernel's side of a ring, and the memory that it may write: all the unsafe code there is for `io_uring`.
//!
//! U1. The memory, the list of its pieces and the file of each entry that was pushed belong to a transfer in `in_flight`, where
//!     nobody touches them, until the kernel has posted the entry's completion, which is the last it does with them.
//! U2. A `Kernel` ends only when `in_flight` is empty.
#![expect(unsafe_code, reason = "the kernel gets addresses")]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};
use leasehold::MemoryOwner;

use super::operation::Slot;
use super::registered::ring_number;
use crate::stable::{Stable, StableMut, StableSegments};

/// The number of all requests to cancel; nobody asks what becomes of them.
const CANCEL: u64 = u64::MAX;
/// The most bytes that Linux moves at a time.
const MOST: usize = 0x7fff_f000;
/// The most segments that Linux takes at a time.
const MOST_SEGMENTS: usize = 1024;
/// The position of a file that has its own.
const OWN_POSITION: u64 = u64::MAX;

/// What an operation keeps while the kernel works on it.
///
/// # Safety
/// - What the entry addresses stays in place, readable and, for a read, writable, until the transfer is dropped or ended,
///   wherever it moves, and nobody else touches it.
/// - The entry's file stays open as long.
pub(super) unsafe trait Transfer: Send {
    /// What to tell the kernel, for the ring of this number.
    fn entry(&mut self, ring: u64) -> squeue::Entry;

    /// Hands out the memory with the result.
    fn end(self: Box<Self>, result: io::Result<usize>);
}

/// A read into `memory`.
pub(super) struct Reading<F, B> {
    descriptor: types::Fd,
    /// Keeps the descriptor open.
    file: Arc<F>,
    memory: B,
    /// `None` for the file's own.
    offset: Option<u64>,
    slot: Arc<Slot<B>>,
}

impl<F: AsFd, B> Reading<F, B> {
    pub(super) fn new(file: &Arc<F>, memory: B, offset: Option<u64>, slot: Arc<Slot<B>>) -> Self {
        Reading { descriptor: descriptor(&**file), file: Arc::clone(file), memory, offset, slot }
    }
}

// SAFETY: `StableMut` is sealed, and each of its types keeps its bytes in place and to itself. The descriptor was borrowed from
// the file, so it is open for as long as the file can be borrowed; we hold a count, and let nobody have it mutably.
unsafe impl<F: AsFd + Send + Sync + 'static, B: StableMut> Transfer for Reading<F, B> {
    fn entry(&mut self, ring: u64) -> squeue::Entry {
        let (file, len) = (self.descriptor, length(self.memory.bytes()));
        let (start, registration) = (self.memory.bytes_mut().as_mut_ptr(), self.memory.registration());
        let offset = position(self.offset);
        match registration {
            Some((home, index)) if home == ring => {
                opcode::ReadFixed::new(file, start, len, index).offset(offset).build()
            }
            _ => opcode::Read::new(file, start, len).offset(offset).build(),
        }
    }

    fn end(self: Box<Self>, result: io::Result<usize>) {
        let Reading { memory, slot, file, .. } = *self;
        let_go(file);
        slot.put(memory, result);
    }
}

/// A write from `memory`.
pub(super) struct Writing<F, B> {
    descriptor: types::Fd,
    /// Keeps the descriptor open.
    file: Arc<F>,
    memory: B,
    /// `None` for the file's own.
    offset: Option<u64>,
    slot: Arc<Slot<B>>,
}

impl<F: AsFd, B> Writing<F, B> {
    pub(super) fn new(file: &Arc<F>, memory: B, offset: Option<u64>, slot: Arc<Slot<B>>) -> Self {
        Writing { descriptor: descriptor(&**file), file: Arc::clone(file), memory, offset, slot }
    }
}

// SAFETY: as for `Reading`; the kernel only reads, and so may the other holders of a `Stable`.
unsafe impl<F: AsFd + Send + Sync + 'static, B: Stable> Transfer for Writing<F, B> {
    fn entry(&mut self, ring: u64) -> squeue::Entry {
        let (file, len) = (self.descriptor, length(self.memory.bytes()));
        let start = self.memory.bytes().as_ptr();
        let offset = position(self.offset);
        match self.memory.registration() {
            Some((home, index)) if home == ring => {
                opcode::WriteFixed::new(file, start, len, index).offset(offset).build()
            }
            _ => opcode::Write::new(file, start, len).offset(offset).build(),
        }
    }

    fn end(self: Box<Self>, result: io::Result<usize>) {
        let Writing { memory, slot, file, .. } = *self;
        let_go(file);
        slot.put(memory, result);
    }
}

/// A read into several memories, one after the other.
pub(super) struct Scattering<F, B> {
    descriptor: types::Fd,
    /// Keeps the descriptor open.
    file: Arc<F>,
    memories: Vec<B>,
    vectors: Vectors,
    /// `None` for the file's own.
    offset: Option<u64>,
    slot: Arc<Slot<Vec<B>>>,
}

impl<F: AsFd, B> Scattering<F, B> {
    pub(super) fn new(file: &Arc<F>, memories: Vec<B>, offset: Option<u64>, slot: Arc<Slot<Vec<B>>>) -> Self {
        let (descriptor, vectors) = (descriptor(&**file), Vectors::default());
        Scattering { descriptor, file: Arc::clone(file), memories, vectors, offset, slot }
    }
}

// SAFETY: as for `Reading`, of each of the memories. The vectors lie on the heap, where nobody touches them until the transfer goes.
unsafe impl<F: AsFd + Send + Sync + 'static, B: StableMut> Transfer for Scattering<F, B> {
    fn entry(&mut self, _: u64) -> squeue::Entry {
        self.vectors = Vectors::of(self.memories.iter_mut().map(|memory| {
            let bytes = memory.bytes_mut();
            (bytes.as_mut_ptr(), bytes.len())
        }));
        let (start, len) = self.vectors.start();
        opcode::Readv::new(self.descriptor, start, len).offset(position(self.offset)).build()
    }

    fn end(self: Box<Self>, result: io::Result<usize>) {
        let Scattering { memories, slot, file, .. } = *self;
        let_go(file);
        slot.put(memories, result);
    }
}

/// A write from several segments, one after the other.
pub(super) struct Gathering<F, S> {
    descriptor: types::Fd,
    /// Keeps the descriptor open.
    file: Arc<F>,
    segments: S,
    vectors: Vectors,
    /// `None` for the file's own.
    offset: Option<u64>,
    slot: Arc<Slot<S>>,
}

impl<F: AsFd, S> Gathering<F, S> {
    pub(super) fn new(file: &Arc<F>, segments: S, offset: Option<u64>, slot: Arc<Slot<S>>) -> Self {
        let (descriptor, vectors) = (descriptor(&**file), Vectors::default());
        Gathering { descriptor, file: Arc::clone(file), segments, vectors, offset, slot }
    }
}

// SAFETY: as for `Writing` and `Scattering`; `StableSegments` is sealed, and each of its types keeps its segments in place.
unsafe impl<F: AsFd + Send + Sync + 'static, S: StableSegments> Transfer for Gathering<F, S> {
    fn entry(&mut self, _: u64) -> squeue::Entry {
        let segments = self.segments.segments();
        self.vectors = Vectors::of(segments.map(|segment| (segment.as_ptr().cast_mut(), segment.len())));
        let (start, len) = self.vectors.start();
        opcode::Writev::new(self.descriptor, start, len).offset(position(self.offset)).build()
    }

    fn end(self: Box<Self>, result: io::Result<usize>) {
        let Gathering { segments, slot, file, .. } = *self;
        let_go(file);
        slot.put(segments, result);
    }
}

/// What the kernel is told of several pieces of memory: where each begins, and how long it is.
#[derive(Default)]
struct Vectors(Vec<libc::iovec>);

// SAFETY: addresses and lengths. What is at the addresses belongs to the transfer, which may go to another thread.
unsafe impl Send for Vectors {}

impl Vectors {
    /// The first pieces that are not empty, as many as the kernel takes. An empty one would use up a place, and a thousand of
    /// them would look like the end of the file.
    fn of(pieces: impl Iterator<Item = (*mut u8, usize)>) -> Vectors {
        let pieces = pieces.filter(|&(_, len)| len > 0).take(MOST_SEGMENTS);
        Vectors(pieces.map(|(start, iov_len)| libc::iovec { iov_base: start.cast(), iov_len }).collect())
    }

    /// Where the vectors are, and how many: few enough for the number.
    fn start(&self) -> (*const libc::iovec, u32) {
        (self.0.as_ptr(), self.0.len() as u32)
    }
}

/// Before the outcome is shown, so that who sees it finds the file closed; what its drop panics with must not keep the outcome back.
fn let_go<F>(file: Arc<F>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(file)));
}

fn descriptor(file: &impl AsFd) -> types::Fd {
    let file: RawFd = file.as_fd().as_raw_fd();
    types::Fd(file)
}

/// No file has a byte at the largest offset, so that one need not be told from its neighbour: both are refused by the kernel.
fn position(offset: Option<u64>) -> u64 {
    offset.map_or(OWN_POSITION, |offset| offset.min(OWN_POSITION - 1))
}

/// Fits, since `MOST` does.
fn length(bytes: &[u8]) -> u32 {
    bytes.len().min(MOST) as u32
}

/// A ring and what is under way in it.
pub(super) struct Kernel {
    ring: IoUring,
    number: u64,
    in_flight: HashMap<u64, Box<dyn Transfer>>,
    /// Completions that were taken from the ring, and not handed out yet.
    completed: Vec<(u64, i32)>,
}

impl Kernel {
    /// Sets up a ring that knows `buffers`.
    pub(super) fn new(entries: u32, buffers: &mut [MemoryOwner<u8>]) -> io::Result<Kernel> {
        let ring = IoUring::new(entries)?;
        // Without it the kernel drops completions when there are too many, and memory would be kept for ever.
        if !ring.params().is_feature_nodrop() {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        if !buffers.is_empty() {
            let vectors: Vec<libc::iovec> = buffers.iter_mut().map(vector).collect();
            // SAFETY: the ranges are owned memory. The kernel keeps their pages by itself, and touches them only for entries
            // of transfers that own the buffer (U1).
            unsafe { ring.submitter().register_buffers(&vectors) }?;
        }
        let (in_flight, completed) = (HashMap::new(), Vec::new());
        Ok(Kernel { ring, number: ring_number(), in_flight, completed })
    }

    /// What registered buffers are known by.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Hands a transfer to the kernel, at the latest with the next [`submit`](Self::submit).
    pub(super) fn start(&mut self, id: u64, mut transfer: Box<dyn Transfer>) {
        let entry = transfer.entry(self.number).user_data(id);
        // Before the push, so that nothing can come between (U1).
        self.in_flight.insert(id, transfer);
        self.push(&entry);
    }

    /// Asks the kernel to end what is still under way.
    pub(super) fn cancel(&mut self, id: u64) {
        if self.in_flight.contains_key(&id) {
            self.push(&opcode::AsyncCancel::new(id).build().user_data(CANCEL));
        }
    }

    /// Tells the kernel what was pushed.
    pub(super) fn submit(&mut self) {
        self.enter(0);
    }

    /// Tells the kernel what was pushed, and waits for a completion.
    pub(super) fn wait(&mut self) {
        self.enter(1);
    }

    /// Hands out what is complete. What the memory's owners panic with in their drops stays here.
    pub(super) fn finish(&mut self) {
        self.collect();
        for (id, result) in std::mem::take(&mut self.completed) {
            if let Some(transfer) = self.in_flight.remove(&id) {
                let _ = catch_unwind(AssertUnwindSafe(|| transfer.end(outcome(result))));
            }
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: the entry's memory and file are those of a transfer in `in_flight` (U1), or it has none.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            self.enter(0);
        }
    }

    /// Whatever goes wrong here does so before the kernel has taken an entry, or does not end those that it has: they are
    /// kept, and it is tried again.
    fn enter(&mut self, completions: usize) {
        self.collect();
        let completions = if self.completed.is_empty() { completions } else { 0 };
        if let Err(error) = self.ring.submit_and_wait(completions)
            && !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY))
        {
            // Out of memory, mostly. The loops above come here again.
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes completions from the ring, so that there is room for more.
    fn collect(&mut self) {
        let completions = self.ring.completion();
        let of_transfers = completions.filter(|entry| entry.user_data() != CANCEL);
        self.completed.extend(of_transfers.map(|entry| (entry.user_data(), entry.result())));
    }
}

/// Cancels what is left, and waits for it (U2).
impl Drop for Kernel {
    fn drop(&mut self) {
        let left: Vec<u64> = self.in_flight.keys().copied().collect();
        left.into_iter().for_each(|id| self.cancel(id));
        while !self.in_flight.is_empty() {
            self.wait();
            self.finish();
        }
    }
}

fn vector(buffer: &mut MemoryOwner<u8>) -> libc::iovec {
    libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() }
}

/// The kernel's way to say how many, or what went wrong.
fn outcome(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
mod tests {
    use std::io::Write;

    use leasehold::MemoryPool;

    use super::super::error::Task;
    use super::*;

    const TASK: Task = Task { verb: "read", len: 100, offset: None };

    #[test]
    fn memory_is_kept_from_the_cancellation_to_the_completion() {
        is_kept_from_the_cancellation_to_the_completion(|pool, from| {
            Box::new(Reading::new(from, pool.rent::<u8>(100), None, Arc::new(Slot::new(TASK))))
        });
    }

    #[test]
    fn all_memories_are_kept_from_the_cancellation_to_the_completion() {
        is_kept_from_the_cancellation_to_the_completion(|pool, from| {
            let memories = vec![pool.rent::<u8>(50), pool.rent(50)];
            Box::new(Scattering::new(from, memories, None, Arc::new(Slot::new(TASK))))
        });
    }

    /// The step between a cancellation and its completion, which no other thread takes here. Nobody waits for the outcome.
    fn is_kept_from_the_cancellation_to_the_completion(
        reading: impl FnOnce(&MemoryPool, &Arc<io::PipeReader>) -> Box<dyn Transfer>,
    ) {
        let Ok(mut kernel) = Kernel::new(4, &mut []) else {
            eprintln!("NOT CHECKED: the system forbids io_uring");
            return;
        };
        let pool = MemoryPool::new();
        let (from, mut to) = io::pipe().unwrap();
        let from = Arc::new(from);
        kernel.start(1, reading(&pool, &from));
        drop(from);
        kernel.submit();
        let rented = pool.stats().rented_bytes;
        kernel.cancel(1);
        kernel.submit();
        assert_eq!(pool.stats().rented_bytes, rented, "the kernel has not said that it is over");
        while !kernel.in_flight.is_empty() {
            kernel.wait();
            kernel.finish();
        }
        assert_eq!(pool.stats().rented_bytes, 0);
        assert_eq!(
            to.write(b"x").unwrap_err().kind(),
            io::ErrorKind::BrokenPipe,
            "the file was let go of too"
        );
    }
}
