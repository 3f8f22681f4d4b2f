fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(b"hello".to_vec()).lease_read_only();
    let bytes = bytes::Bytes::from(memory.pin().unwrap());
    assert_eq!(bytes, "hello");
}
