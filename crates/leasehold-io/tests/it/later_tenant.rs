//! A future that is dropped frees nothing that the kernel still writes: with the ring, and with what one would write first,
//! which has to fail.
#![expect(unsafe_code, reason = "the naive implementation talks to the kernel itself")]

use std::io::{self, PipeReader, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use io_uring::{IoUring, opcode, types};
use leasehold::{MemoryHandleMut, MemoryOwner, MemoryPool};
use leasehold_io::{Operation, Ring};

use crate::ring::ring_of;

const LEN: usize = 4096;
const MARK: u8 = 0x77;

/// Something that reads from a pipe with memory of a pool.
trait Reads {
    type Reading;

    fn read(&mut self, from: &Arc<PipeReader>, memory: MemoryOwner<u8>) -> Self::Reading;

    /// Returns when the kernel has ended all reads that were begun.
    fn settle(&mut self);
}

impl Reads for Option<Ring> {
    type Reading = Operation<MemoryOwner<u8>>;

    fn read(&mut self, from: &Arc<PipeReader>, memory: MemoryOwner<u8>) -> Self::Reading {
        self.as_ref().unwrap().read(from, memory)
    }

    fn settle(&mut self) {
        *self = None;
    }
}

/// Reads into the halves of the memory, with one operation.
struct Vectored(Option<Ring>);

impl Reads for Vectored {
    type Reading = Operation<Vec<MemoryHandleMut<u8>>>;

    fn read(&mut self, from: &Arc<PipeReader>, memory: MemoryOwner<u8>) -> Self::Reading {
        let (_lessor, memory) = memory.lease();
        let (left, right) = memory.split_at(LEN / 2).unwrap();
        let pins = vec![left.pin().unwrap(), right.pin().unwrap()];
        self.0.as_ref().unwrap().read_vectored(from, pins)
    }

    fn settle(&mut self) {
        self.0 = None;
    }
}

/// Owns its memory in the future, as a read that is not asynchronous would on its stack.
struct Naive(IoUring);

impl Reads for Naive {
    type Reading = MemoryOwner<u8>;

    fn read(&mut self, from: &Arc<PipeReader>, mut memory: MemoryOwner<u8>) -> MemoryOwner<u8> {
        let entry = opcode::Read::new(types::Fd(from.as_raw_fd()), memory.as_mut_ptr(), LEN as u32);
        // SAFETY: that it is not safe is the point. The kernel writes to a block that the pool keeps mapped, and the test
        // looks at what became of it once the kernel is done.
        unsafe { self.0.submission().push(&entry.offset(u64::MAX).build()) }.unwrap();
        self.0.submit().unwrap();
        memory
    }

    fn settle(&mut self) {
        self.0.submit_and_wait(1).unwrap();
    }
}

/// Reads from a pipe that has nothing, drops the future, rents again, and writes to the pipe. Whether the new tenant still has
/// what it wrote.
fn a_later_tenant_keeps_its_data(mut reads: impl Reads) -> bool {
    let pool = MemoryPool::new();
    let (from, mut to) = io::pipe().unwrap();
    let from = Arc::new(from);

    let memory = pool.rent::<u8>(LEN);
    drop(reads.read(&from, memory));
    let mut tenants: Vec<_> = (0..2).map(|_| pool.rent::<u8>(LEN)).collect();
    tenants.iter_mut().for_each(|tenant| tenant.fill(MARK));
    to.write_all(&[0x11; LEN]).unwrap();
    reads.settle();

    // Where it went wrong the kernel wrote these bytes, of which the compiler knows nothing.
    let kept = |byte: &u8| std::hint::black_box(*byte) == MARK;
    tenants.iter().all(|tenant| std::hint::black_box(tenant).iter().all(kept))
}

#[test]
fn a_later_tenant_keeps_its_data_whenever_a_future_is_dropped() {
    for _ in 0..200 {
        let Some(ring) = ring_of(Ring::builder()) else { return };
        assert!(a_later_tenant_keeps_its_data(Some(ring)));
    }
}

#[test]
fn so_it_does_when_the_read_is_vectored() {
    for _ in 0..200 {
        let Some(ring) = ring_of(Ring::builder()) else { return };
        assert!(a_later_tenant_keeps_its_data(Vectored(Some(ring))));
    }
}

#[test]
fn the_naive_implementation_fails_that_test() {
    if ring_of(Ring::builder()).is_none() {
        return;
    }
    assert!(!a_later_tenant_keeps_its_data(Naive(IoUring::new(4).unwrap())));
}

/// As long as the kernel may write, the pool counts the block as rented, and has no other tenant for it.
#[test]
fn the_block_of_a_dropped_future_stays_rented_until_the_kernel_is_done() {
    let Some(ring) = ring_of(Ring::builder()) else { return };
    let bounded = MemoryPool::builder().build_bounded(LEN);
    let (from, _to) = io::pipe().unwrap();
    let memory = bounded.try_rent::<u8>(LEN).unwrap();
    let address = memory.as_ptr();
    drop(ring.read(&Arc::new(from), memory));
    // The budget is one block: this waits until the kernel has let go of it.
    let next = bounded.rent_blocking::<u8>(LEN).unwrap();
    assert_eq!(next.as_ptr(), address);
}
