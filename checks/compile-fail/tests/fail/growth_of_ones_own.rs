struct Doubling;

impl leasehold::Growth<u8> for Doubling {}

fn main() {}
