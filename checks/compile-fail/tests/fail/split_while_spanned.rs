fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let span = memory.span().unwrap();
    let _halves = memory.split_at(1);
    assert_eq!(span[0], 1);
}
