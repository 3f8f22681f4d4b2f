//! DLPack.

use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold::{MemoryOwner, MemoryPool};
use leasehold_interop::dlpack::{
    DLDataType, DLDevice, DLManagedTensorVersioned, DLPACK_FLAG_BITMASK_READ_ONLY, DLPackVersion, DLTensor,
    Element, K_DL_BOOL, K_DL_CPU, K_DL_FLOAT, ManagedTensor, NotImported,
};

use crate::rented;

/// Another library's tensor: a matrix, 8 bytes into its memory.
struct Producer {
    data: [f32; 8],
    shape: [i64; 2],
    strides: [i64; 2],
    deleted: Arc<AtomicUsize>,
}

unsafe extern "C" fn delete(managed: *mut DLManagedTensorVersioned) {
    // SAFETY: `import` leaked this box.
    let managed = unsafe { Box::from_raw(managed) };
    // SAFETY: `produce` leaked this one.
    let producer = unsafe { Box::from_raw(managed.manager_ctx.cast::<Producer>()) };
    producer.deleted.fetch_add(1, Ordering::SeqCst);
}

/// What a producer in C makes, and how often it was deleted.
fn produce(shape: [i64; 2], strides: [i64; 2]) -> (DLManagedTensorVersioned, Arc<AtomicUsize>) {
    let deleted = Arc::new(AtomicUsize::new(0));
    let data = [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let producer = Box::into_raw(Box::new(Producer { data, shape, strides, deleted: Arc::clone(&deleted) }));
    // SAFETY: the box was leaked above.
    let (data, shape, strides) = unsafe { fields(producer) };
    let dl_tensor = DLTensor {
        data: data.cast(),
        device: DLDevice { device_type: K_DL_CPU, device_id: 0 },
        ndim: 2,
        dtype: <f32 as Element>::DTYPE,
        shape,
        strides,
        byte_offset: 8,
    };
    let managed = DLManagedTensorVersioned {
        version: DLPackVersion { major: 1, minor: 1 },
        manager_ctx: producer.cast(),
        deleter: Some(delete),
        flags: 0,
        dl_tensor,
    };
    (managed, deleted)
}

/// # Safety
/// There is a producer.
unsafe fn fields(producer: *mut Producer) -> (*mut f32, *mut i64, *mut i64) {
    // SAFETY: the caller's promise.
    let Producer { data, shape, strides, .. } = unsafe { &mut *producer };
    (data.as_mut_ptr(), shape.as_mut_ptr(), strides.as_mut_ptr())
}

fn import(structure: DLManagedTensorVersioned) -> ManagedTensor {
    // SAFETY: what `produce` made stays until it is deleted, and nobody writes it.
    unsafe { ManagedTensor::from_raw(NonNull::from(Box::leak(Box::new(structure)))) }
}

#[test]
fn a_consumer_in_c_reads_an_owner_and_its_deleter_gives_it_back() {
    let pool = MemoryPool::new();
    let owner = rented(&pool, &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let address = owner.as_ptr();
    let raw = ManagedTensor::export(owner, &[2, 3]).unwrap().into_raw().as_ptr();
    // SAFETY: the structure is there until its deleter is called.
    let managed = unsafe { &*raw };
    assert_eq!((managed.version.major, managed.flags), (1, DLPACK_FLAG_BITMASK_READ_ONLY));
    let tensor = &managed.dl_tensor;
    assert_eq!((tensor.data.cast_const().cast(), tensor.byte_offset, tensor.ndim), (address, 0, 2));
    assert_eq!(tensor.dtype, DLDataType { code: K_DL_FLOAT, bits: 32, lanes: 1 });
    // SAFETY: there are as many as dimensions.
    let shape = unsafe { *tensor.shape.cast::<[i64; 2]>() };
    // SAFETY: as above.
    let strides = unsafe { *tensor.strides.cast::<[i64; 2]>() };
    assert_eq!((shape, strides), ([2, 3], [3, 1]));
    assert_eq!(pool.outstanding().len(), 1);
    let deleter = managed.deleter.unwrap();
    // SAFETY: once.
    unsafe { deleter(raw) };
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_pin_stays_pinned_until_the_tensor_is_dropped() {
    let pool = MemoryPool::new();
    let (lessor, memory) = rented(&pool, &[1i64, 2]).lease_read_only();
    let tensor = ManagedTensor::export(memory.pin().unwrap(), &[2]).unwrap();
    drop(lessor);
    assert_eq!((pool.outstanding().len(), tensor.shape()), (1, &[2][..]));
    drop(tensor);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_round_trip_keeps_the_address() {
    let pool = MemoryPool::new();
    let shared = rented(&pool, &[1u16, 2, 3, 4]).into_shared();
    let raw = ManagedTensor::export(shared.slice(1..), &[3, 1]).unwrap().into_raw();
    // SAFETY: it was made by `into_raw`.
    let back = unsafe { ManagedTensor::from_raw(raw) }.into_shared::<u16>().unwrap();
    assert_eq!((back.as_ptr(), &back[..], shared.owners()), (shared[1..].as_ptr(), &[2, 3, 4][..], 2));
    drop(shared);
    assert_eq!(pool.outstanding().len(), 1);
    std::thread::spawn(move || drop(back)).join().unwrap();
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_tensor_of_another_library_is_read_in_place_and_deleted_once() {
    let (structure, deleted) = produce([2, 3], [3, 1]);
    let address = structure.dl_tensor.data.cast_const().cast::<f32>().wrapping_add(2);
    let owner = import(structure).into_shared::<f32>().unwrap();
    assert_eq!((owner.as_ptr(), &owner[..]), (address, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
    let part = owner.slice(4..);
    drop(owner);
    assert_eq!((deleted.load(Ordering::SeqCst), part[0]), (0, 5.0));
    drop(part);
    assert_eq!(deleted.load(Ordering::SeqCst), 1);
}

#[test]
fn strides_may_be_missing_and_those_of_single_elements_do_not_matter() {
    let len = |structure| import(structure).into_shared::<f32>().unwrap().len();
    let (mut structure, deleted) = produce([2, 3], [0, 0]);
    structure.dl_tensor.strides = null_mut();
    assert_eq!((len(structure), deleted.load(Ordering::SeqCst)), (6, 1));
    assert_eq!(len(produce([1, 6], [77, 1]).0), 6);
    let (mut structure, deleted) = produce([0, 3], [1, 1]);
    structure.dl_tensor.data = null_mut();
    assert_eq!((len(structure), deleted.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn what_cannot_be_read_in_place_comes_back_with_the_reason() {
    type Change = fn(&mut DLManagedTensorVersioned);
    type Check = fn(&NotImported) -> bool;
    let cases: [(Change, Check); 8] = [
        (|managed| managed.version.major = 2, |reason| matches!(reason, NotImported::Version(_))),
        (
            |managed| managed.dl_tensor.device.device_type = 2,
            |reason| matches!(reason, NotImported::Device(_)),
        ),
        (|managed| managed.dl_tensor.dtype.bits = 64, |reason| matches!(reason, NotImported::Type { .. })),
        (|managed| managed.dl_tensor.byte_offset = 9, |reason| matches!(reason, NotImported::Address { .. })),
        (
            |managed| managed.dl_tensor.data = null_mut(),
            |reason| matches!(reason, NotImported::Address { .. }),
        ),
        (|managed| managed.dl_tensor.shape = null_mut(), |reason| *reason == NotImported::Shape),
        (|managed| managed.dl_tensor.ndim = -1, |reason| *reason == NotImported::Shape),
        (
            // SAFETY: the producer has two of them.
            |managed| unsafe { *managed.dl_tensor.strides = 4 },
            |reason| *reason == NotImported::Strides,
        ),
    ];
    for (index, (change, is_expected)) in cases.into_iter().enumerate() {
        let (mut structure, deleted) = produce([2, 3], [3, 1]);
        change(&mut structure);
        let error = import(structure).into_shared::<f32>().unwrap_err();
        assert!(is_expected(&error.reason), "case {index}: {error}");
        assert_eq!(deleted.load(Ordering::SeqCst), 0);
        drop(error);
        assert_eq!(deleted.load(Ordering::SeqCst), 1);
    }
    let error = import(produce([-2, 3], [3, 1]).0).into_shared::<f32>().unwrap_err();
    assert_eq!(error.reason, NotImported::Shape);
}

#[test]
fn a_shape_of_other_elements_is_an_error() {
    for shape in [&[2, 2][..], &[], &[7], &[usize::MAX, 2], &[0, 6]] {
        let error = ManagedTensor::export(MemoryOwner::from(vec![1u8; 6]), shape).unwrap_err();
        assert_eq!((&error.shape[..], error.len), (shape, 6));
    }
    assert_eq!(ManagedTensor::export(MemoryOwner::from(vec![1u8]), &[]).unwrap().shape(), &[] as &[i64]);
    assert_eq!(ManagedTensor::export(MemoryOwner::<u8>::from(vec![]), &[3, 0]).unwrap().shape(), [3, 0]);
    assert!(ManagedTensor::export(MemoryOwner::<u8>::from(vec![]), &[usize::MAX, 0]).is_err());
}

#[test]
fn truth_values_are_exported_and_come_back_as_nothing_else() {
    let tensor = ManagedTensor::export(MemoryOwner::from(vec![true, false]), &[2]).unwrap();
    let dtype = DLDataType { code: K_DL_BOOL, bits: 8, lanes: 1 };
    let error = tensor.into_shared::<u8>().unwrap_err();
    assert_eq!(error.reason, NotImported::Type { found: dtype, asked: u8::DTYPE });
    let capsule = error.tensor.into_raw();
    // SAFETY: the structure is ours, and there until it is taken back.
    let data = unsafe { capsule.as_ref() }.dl_tensor.data.cast::<u8>();
    // SAFETY: a truth value is a byte, and there are two.
    assert_eq!(unsafe { std::slice::from_raw_parts(data, 2) }, [1, 0]);
    // SAFETY: the structure is ours, and this takes it back.
    drop(unsafe { ManagedTensor::from_raw(capsule) });
}

#[cfg(feature = "half")]
#[test]
fn numbers_of_sixteen_bits_keep_their_kind_and_address() {
    use half::{bf16, f16};

    let owner = MemoryOwner::from(vec![f16::ONE, f16::NEG_ONE]);
    let address = owner.as_ptr();
    let tensor = ManagedTensor::export(owner, &[2, 1]).unwrap();
    let error = tensor.into_shared::<bf16>().unwrap_err();
    assert!(matches!(error.reason, NotImported::Type { found, asked } if found.code != asked.code));
    let shared = error.tensor.into_shared::<f16>().unwrap();
    assert_eq!((shared.as_ptr(), &shared[..]), (address, &[f16::ONE, f16::NEG_ONE][..]));
    assert_eq!((f16::DTYPE.bits, bf16::DTYPE.bits, bf16::DTYPE.code), (16, 16, 4));
}
