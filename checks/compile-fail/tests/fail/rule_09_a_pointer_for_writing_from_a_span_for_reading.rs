fn fill(pointer: *mut u8, len: usize) -> usize {
    pointer.addr() + len
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let mut span = memory.span().unwrap();
    fill(span.as_mut_ptr(), span.len());
}
