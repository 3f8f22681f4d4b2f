use leasehold::ReadOnlyMemory;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let memory: ReadOnlyMemory<i32> = ReadOnlyMemory::into(memory);
    drop(memory);
}
