use std::ptr::NonNull;

fn main() {
    let owner = leasehold::MemoryOwner::<u8>::from_raw_parts(NonNull::dangling(), 0, |_, _| ());
    drop(owner);
}
