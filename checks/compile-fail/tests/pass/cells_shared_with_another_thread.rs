use std::cell::Cell;

fn main() {
    let owner = leasehold::MemoryOwner::from(vec![Cell::new(1u8)]);
    std::thread::spawn(move || owner[0].set(2));
}
