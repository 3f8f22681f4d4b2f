fn main() {
    let (send, _receive) = std::sync::mpsc::channel();
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    send.send(owner).unwrap();
    drop(owner);
}
