use leasehold_interop::ndarray::view_mut;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1.0f32, 2.0]).lease();
    let mut held = memory;
    view_mut(&mut held, 2).unwrap().fill(0.0);
}
