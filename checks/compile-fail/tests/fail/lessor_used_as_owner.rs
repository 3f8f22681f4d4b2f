fn main() {
    let (lessor, _memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    assert_eq!(lessor[0], 1);
}
