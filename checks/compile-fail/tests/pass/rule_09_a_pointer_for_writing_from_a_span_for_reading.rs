fn fill(pointer: *mut u8, len: usize) -> usize {
    pointer.addr() + len
}

fn main() {
    let (_lessor, mut memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    let mut span = memory.span_mut().unwrap();
    fill(span.as_mut_ptr(), span.len());
}
