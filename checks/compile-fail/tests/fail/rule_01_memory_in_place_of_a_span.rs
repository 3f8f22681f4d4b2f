fn sum(numbers: &[u32]) -> u32 {
    numbers.iter().sum()
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    assert_eq!(sum(&memory), 6);
}
