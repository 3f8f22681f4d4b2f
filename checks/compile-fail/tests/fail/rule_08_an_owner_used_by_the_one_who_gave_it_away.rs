use leasehold::MemoryOwner;

fn consume(owner: MemoryOwner<u8>) -> usize {
    owner.len()
}

fn main() {
    let owner = MemoryOwner::from(vec![1, 2, 3]);
    consume(owner);
    assert_eq!(owner[0], 1);
}
