fn main() {
    let stack = [0u8; 4];
    let first = leasehold::scope_read_only(&stack, |memory| memory.span().unwrap()[0]);
    assert_eq!(first, 0);
}
