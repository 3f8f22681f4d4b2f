//! Weights for candle's matrix products, where they are.
//!
//! A `Tensor` in main memory owns a `Vec`, and has no place for memory of anybody else: `Tensor::from_slice(&owner, shape, &device)`
//! copies once, and so does `MemoryOwner::from(tensor.flatten_all()?.to_vec1()?)`. What can hold foreign memory is a
//! `QTensor`, the right-hand side of candle's products with quantised weights, which has formats for `f32`, `f16` and `bf16` too.
//! So the weights of a model, which are most of its memory, need not be copied out of their mapped file.

use bytemuck::Pod;
use candle_core::quantized::k_quants::{self, GgmlType};
use candle_core::quantized::{GgmlDType, QStorage, QTensor, QuantizedType};
use candle_core::{CpuStorage, Error, Result, Shape};
use half::f16;
use leasehold::SharedOwner;

use crate::Held;

/// An owner, shared owner or pin of `f32`, `f16` or `bf16` as weights of that shape, in row-major order. Copies nothing; what is
/// held is dropped with the tensor.
///
/// The last dimension is the one that a product sums over, so it is the product with the transposed matrix, as in a linear
/// layer. A `QMatMul::QTensor` of it works in place; `QMatMul::from_qtensor` makes a tensor of it, which is a copy.
///
/// # Errors
/// `Error::UnexpectedShape` when there are not exactly as many elements, or no dimensions.
///
/// # Examples
/// ```
/// use candle_core::{Device, Module, Tensor, quantized::QMatMul};
/// use leasehold::MemoryOwner;
/// use leasehold_interop::candle::weights;
///
/// let rows = MemoryOwner::from(vec![1.0f32, 0.0, 0.0, 1.0, 2.0, 2.0]);
/// let linear = QMatMul::QTensor(weights(rows, (3, 2))?.into());
/// let out = linear.forward(&Tensor::new(&[[5.0f32, 7.0]], &Device::Cpu)?)?;
/// assert_eq!(out.to_vec2::<f32>()?, [[5.0, 7.0, 24.0]]);
/// # Ok::<_, candle_core::Error>(())
/// ```
#[track_caller]
pub fn weights<T: GgmlType + Pod>(held: impl Held<T>, shape: impl Into<Shape>) -> Result<QTensor> {
    let (shape, len) = (shape.into(), held.as_ref().len());
    // A product that overflows is the number of no elements.
    let elements = shape.dims().iter().try_fold(1usize, |product, &dimension| product.checked_mul(dimension));
    if elements != Some(len) || shape.rank() == 0 {
        let msg = format!("weights of {len} elements");
        return Err(Error::UnexpectedShape { msg, expected: shape, got: Shape::from(len) });
    }
    QTensor::new(QStorage::Cpu(Box::new(Weights(SharedOwner::from_owner(held)))), shape)
}

/// As candle's own implementation for vectors.
struct Weights<T>(SharedOwner<T>);

impl<T: GgmlType + Pod> Weights<T> {
    /// The elements in a vector of their own, to be written; nobody else sees it.
    fn rewrite(&mut self, write: impl FnOnce(&mut [T])) {
        let mut own = self.0.to_vec();
        write(&mut own);
        self.0 = SharedOwner::from(own);
    }
}

impl<T: GgmlType + Pod> QuantizedType for Weights<T> {
    fn dtype(&self) -> GgmlDType {
        T::DTYPE
    }

    fn matmul_t(&self, mkn: (usize, usize, usize), lhs: &[f32], dst: &mut [f32]) -> Result<()> {
        k_quants::matmul(mkn, lhs, &self.0, dst)
    }

    fn matmul_t_f16(&self, mkn: (usize, usize, usize), lhs: &[f16], dst: &mut [f16]) -> Result<()> {
        k_quants::matmul_f16(mkn, lhs, &self.0, dst)
    }

    fn embedding(&self, ids: &[u32], rows: usize, hidden: usize) -> Result<CpuStorage> {
        let row = |&id: &u32| {
            let missing = || Error::Msg(format!("row {id} of weights of {rows} rows of {hidden}"));
            let start = (id as usize).checked_mul(hidden).filter(|_| (id as usize) < rows);
            let row = start.and_then(|start| self.0.get(start..start.checked_add(hidden)?));
            row.ok_or_else(missing)
        };
        let mut out = vec![0.0; ids.len().saturating_mul(hidden)];
        // A row without elements takes none of the chunks.
        for (id, out) in ids.iter().zip(out.chunks_mut(hidden.max(1))) {
            T::to_float(row(id)?, out);
        }
        Ok(CpuStorage::F32(out))
    }

    fn dequantize(&self, elem_count: usize) -> Result<CpuStorage> {
        let mut out = vec![0.0; elem_count];
        T::to_float(&self.0, &mut out);
        Ok(CpuStorage::F32(out))
    }

    fn storage_size_in_bytes(&self) -> usize {
        size_of_val::<[T]>(&self.0)
    }

    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    fn block_size(&self) -> usize {
        T::BLCK_SIZE
    }

    fn from_float(&mut self, xs: &[f32]) {
        self.rewrite(|own| T::from_float(xs, own));
    }

    fn from_float_imatrix(&mut self, xs: &[f32], imatrix_weights: &[f32], n_per_row: usize) {
        self.rewrite(|own| T::from_float_imatrix(xs, own, imatrix_weights, n_per_row));
    }

    fn size(&self) -> usize {
        self.storage_size_in_bytes()
    }
}
