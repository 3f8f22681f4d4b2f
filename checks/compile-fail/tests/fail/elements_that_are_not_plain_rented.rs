fn main() {
    let pool = leasehold::MemoryPool::new();
    drop(pool.rent::<bool>(16));
}
