fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let mut span = memory.span().unwrap();
    span[0] = 7;
}
