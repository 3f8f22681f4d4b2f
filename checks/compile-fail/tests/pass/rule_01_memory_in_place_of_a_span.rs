fn sum(numbers: &[u32]) -> u32 {
    numbers.iter().sum()
}

fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    assert_eq!(sum(&owner), 6);
    let (_lessor, memory) = owner.lease_read_only();
    assert_eq!(sum(&memory.span().unwrap()), 6);
    assert_eq!(sum(&memory.pin().unwrap()), 6);
}
