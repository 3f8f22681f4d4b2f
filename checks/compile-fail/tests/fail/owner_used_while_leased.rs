fn main() {
    let mut owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let (_lessor, memory) = owner.lease();
    owner[0] = 7;
    drop(memory);
}
