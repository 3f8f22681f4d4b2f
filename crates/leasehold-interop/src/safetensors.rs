//! The tensors of a file as shared owners of their parts of it.

use std::borrow::Cow;

use bytemuck::Pod;
use leasehold::{CastError, SharedOwner};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};

/// Bytes of the length that a file begins with.
const LENGTH_BYTES: usize = 8;

/// A file of tensors, in memory: mapped, read into a rented buffer, or taken from anywhere else.
///
/// Its tensors are shared owners, which keep the file and can be moved to other threads.
///
/// # Examples
/// ```
/// use leasehold::{MemoryOwner, SharedOwner};
/// use leasehold_interop::safetensors::{Tensor, TensorFile};
/// use safetensors::Dtype;
///
/// let weights = SharedOwner::from(vec![1.0f32, 2.0, 3.0, 4.0]);
/// let tensor = Tensor::new(Dtype::F32, vec![2, 2], weights.cast().unwrap())?;
/// let file = safetensors::serialize([("weights", &tensor)], None)?;
///
/// let file = TensorFile::new(SharedOwner::from(file))?;
/// let tensor = file.tensor("weights")?;
/// assert_eq!(tensor.shape(), [2, 2]);
/// assert_eq!(tensor.elements::<f32>()?, [1.0, 2.0, 3.0, 4.0][..]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorFile {
    metadata: Metadata,
    /// What follows the header.
    data: SharedOwner<u8>,
}

impl TensorFile {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(file: SharedOwner<u8>) -> Result<TensorFile, SafeTensorError> {
        let (header, metadata) = SafeTensors::read_metadata(&file)?;
        let data = file.try_slice(LENGTH_BYTES + header..);
        Ok(TensorFile { metadata, data: data.map_err(|_| SafeTensorError::InvalidHeaderLength)? })
    }

    /// The names of all tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// What else the header says.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// A tensor. Copies no element.
    ///
    /// # Errors
    /// `TensorNotFound` when there is none of that name.
    pub fn tensor(&self, name: &str) -> Result<Tensor, SafeTensorError> {
        let info = self.metadata.info(name);
        let info = info.ok_or_else(|| SafeTensorError::TensorNotFound(name.to_owned()))?;
        let (start, end) = info.data_offsets;
        let data = self.data.try_slice(start..end);
        let data = data.map_err(|_| SafeTensorError::InvalidOffset(name.to_owned()))?;
        Ok(Tensor { dtype: info.dtype, shape: info.shape.clone(), data })
    }
}

/// A tensor of a [`TensorFile`], or one to be written to such a file.
#[derive(Clone, Debug)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    data: SharedOwner<u8>,
}

impl Tensor {
    /// A tensor to be written with `safetensors::serialize`, which takes a reference to it.
    ///
    /// # Errors
    /// `InvalidTensorView` when the data are not as long as the shape says, `MisalignedSlice` when that is no whole number of
    /// bytes, `ValidationOverflow` when there cannot be so many elements.
    ///
    /// # Examples
    /// See [`TensorFile`].
    pub fn new(dtype: Dtype, shape: Vec<usize>, data: SharedOwner<u8>) -> Result<Tensor, SafeTensorError> {
        let bits = shape.iter().try_fold(dtype.bitsize(), |bits, &len| bits.checked_mul(len));
        if bits.is_none() {
            return Err(SafeTensorError::ValidationOverflow);
        }
        let shape = safetensors::tensor::TensorView::new(dtype, shape, &data)?.shape().to_vec();
        Ok(Tensor { dtype, shape, data })
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How many elements there are in each dimension, in row-major order.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements as bytes, least significant first.
    ///
    /// For types that are not an [`Element`], [`SharedOwner::cast`] them. Those of `half` are, with the feature of that name.
    pub fn data(&self) -> &SharedOwner<u8> {
        &self.data
    }

    /// The elements. Copies nothing.
    ///
    /// # Errors
    /// [`ElementsError`]: they are of another type, or do not lie where such elements may, which a writer that does not
    /// pad its header brings about.
    pub fn elements<T: Element>(&self) -> Result<SharedOwner<T>, ElementsError> {
        if self.dtype != T::DTYPE {
            return Err(ElementsError::Type { found: self.dtype, asked: T::DTYPE });
        }
        self.data.clone().cast().map_err(ElementsError::Place)
    }
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// The elements of a tensor cannot be shown as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElementsError {
    /// They are of another type.
    #[error("a tensor of {found:?} asked for elements of {asked:?}")]
    Type {
        /// What they are.
        found: Dtype,
        /// What was asked for.
        asked: Dtype,
    },
    /// They do not lie where such elements may; the bytes come back.
    #[error("the tensor's elements cannot be read in place; copy them")]
    Place(#[source] CastError<SharedOwner<u8>>),
}

/// A type of the language that tensors can have. Nobody else implements it.
pub trait Element: Pod + Send + Sync + sealed::Sealed {
    /// Its name in a file.
    const DTYPE: Dtype;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty: $dtype:ident)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}

// In memory they are as in a file on machines whose least significant byte is first.
#[cfg(target_endian = "little")]
elements!(u16: U16 u32: U32 u64: U64 i16: I16 i32: I32 i64: I64 f32: F32 f64: F64);
#[cfg(all(target_endian = "little", feature = "half"))]
elements!(half::f16: F16 half::bf16: BF16);
elements!(u8: U8 i8: I8);
