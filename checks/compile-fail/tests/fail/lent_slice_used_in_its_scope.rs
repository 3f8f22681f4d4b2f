fn main() {
    let mut stack = [0u8; 4];
    leasehold::scope(&mut stack, |memory| {
        stack[0] = 1;
        drop(memory);
    });
}
