use leasehold_interop::ndarray::view;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1.0f32, 2.0]).lease_read_only();
    let held = memory;
    assert_eq!(view(&held, 2).unwrap().sum(), 3.0);
}
