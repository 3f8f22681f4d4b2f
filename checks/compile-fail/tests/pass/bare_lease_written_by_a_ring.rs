use std::sync::Arc;

use leasehold_io::Ring;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(b"hello".to_vec()).lease_read_only();
    let memory = memory.pin().unwrap();
    let Ok(ring) = Ring::new() else { return };
    let file = Arc::new(std::fs::File::options().write(true).open("/dev/null").unwrap());
    assert!(ring.write(&file, memory).wait().is_ok());
}
