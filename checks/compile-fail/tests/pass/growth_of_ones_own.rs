fn written<L: leasehold::Growth<u8>>(writer: &leasehold::MemoryWriter<u8, L>) -> usize {
    writer.len()
}

fn main() {
    let mut writer = leasehold::MemoryWriter::segmented(leasehold::MemoryPool::shared());
    writer.push_slice(b"abc");
    assert_eq!(written(&writer), 3);
}
