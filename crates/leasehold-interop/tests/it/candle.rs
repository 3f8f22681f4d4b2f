//! `candle`.

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Device, Error, Module, Tensor};
use half::{bf16, f16};
use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use leasehold_interop::candle::weights;

use crate::rented;

const OUT: usize = 7;
const IN: usize = 33;

/// Numbers that are exact in every format, and small enough for their products to be exact too.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|index| (index * 7 % 13) as f32 - 6.0).collect()
}

fn address(tensor: &QTensor) -> *const u8 {
    tensor.data().unwrap().as_ptr()
}

/// `input` times the transposed weights, as one would write it down.
fn product(input: &[f32], weights: &[f32]) -> Vec<Vec<f32>> {
    let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(left, right)| left * right).sum();
    input.chunks(IN).map(|row| weights.chunks(IN).map(|weights| dot(row, weights)).collect()).collect()
}

#[test]
fn weights_are_used_where_they_are_and_come_back() {
    let pool = MemoryPool::new();
    let values = numbers(OUT * IN);
    let owner = rented(&pool, &values);
    let place = owner.as_ptr().cast();
    let tensor = weights(owner, (OUT, IN)).unwrap();
    assert_eq!((address(&tensor), pool.outstanding().len()), (place, 1));

    let input = numbers(3 * IN);
    let linear = QMatMul::QTensor(tensor.into());
    let out = linear.forward(&Tensor::from_slice(&input, (3, IN), &Device::Cpu).unwrap()).unwrap();
    assert_eq!(out.to_vec2::<f32>().unwrap(), product(&input, &values));
    let QMatMul::QTensor(tensor) = &linear else { panic!("it was one") };
    assert_eq!(address(tensor), place, "a product has not moved them");
    drop(linear);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn halves_are_weights_too() {
    let (pool, values, input) = (MemoryPool::new(), numbers(OUT * IN), numbers(IN));
    let f16s = rented(&pool, &values.iter().map(|&value| f16::from_f32(value)).collect::<Vec<_>>());
    let bf16s = rented(&pool, &values.iter().map(|&value| bf16::from_f32(value)).collect::<Vec<_>>());
    let places = [f16s.as_ptr().cast::<u8>(), bf16s.as_ptr().cast()];
    let tensors = [weights(f16s, (OUT, IN)).unwrap(), weights(bf16s, (OUT, IN)).unwrap()];
    let input_tensor = Tensor::from_slice(&input, (1, IN), &Device::Cpu).unwrap();
    for (tensor, place) in tensors.into_iter().zip(places) {
        assert_eq!(address(&tensor), place);
        let out = QMatMul::QTensor(tensor.into()).forward(&input_tensor).unwrap();
        assert_eq!(out.to_vec2::<f32>().unwrap(), product(&input, &values));
    }
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_pin_keeps_weights_whose_lease_has_ended() {
    let pool = MemoryPool::new();
    let (lessor, memory) = rented(&pool, &numbers(6)).lease_read_only();
    let tensor = weights(memory.pin().unwrap(), (2, 3)).unwrap();
    drop(lessor);
    assert_eq!(
        tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        numbers(6)
    );
    drop(tensor);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn shared_weights_serve_several_tensors() {
    let shared = SharedOwner::from(numbers(12));
    let halves = [weights(shared.slice(..6), (2, 3)).unwrap(), weights(shared.slice(6..), (3, 2)).unwrap()];
    assert_eq!(halves.each_ref().map(address), [shared.as_ptr().cast(), shared[6..].as_ptr().cast()]);
    assert_eq!(shared.owners(), 3);
    drop(halves);
    assert_eq!(shared.owners(), 1);
}

#[test]
fn rows_are_looked_up() {
    let values = numbers(12);
    let table = weights(MemoryOwner::from(values.clone()), (4, 3)).unwrap();
    let ids = Tensor::new(&[3u32, 0, 3], &Device::Cpu).unwrap();
    let rows = table.embedding(&ids).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows, [&values[9..], &values[..3], &values[9..]]);
    let error = table.embedding(&Tensor::new(&[4u32], &Device::Cpu).unwrap()).unwrap_err();
    assert!(error.to_string().contains("row 4 of weights of 4 rows of 3"), "{error}");
}

#[test]
fn weights_of_another_number_are_refused_and_given_back() {
    let pool = MemoryPool::new();
    for shape in [vec![], vec![5], vec![2, 2], vec![0, 6], vec![usize::MAX, 2], vec![1 << 63, 2, 3]] {
        let error = weights(rented(&pool, &numbers(6)), shape).unwrap_err();
        assert!(matches!(error, Error::UnexpectedShape { .. }), "{error}");
        assert!(error.to_string().contains("weights of 6 elements"), "{error}");
    }
    assert!(weights(MemoryOwner::from(vec![0f32; 0]), vec![1 << 63, 2]).is_err(), "not none of them");
    assert!(weights(MemoryOwner::from(vec![0f32; 0]), (0, 3)).is_ok());
    assert!(pool.outstanding().is_empty());
}
