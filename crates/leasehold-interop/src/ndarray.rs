//! Views of owners as arrays, and arrays as owners.
//!
//! Arrays of `ndarray` own vectors and nothing else, so an owner is shown as a view, which borrows it.

use leasehold::{MemoryHandleMut, MemoryOwner};
use ndarray::{Array, ArrayView, ArrayViewMut, Dimension, ShapeError, StrideShape};

use crate::Held;

/// An owner, shared owner or pin as an array of that shape, in row-major order unless the shape says otherwise.
///
/// Elements behind those of the shape are not seen.
///
/// # Errors
/// `ShapeError` when there are not enough elements.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
/// use leasehold_interop::ndarray::view;
///
/// let owner = MemoryOwner::from(vec![1, 2, 3, 4, 5, 6]).into_shared();
/// let matrix = view(&owner, (2, 3))?;
/// assert_eq!(matrix[(1, 0)], 4);
/// assert_eq!(view(&owner, 6)?.sum(), 21);
/// # Ok::<_, ndarray::ShapeError>(())
/// ```
pub fn view<T, D: Dimension>(
    held: &impl Held<T>,
    shape: impl Into<StrideShape<D>>,
) -> Result<ArrayView<'_, T, D>, ShapeError> {
    ArrayView::from_shape(shape, held.as_ref())
}

/// As [`view`], for writing.
///
/// # Errors
/// As [`view`].
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
/// use leasehold_interop::ndarray::view_mut;
///
/// let mut owner = MemoryPool::shared().rent_zeroed::<f32>(6);
/// view_mut(&mut owner, (2, 3))?.row_mut(1).fill(1.5);
/// assert_eq!(owner[..], [0.0, 0.0, 0.0, 1.5, 1.5, 1.5]);
/// # Ok::<_, ndarray::ShapeError>(())
/// ```
pub fn view_mut<T, D: Dimension>(
    held: &mut impl HeldMut<T>,
    shape: impl Into<StrideShape<D>>,
) -> Result<ArrayViewMut<'_, T, D>, ShapeError> {
    ArrayViewMut::from_shape(shape, held.as_mut())
}

/// What is [held](Held) for writing: an owner, or an exclusive pin.
pub trait HeldMut<T>: Held<T> + AsMut<[T]> {}

impl<T: Send + 'static> HeldMut<T> for MemoryOwner<T> {}

impl<T: Send + 'static> HeldMut<T> for MemoryHandleMut<T> {}

/// The memory of an array in row-major order, and its shape. Copies nothing.
///
/// # Errors
/// Hands back an array whose elements are not one behind the other in that order; `as_standard_layout` makes it so.
///
/// # Examples
/// ```
/// use leasehold_interop::ndarray::into_owner;
///
/// let array = ndarray::array![[1, 2, 3], [4, 5, 6]];
/// let address = array.as_ptr();
/// let (owner, shape) = into_owner(array).unwrap();
/// assert_eq!((owner.as_ptr(), owner[3], shape), (address, 4, ndarray::Ix2(2, 3)));
/// ```
#[track_caller]
pub fn into_owner<T: Send + 'static, D: Dimension>(
    array: Array<T, D>,
) -> Result<(MemoryOwner<T>, D), Array<T, D>> {
    if !array.is_standard_layout() {
        return Err(array);
    }
    let (shape, len) = (array.raw_dim(), array.len());
    let (vec, start) = array.into_raw_vec_and_offset();
    let start = start.unwrap_or(0);
    let whole = MemoryOwner::from(vec);
    if (start, len) == (0, whole.len()) {
        return Ok((whole, shape));
    }
    let part = whole.into_shared();
    let part = part.try_slice(start..start + len).map(|slice| {
        drop(part);
        slice.try_into_owner().expect("nobody else has it")
    });
    Ok((part.expect("the elements of an array lie in its vector"), shape))
}
