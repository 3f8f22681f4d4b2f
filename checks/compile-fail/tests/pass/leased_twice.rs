fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let (first, _memory) = owner.lease();
    let _second = first.revoke().wait().unwrap().lease_read_only();
}
