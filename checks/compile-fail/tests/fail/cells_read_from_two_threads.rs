use std::cell::Cell;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![Cell::new(1u8)]).lease_read_only();
    std::thread::spawn(move || memory.span().map(|span| span[0].set(2)));
}
