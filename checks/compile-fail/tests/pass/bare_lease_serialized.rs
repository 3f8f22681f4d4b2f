fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let text = serde_json::to_string(&*memory.pin().unwrap()).unwrap();
    assert_eq!(text, "[1,2,3]");
}
