fn main() {
    let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut first = memory.span_mut().unwrap();
    let mut second = memory.span_mut().unwrap();
    std::mem::swap(&mut first[0], &mut second[0]);
}
