fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let (lessor, memory) = owner.lease();
    drop(memory);
    let mut owner = lessor.try_reclaim().unwrap();
    owner[0] = 7;
}
