use leasehold_interop::Held;

fn keep<T>(_: impl Held<T>) {}

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1.0f32, 2.0]).lease_read_only();
    keep(memory.pin().unwrap());
}
