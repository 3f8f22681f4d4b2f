use leasehold::ReadOnlyMemory;

async fn pause() {}

async fn sum(memory: ReadOnlyMemory<u32>) -> u32 {
    let Ok(pin) = memory.pin() else { return 0 };
    pause().await;
    pin.iter().sum()
}

fn spawn(_: impl Future<Output = u32> + Send) {}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    spawn(sum(memory));
}
