use leasehold::tokio::read_into;

fn main() {
    let mut target = leasehold::MemoryWriter::contiguous(leasehold::MemoryPool::shared());
    let mut source = &b"hello"[..];
    let mut reading = std::pin::pin!(read_into(&mut source, &mut target));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(reading.as_mut().poll(&mut context).is_ready());
}
