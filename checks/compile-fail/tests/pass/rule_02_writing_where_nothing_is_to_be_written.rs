use leasehold::Memory;

fn clear(mut memory: Memory<u8>) {
    memory.span_mut().unwrap().fill(0);
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    clear(memory);
}
