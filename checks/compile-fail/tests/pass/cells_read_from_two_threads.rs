use std::sync::atomic::{AtomicU8, Ordering};

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![AtomicU8::new(1)]).lease_read_only();
    std::thread::spawn(move || memory.span().map(|span| span[0].store(2, Ordering::Relaxed)));
}
