fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let (_lessor, memory) = owner.lease_read_only();
    std::thread::spawn(move || memory.span().map(|span| span.len()));
}
