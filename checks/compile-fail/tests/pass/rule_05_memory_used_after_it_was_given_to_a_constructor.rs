use leasehold::Memory;

struct Writer {
    memory: Memory<u8>,
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut writer = Writer { memory };
    writer.memory.span_mut().unwrap()[0] = 7;
    drop(writer.memory);
}
