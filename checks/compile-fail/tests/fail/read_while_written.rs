fn main() {
    let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let read = memory.span().unwrap();
    let mut written = memory.span_mut().unwrap();
    written[0] = read[1];
}
