use std::sync::Arc;

use leasehold_io::Ring;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1u8; 4]).lease();
    let memory = memory.pin().unwrap();
    let Ok(ring) = Ring::new() else { return };
    let file = Arc::new(std::fs::File::open("/dev/zero").unwrap());
    assert!(ring.read(&file, memory).wait().is_ok());
}
