use leasehold::{Sequence, tokio::write_all_sequence};

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(b"hello".to_vec()).lease_read_only();
    let mut sequence = Sequence::from_iter([memory]);
    let mut target = Vec::new();
    let mut writing = std::pin::pin!(write_all_sequence(&mut target, &mut sequence));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(writing.as_mut().poll(&mut context).is_ready());
}
