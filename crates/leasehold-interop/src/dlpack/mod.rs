//! Tensors for Python's array libraries, and theirs as owners, through the C structure of DLPack.
//!
//! The structures are those of version 1 of `dlpack.h` (<https://github.com/dmlc/dlpack>, `include/dlpack/dlpack.h`).
//! Only memory of the host is imported and exported.

mod abi;
#[expect(unsafe_code, reason = "a C structure with a pointer to what frees it")]
mod managed;

pub use abi::{
    DLDataType, DLDevice, DLManagedTensorVersioned, DLPACK_FLAG_BITMASK_READ_ONLY, DLPackVersion, DLTensor,
    K_DL_BFLOAT, K_DL_BOOL, K_DL_COMPLEX, K_DL_CPU, K_DL_CUDA_HOST, K_DL_FLOAT, K_DL_INT, K_DL_UINT,
};
pub use managed::{Element, ImportError, ManagedTensor, NotImported, ShapeMismatch};
