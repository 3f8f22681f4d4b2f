use leasehold_interop::arrow::to_buffer;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1.0f32, 2.0]).lease_read_only();
    let buffer = to_buffer(memory);
    assert_eq!(buffer.len(), 8);
}
