fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let other = memory.clone();
    assert_eq!(memory, other);
}
