use leasehold::{MemoryHandle, MemoryOwner};

fn pin() -> MemoryHandle<i32> {
    let (_lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    memory.pin().unwrap()
}

fn main() {
    assert_eq!(pin()[0], 1);
}
