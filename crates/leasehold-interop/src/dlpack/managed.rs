//! The one who calls the deleter.

use std::fmt;
use std::ptr::NonNull;

use bytemuck::{NoUninit, Pod};
use leasehold::SharedOwner;

#[cfg(feature = "half")]
use super::abi::K_DL_BFLOAT;
use super::abi::{
    DLDataType, DLDevice, DLManagedTensorVersioned, DLPACK_FLAG_BITMASK_READ_ONLY, DLPackVersion, DLTensor,
    K_DL_BOOL, K_DL_CPU, K_DL_CUDA_HOST, K_DL_FLOAT, K_DL_INT, K_DL_UINT,
};
use crate::Held;

/// The version that is exported.
const VERSION: DLPackVersion = DLPackVersion { major: 1, minor: 0 };

/// A tensor in DLPack's structure, with the duty to have its deleter called. Dropping it does that.
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
/// use leasehold_interop::dlpack::ManagedTensor;
///
/// let pool = MemoryPool::new();
/// let owner = pool.rent_zeroed::<f32>(6);
/// let address = owner.as_ptr();
/// let tensor = ManagedTensor::export(owner, &[2, 3])?;
/// let capsule = tensor.into_raw(); // for Python, or a C library
///
/// // SAFETY: the structure is ours, and this takes it back.
/// let tensor = unsafe { ManagedTensor::from_raw(capsule) };
/// let owner = tensor.into_shared::<f32>()?;
/// assert_eq!((owner.as_ptr(), owner.len()), (address, 6));
/// drop(owner);
/// assert!(pool.outstanding().is_empty());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping it lets the tensor go"]
pub struct ManagedTensor(NonNull<DLManagedTensorVersioned>);

// SAFETY: what `export` makes can be dropped on any thread, as can what `from_raw` takes, by its caller's promise.
unsafe impl Send for ManagedTensor {}

/// What an exported structure points to.
struct Context<H> {
    shape: Box<[i64]>,
    strides: Box<[i64]>,
    /// Dropped with the structure, and not touched before.
    _held: H,
}

impl ManagedTensor {
    /// Shows an owner, shared owner or pin as a tensor of that shape, row after row. Copies nothing; the deleter, which may be
    /// called on any thread, drops what is held.
    ///
    /// The tensor is marked read-only.
    ///
    /// # Errors
    /// [`ShapeMismatch`] when the shape is not that of so many elements.
    ///
    /// # Examples
    /// See [`ManagedTensor`].
    pub fn export<T: Element>(held: impl Held<T>, shape: &[usize]) -> Result<ManagedTensor, ShapeMismatch> {
        let elements = held.as_ref();
        let (data, len) = (elements.as_ptr(), elements.len());
        let mismatch = || ShapeMismatch { shape: shape.to_vec(), len };
        let strides = strides_of(shape).filter(|&(_, count)| count == len).ok_or_else(mismatch)?.0;
        let ndim = i32::try_from(shape.len()).map_err(|_| mismatch())?;
        let shape: Result<Box<[i64]>, _> = shape.iter().map(|&len| len.try_into()).collect();
        let shape = shape.map_err(|_| mismatch())?;
        Ok(ManagedTensor::manage(Context { shape, strides, _held: held }, data, ndim, T::DTYPE))
    }

    fn manage<T, H: Send + 'static>(
        context: Context<H>,
        data: *const T,
        ndim: i32,
        dtype: DLDataType,
    ) -> ManagedTensor {
        let context = Box::into_raw(Box::new(context));
        // SAFETY: the box was leaked above, and nobody else has it yet.
        let Context { shape, strides, .. } = unsafe { &mut *context };
        let dl_tensor = DLTensor {
            data: data.cast_mut().cast(),
            device: DLDevice { device_type: K_DL_CPU, device_id: 0 },
            ndim,
            dtype,
            shape: shape.as_mut_ptr(),
            strides: strides.as_mut_ptr(),
            byte_offset: 0,
        };
        let managed = DLManagedTensorVersioned {
            version: VERSION,
            manager_ctx: context.cast(),
            deleter: Some(delete::<H>),
            flags: DLPACK_FLAG_BITMASK_READ_ONLY,
            dl_tensor,
        };
        ManagedTensor(NonNull::from(Box::leak(Box::new(managed))))
    }

    /// Gives the structure, and the duty to call its deleter, to somebody else.
    ///
    /// # Examples
    /// See [`ManagedTensor`].
    pub fn into_raw(self) -> NonNull<DLManagedTensorVersioned> {
        let managed = self.0;
        std::mem::forget(self);
        managed
    }

    /// Takes a structure, with the duty to call its deleter.
    ///
    /// # Safety
    /// - It is as `dlpack.h` says, and nobody else calls its deleter.
    /// - Until then nobody writes the data, and structure, shape, strides and data stay in place.
    /// - The deleter may be called on any thread.
    ///
    /// # Examples
    /// See [`ManagedTensor`].
    pub unsafe fn from_raw(managed: NonNull<DLManagedTensorVersioned>) -> ManagedTensor {
        ManagedTensor(managed)
    }

    /// The version of the structure.
    pub fn version(&self) -> DLPackVersion {
        // SAFETY: the structure is there until it is deleted, and the version is first in each version of it.
        unsafe { self.0.cast::<DLPackVersion>().read() }
    }

    /// Elements in each dimension. None of a structure of another version.
    pub fn shape(&self) -> &[i64] {
        self.tensor().map_or(&[], |tensor| numbers(tensor, tensor.shape))
    }

    /// The elements as a shared owner, row after row. Copies nothing; the deleter is called when the last owner is gone.
    ///
    /// Truth values can only be exported: nobody vouches that the bytes of others are 0 or 1.
    ///
    /// # Errors
    /// [`ImportError`] hands the tensor back: it is not in the host's memory, its elements are of another type, or not one
    /// behind the other.
    ///
    /// # Examples
    /// See [`ManagedTensor`].
    #[track_caller]
    pub fn into_shared<T: Element + Pod>(self) -> Result<SharedOwner<T>, ImportError> {
        match self.find::<T>() {
            Ok((data, len)) => Ok(SharedOwner::from_owner(Imported { data, len, _tensor: self })),
            Err(reason) => Err(ImportError { tensor: self, reason }),
        }
    }

    fn tensor(&self) -> Option<&DLTensor> {
        if self.version().major != VERSION.major {
            return None;
        }
        // SAFETY: the structure is there until it is deleted, and of the version that we know.
        let managed = unsafe { self.0.as_ref() };
        Some(&managed.dl_tensor)
    }

    /// Where the elements are, and how many.
    fn find<T: Element + Pod>(&self) -> Result<(NonNull<T>, usize), NotImported> {
        let tensor = self.tensor().ok_or(NotImported::Version(self.version()))?;
        if !matches!(tensor.device.device_type, K_DL_CPU | K_DL_CUDA_HOST) {
            return Err(NotImported::Device(tensor.device));
        }
        if tensor.dtype != T::DTYPE {
            return Err(NotImported::Type { found: tensor.dtype, asked: T::DTYPE });
        }
        if usize::try_from(tensor.ndim) != Ok(self.shape().len()) {
            return Err(NotImported::Shape);
        }
        let shape: Option<Vec<usize>> = self.shape().iter().map(|&len| len.try_into().ok()).collect();
        let (strides, len) = shape.as_deref().and_then(strides_of).ok_or(NotImported::Shape)?;
        let compact = tensor.strides.is_null() || {
            let given = numbers(tensor, tensor.strides);
            // Where there is one element or none, no step is ever taken.
            let steps = self.shape().iter().zip(given.iter().zip(&strides));
            len == 0 || steps.into_iter().all(|(&len, (given, compact))| len == 1 || given == compact)
        };
        if !compact {
            return Err(NotImported::Strides);
        }
        if len == 0 {
            return Ok((NonNull::dangling(), 0));
        }
        if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(NotImported::Shape);
        }
        let offset = usize::try_from(tensor.byte_offset).map_err(|_| NotImported::Shape)?;
        let data = tensor.data.cast::<T>().wrapping_byte_add(offset);
        let address = data.addr();
        // Nothing is there with an offset either.
        let data = NonNull::new(data).filter(|data| data.is_aligned() && !tensor.data.is_null());
        Ok((data.ok_or(NotImported::Address { address, alignment: align_of::<T>() })?, len))
    }
}

impl Drop for ManagedTensor {
    fn drop(&mut self) {
        let managed = self.0.as_ptr();
        // SAFETY: `deleter` lies before all that depends on the version.
        let deleter = unsafe { (*managed).deleter };
        if let Some(deleter) = deleter {
            // SAFETY: the duty to call it, once, is ours.
            unsafe { deleter(managed) };
        }
    }
}

/// Says what is in the structure, never what is in the tensor.
impl fmt::Debug for ManagedTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedTensor")
            .field("version", &self.version())
            .field("shape", &self.shape())
            .finish()
    }
}

/// Elements that somebody else's deleter lets go of.
struct Imported<T> {
    data: NonNull<T>,
    len: usize,
    _tensor: ManagedTensor,
}

// SAFETY: the elements are plain and nobody writes them, by the promise of `from_raw`; the tensor is `Send`.
unsafe impl<T: Element + Pod> Send for Imported<T> {}

impl<T: Element + Pod> AsRef<[T]> for Imported<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: the producer says that so many elements are there, until the tensor is dropped; where they are was
        // looked at in `find`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

/// What the consumer of an exported tensor calls.
///
/// # Safety
/// Once, with a structure that `manage` made for an `H`.
unsafe extern "C" fn delete<H>(managed: *mut DLManagedTensorVersioned) {
    // SAFETY: `manage` leaked this box.
    let managed = unsafe { Box::from_raw(managed) };
    // SAFETY: `manage` leaked this box too.
    drop(unsafe { Box::from_raw(managed.manager_ctx.cast::<Context<H>>()) });
}

/// An array that the structure points to, of as many numbers as there are dimensions.
fn numbers(tensor: &DLTensor, first: *const i64) -> &[i64] {
    match usize::try_from(tensor.ndim) {
        // SAFETY: the producer says that there are so many, for as long as the structure is there.
        Ok(len) if len > 0 && !first.is_null() => unsafe { std::slice::from_raw_parts(first, len) },
        _ => &[],
    }
}

/// The strides of a tensor that lies row after row, and how many elements it has.
fn strides_of(shape: &[usize]) -> Option<(Box<[i64]>, usize)> {
    let mut strides = vec![0; shape.len()].into_boxed_slice();
    let mut step = 1usize;
    for (stride, &len) in strides.iter_mut().zip(shape).rev() {
        *stride = i64::try_from(step).ok()?;
        step = step.checked_mul(len)?;
    }
    Some((strides, step))
}

/// A type of elements that DLPack has a name for: numbers, also those of `half` with the feature of that name, and `bool`.
/// Nobody else implements it.
pub trait Element: NoUninit + Send + Sync + sealed::Sealed {
    /// Its name.
    const DTYPE: DLDataType;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty: $code:ident)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DLDataType = DLDataType { code: $code, bits: 8 * size_of::<$type>() as u8, lanes: 1 };
        }
    )*};
}

elements! {
    i8: K_DL_INT i16: K_DL_INT i32: K_DL_INT i64: K_DL_INT
    u8: K_DL_UINT u16: K_DL_UINT u32: K_DL_UINT u64: K_DL_UINT
    f32: K_DL_FLOAT f64: K_DL_FLOAT
    bool: K_DL_BOOL
}
#[cfg(feature = "half")]
elements!(half::f16: K_DL_FLOAT half::bf16: K_DL_BFLOAT);

/// A shape is not that of so many elements.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a tensor of shape {shape:?} cannot be made of {len} elements")]
pub struct ShapeMismatch {
    /// The shape.
    pub shape: Vec<usize>,
    /// Elements that there are.
    pub len: usize,
}

/// A tensor cannot be an owner; it comes back with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ImportError {
    /// The tensor, as it was.
    pub tensor: ManagedTensor,
    /// Why.
    pub reason: NotImported,
}

/// Why a tensor cannot be an owner.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotImported {
    /// The structure is of a version that is not known.
    #[error("a tensor of DLPack {}.{}, where 1 is known", .0.major, .0.minor)]
    Version(DLPackVersion),
    /// The data are not in the host's memory.
    #[error("a tensor on device {} of kind {}, which is not the host's memory", .0.device_id, .0.device_type)]
    Device(DLDevice),
    /// The elements are of another type.
    #[error("a tensor of {found:?} asked for elements of {asked:?}")]
    Type {
        /// What they are.
        found: DLDataType,
        /// What was asked for.
        asked: DLDataType,
    },
    /// A dimension is negative, or there are more elements than memory can have.
    #[error("a tensor whose shape is not that of anything in memory")]
    Shape,
    /// The elements are not one behind the other, row after row.
    #[error("a tensor whose elements are not one behind the other; have it made contiguous")]
    Strides,
    /// The elements are at no address, or one where they may not be.
    #[error("a tensor at {address:#x}, where its elements need a multiple of {alignment}")]
    Address {
        /// Where it begins.
        address: usize,
        /// What the address must be a multiple of.
        alignment: usize,
    },
}
