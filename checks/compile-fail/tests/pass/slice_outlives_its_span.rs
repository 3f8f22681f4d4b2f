fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let span = memory.span().unwrap();
    let slice = span.split_at(1).1;
    assert_eq!(slice[0], 2);
}
