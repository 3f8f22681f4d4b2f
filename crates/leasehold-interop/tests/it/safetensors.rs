//! `safetensors`.

use leasehold::{MemoryOwner, MemoryPool, SharedOwner};
use leasehold_interop::safetensors::{ElementsError, Tensor, TensorFile};
use safetensors::{Dtype, SafeTensorError, serialize};

use crate::rented;

/// A file with a matrix and a few bytes.
fn file() -> Vec<u8> {
    let matrix = SharedOwner::from(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).cast().unwrap();
    let matrix = Tensor::new(Dtype::F32, vec![2, 3], matrix).unwrap();
    let bytes = Tensor::new(Dtype::U8, vec![3], SharedOwner::from(vec![7, 8, 9])).unwrap();
    serialize([("matrix", &matrix), ("bytes", &bytes)], None).unwrap()
}

#[test]
fn tensors_are_slices_of_the_file_and_keep_it() {
    let pool = MemoryPool::new();
    let file = rented(&pool, &file()).into_shared();
    let addresses = file.as_ptr_range();
    let tensors = TensorFile::new(file).unwrap();
    assert_eq!(tensors.names(), ["matrix", "bytes"]);
    let matrix = tensors.tensor("matrix").unwrap();
    assert_eq!((matrix.dtype(), matrix.shape()), (Dtype::F32, &[2, 3][..]));
    let elements = matrix.elements::<f32>().unwrap();
    assert!(addresses.contains(&elements.as_ptr().cast()));
    assert_eq!(
        (elements.as_ptr().cast(), &elements[..]),
        (matrix.data().as_ptr(), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..])
    );
    assert_eq!(tensors.tensor("bytes").unwrap().elements::<u8>().unwrap(), [7, 8, 9][..]);
    drop((tensors, matrix));
    assert_eq!(pool.outstanding().len(), 1);
    std::thread::spawn(move || assert_eq!(elements[5], 6.0)).join().unwrap();
    assert!(pool.outstanding().is_empty());
}

#[test]
fn what_is_written_from_tensors_of_a_file_is_that_file() {
    let bytes = file();
    let tensors = TensorFile::new(SharedOwner::from(bytes.clone())).unwrap();
    let copies = tensors.names().into_iter().map(|name| (name.clone(), tensors.tensor(&name).unwrap()));
    let copies: Vec<_> = copies.collect();
    assert_eq!(serialize(copies.iter().map(|(name, tensor)| (name, tensor)), None).unwrap(), bytes);
}

#[test]
fn errors_say_what_is_wrong() {
    let tensors = TensorFile::new(SharedOwner::from(file())).unwrap();
    assert!(
        matches!(tensors.tensor("vector"), Err(SafeTensorError::TensorNotFound(name)) if name == "vector")
    );
    let matrix = tensors.tensor("matrix").unwrap();
    let error = matrix.elements::<i32>().unwrap_err();
    assert_eq!(error.to_string(), "a tensor of F32 asked for elements of I32");
    let cut = file();
    assert!(TensorFile::new(SharedOwner::from(&cut[..cut.len() - 1])).is_err());
    assert!(TensorFile::new(SharedOwner::from(&cut[..5])).is_err());
    let bytes = SharedOwner::from(vec![0; 15]);
    assert!(Tensor::new(Dtype::F32, vec![2, 2], bytes.clone()).is_err());
    assert!(Tensor::new(Dtype::F4, vec![29], bytes.clone()).is_err());
    let many = Tensor::new(Dtype::F32, vec![usize::MAX, 2], bytes);
    assert!(matches!(many, Err(SafeTensorError::ValidationOverflow)));
}

#[test]
fn elements_that_lie_badly_are_an_error_and_not_a_copy() {
    let pool = MemoryPool::new();
    let shifted = [&[0][..], &file()].concat();
    let tensors = TensorFile::new(rented(&pool, &shifted).into_shared().slice(1..)).unwrap();
    let error = tensors.tensor("matrix").unwrap().elements::<f32>().unwrap_err();
    let ElementsError::Place(place) = error else { panic!() };
    assert_eq!(place.owner.len(), 24);
}

#[cfg(all(feature = "half", target_endian = "little"))]
#[test]
fn numbers_of_sixteen_bits_are_read_in_place() {
    let numbers = MemoryOwner::from(vec![half::bf16::ONE, half::bf16::from_f32(-2.5)]);
    let bytes = numbers.cast::<u8>().unwrap().into_shared();
    let tensor = Tensor::new(Dtype::BF16, vec![2], bytes).unwrap();
    let elements = tensor.elements::<half::bf16>().unwrap();
    assert_eq!(elements.as_ptr().cast(), tensor.data().as_ptr());
    assert_eq!(elements, [half::bf16::ONE, half::bf16::from_f32(-2.5)][..]);
    assert!(tensor.elements::<half::f16>().is_err());
}
