fn main() {
    let owner = leasehold::MemoryOwner::from(vec![1, 2, 3]);
    let slice = &owner[..];
    std::thread::spawn(move || slice.len());
}
