fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![0u8; 3]).lease();
    let pin = memory.pin().unwrap();
    assert_eq!(memory.span().unwrap()[0], 0);
    drop(pin);
}
