fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut pin = memory.pin().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || pin[0] = 1);
    });
}
