use leasehold_interop::safetensors::Tensor;
use safetensors::Dtype;

fn main() {
    let (_lessor, memory) = leasehold::MemoryOwner::from(vec![0u8; 4]).lease_read_only();
    let data = leasehold::SharedOwner::from_owner(memory.pin().unwrap());
    let tensor = Tensor::new(Dtype::F32, vec![1], data).unwrap();
    assert_eq!(tensor.shape(), [1]);
}
