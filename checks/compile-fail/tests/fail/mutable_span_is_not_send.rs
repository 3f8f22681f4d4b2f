fn main() {
    let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut span = memory.span_mut().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || span[0] = 1);
    });
}
