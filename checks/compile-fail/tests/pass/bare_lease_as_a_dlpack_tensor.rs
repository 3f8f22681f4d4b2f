use leasehold_interop::dlpack::ManagedTensor;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![1.0f32, 2.0]).lease_read_only();
    let tensor = ManagedTensor::export(memory.pin().unwrap(), &[2]).unwrap();
    assert_eq!(tensor.shape(), [2]);
}
