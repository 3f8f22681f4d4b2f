fn main() {
    let mut stack = [0u8; 4];
    leasehold::scope(&mut stack, |memory| drop(memory));
    stack[0] = 1;
}
