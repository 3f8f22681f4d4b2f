fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let other = memory.clone();
    drop((memory, other));
}
