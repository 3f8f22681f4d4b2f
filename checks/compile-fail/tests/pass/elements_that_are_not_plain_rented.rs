fn main() {
    let pool = leasehold::MemoryPool::new();
    drop(pool.rent::<u8>(16));
}
