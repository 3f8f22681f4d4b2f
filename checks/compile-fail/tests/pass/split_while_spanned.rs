fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let span = memory.span().unwrap();
    assert_eq!(span[0], 1);
    drop(span);
    let _halves = memory.split_at(1);
}
