fn main() {
    let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut span = memory.span_mut().unwrap();
    span[0] = 7;
}
