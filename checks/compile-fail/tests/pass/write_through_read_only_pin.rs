fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut pin = memory.pin().unwrap();
    pin[0] = 7;
}
