fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let (mut left, mut right) = memory.split_at(1).unwrap();
    let mut first = left.span_mut().unwrap();
    let mut second = right.span_mut().unwrap();
    std::mem::swap(&mut first[0], &mut second[0]);
}
