fn main() {
    let mut owner = leasehold::MemoryOwner::from(vec![1, 2, 3]).into_shared();
    owner[0] = 7;
}
