use std::ptr::NonNull;

fn main() {
    // SAFETY: there are no elements.
    let owner = unsafe { leasehold::MemoryOwner::<u8>::from_raw_parts(NonNull::dangling(), 0, |_, _| ()) };
    drop(owner);
}
