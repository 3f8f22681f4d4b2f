#[derive(Default)]
struct Log {
    lines: Vec<Vec<u8>>,
}

impl Log {
    fn write(&mut self, line: &[u8]) {
        self.lines.push(line.to_vec());
    }
}

fn main() {
    let owner = leasehold::MemoryOwner::from(b"to be".to_vec());
    Log::default().write(&owner);
}
