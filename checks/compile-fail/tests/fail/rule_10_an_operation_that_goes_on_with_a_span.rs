use leasehold::SpanMut;

struct Device;

impl Device {
    fn submit(&self, buffer: SpanMut<'static, u8>) {
        std::thread::spawn(move || drop(buffer));
    }
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![0; 3]).lease();
    Device.submit(Box::leak(Box::new(memory)).span_mut().unwrap());
}
