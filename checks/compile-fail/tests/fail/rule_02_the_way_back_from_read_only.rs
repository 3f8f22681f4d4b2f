use leasehold::{Memory, ReadOnlyMemory};

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let memory: Memory<i32> = ReadOnlyMemory::into(memory);
    drop(memory);
}
