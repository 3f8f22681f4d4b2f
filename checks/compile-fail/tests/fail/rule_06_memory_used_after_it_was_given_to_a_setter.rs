use leasehold::Memory;

#[derive(Default)]
struct Writer {
    memory: Option<Memory<u8>>,
}

impl Writer {
    fn set(&mut self, memory: Memory<u8>) {
        self.memory = Some(memory);
    }
}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease();
    Writer::default().set(memory);
    assert_eq!(memory.span().unwrap().len(), 3);
}
