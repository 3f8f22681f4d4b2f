fn main() {
    let (lessor, _memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let revocation = lessor.revoke();
    let owner = lessor.try_reclaim();
    drop((revocation, owner));
}
