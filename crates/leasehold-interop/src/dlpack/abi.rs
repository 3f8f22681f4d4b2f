//! The structures of `dlpack.h`, version 1, field by field and by their names there.

use std::ffi::c_void;

/// The data are not to be written.
pub const DLPACK_FLAG_BITMASK_READ_ONLY: u64 = 1;

/// The memory of the host.
pub const K_DL_CPU: i32 = 1;
/// Memory of the host that CUDA has pinned.
pub const K_DL_CUDA_HOST: i32 = 3;

/// Signed integers.
pub const K_DL_INT: u8 = 0;
/// Unsigned integers.
pub const K_DL_UINT: u8 = 1;
/// IEEE floating-point numbers.
pub const K_DL_FLOAT: u8 = 2;
/// Brain floating-point numbers.
pub const K_DL_BFLOAT: u8 = 4;
/// Complex numbers.
pub const K_DL_COMPLEX: u8 = 5;
/// Truth values, one byte each.
pub const K_DL_BOOL: u8 = 6;

/// The version of the structures. Another `major` means other fields behind it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DLPackVersion {
    /// Changes with the structures.
    pub major: u32,
    /// Changes when types or flags are added.
    pub minor: u32,
}

/// Where the data are.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DLDevice {
    /// The kind, such as [`K_DL_CPU`].
    pub device_type: i32,
    /// Which of that kind; zero for the host.
    pub device_id: i32,
}

/// The type of an element.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DLDataType {
    /// The kind, such as [`K_DL_FLOAT`].
    pub code: u8,
    /// Bits in a lane.
    pub bits: u8,
    /// How many numbers an element is; one unless it is a vector.
    pub lanes: u16,
}

/// A tensor that somebody else owns.
#[repr(C)]
#[derive(Debug)]
pub struct DLTensor {
    /// The beginning of the allocation.
    pub data: *mut c_void,
    /// Where that is.
    pub device: DLDevice,
    /// Dimensions.
    pub ndim: i32,
    /// The type of the elements.
    pub dtype: DLDataType,
    /// Elements in each dimension.
    pub shape: *mut i64,
    /// Elements from one to the next in each dimension; null when row after row.
    pub strides: *mut i64,
    /// Bytes from `data` to the first element.
    pub byte_offset: u64,
}

/// A tensor with the function that lets it go.
#[repr(C)]
#[derive(Debug)]
pub struct DLManagedTensorVersioned {
    /// To be looked at before anything behind `deleter`.
    pub version: DLPackVersion,
    /// What the producer needs to let go of it.
    pub manager_ctx: *mut c_void,
    /// Lets go of the tensor and of this structure. Null when there is nothing to do.
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensorVersioned)>,
    /// Flags, such as [`DLPACK_FLAG_BITMASK_READ_ONLY`].
    pub flags: u64,
    /// The tensor.
    pub dl_tensor: DLTensor,
}
