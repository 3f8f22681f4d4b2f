fn main() {
    let (lessor, _memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    assert_eq!(lessor.try_reclaim().unwrap()[0], 1);
}
