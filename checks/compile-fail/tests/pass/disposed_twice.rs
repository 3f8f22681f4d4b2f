fn main() {
    let owner = leasehold::MemoryPool::shared().rent::<u8>(16);
    drop(owner);
}
