use leasehold::tokio::read_into;

fn main() {
    let (_lessor, mut target) = leasehold::MemoryOwner::from(vec![1u8; 4]).lease();
    let mut source = &b"hello"[..];
    let mut reading = std::pin::pin!(read_into(&mut source, &mut target));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(reading.as_mut().poll(&mut context).is_ready());
}
