fn main() {
    let mut writer = leasehold::MemoryWriter::<u8>::contiguous(leasehold::MemoryPool::shared());
    let room = writer.reserve(1);
    room[0] = 1;
    writer.commit(1);
}
