fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(b"hello".to_vec()).lease_read_only();
    let bytes = bytes::Bytes::from(memory);
    assert_eq!(bytes, "hello");
}
