use leasehold::MemoryHandleMut;

struct Device;

impl Device {
    fn submit(&self, buffer: MemoryHandleMut<u8>) {
        std::thread::spawn(move || drop(buffer));
    }
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![0; 3]).lease();
    Device.submit(memory.pin().unwrap());
}
