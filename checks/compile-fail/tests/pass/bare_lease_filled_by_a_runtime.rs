use leasehold_io::Buffer;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1u8; 4]).lease();
    let buffer = Buffer::empty(memory.pin().unwrap());
    assert_eq!(buffer.capacity(), 4);
}
