fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let first = owner[0];
    let _lease = owner.lease();
    assert_eq!(first, 1);
}
