fn main() {
    let stack = [0u8; 4];
    let span = leasehold::scope_read_only(&stack, |memory| memory.span().unwrap());
    drop(span);
}
