fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let span = memory.span().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(span[0], 1));
    });
}
