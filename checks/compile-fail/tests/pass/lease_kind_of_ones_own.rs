fn lend<K: leasehold::LeaseKind<u8>>(lessor: leasehold::Lessor<u8, K>) -> usize {
    lessor.len()
}

fn main() {
    assert_eq!(lend(leasehold::MemoryOwner::from(vec![1, 2]).lease().0), 2);
}
