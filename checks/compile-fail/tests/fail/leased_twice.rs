fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let _first = owner.lease();
    let _second = owner.lease_read_only();
}
