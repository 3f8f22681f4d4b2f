use leasehold_io::Buffer;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(b"hello".to_vec()).lease_read_only();
    let buffer = Buffer::full(memory.pin().unwrap());
    assert_eq!(buffer.filled(), b"hello");
}
