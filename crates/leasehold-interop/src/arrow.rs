//! Arrow's buffers from owners and as owners, and ragged batches as lists.

use std::any::TypeId;
use std::marker::PhantomData;

use arrow_buffer::{ArrowNativeType, Buffer, OffsetBuffer, ScalarBuffer};
use bytemuck::Pod;
use bytes::Bytes;
use leasehold::{Ragged, RaggedRows, SharedOwner};

use crate::Held;

/// A buffer of the bytes that `held` shows. Copies nothing; `held` is dropped with the last buffer of it.
///
/// # Examples
/// ```
/// use leasehold::MemoryPool;
/// use leasehold_interop::arrow;
///
/// let pool = MemoryPool::new();
/// let owner = pool.rent_zeroed::<f32>(8);
/// let address = owner.as_ptr();
/// let buffer = arrow::to_buffer(owner);
/// assert_eq!((buffer.as_ptr(), buffer.len()), (address.cast(), 32));
/// drop(buffer);
/// assert!(pool.outstanding().is_empty());
/// ```
pub fn to_buffer<T: Pod>(held: impl Held<T>) -> Buffer {
    Buffer::from(Bytes::from_owner(AsBytes { held, elements: PhantomData }))
}

/// A buffer of the elements that `held` shows. Copies nothing; `held` is dropped with the last buffer of it.
///
/// # Examples
/// ```
/// use leasehold_interop::arrow;
///
/// let scalars = arrow::to_scalar_buffer(leasehold::MemoryOwner::from(vec![1i32, 2, 3]));
/// assert_eq!(scalars.slice(1, 2)[..], [2, 3]);
/// ```
pub fn to_scalar_buffer<T: Pod + ArrowNativeType>(held: impl Held<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(to_buffer(held))
}

/// The elements of a buffer as a shared owner. Copies nothing; the buffer is dropped with the last owner.
///
/// # Examples
/// ```
/// use arrow_buffer::ScalarBuffer;
/// use leasehold_interop::arrow;
///
/// let scalars = ScalarBuffer::from(vec![1i32, 2, 3]);
/// let owner = arrow::from_scalar_buffer(scalars.clone());
/// assert_eq!(owner.as_ptr(), scalars.as_ptr());
/// ```
#[track_caller]
pub fn from_scalar_buffer<T: ArrowNativeType>(scalars: ScalarBuffer<T>) -> SharedOwner<T> {
    SharedOwner::from_owner(scalars)
}

/// The bytes of a buffer as a shared owner. Copies nothing; the buffer is dropped with the last owner.
///
/// # Examples
/// ```
/// use leasehold_interop::arrow;
///
/// let buffer = arrow_buffer::Buffer::from_vec(vec![1u16, 2]);
/// let owner = arrow::from_buffer(buffer.clone());
/// assert_eq!((owner.as_ptr(), owner.len()), (buffer.as_ptr(), 4));
/// ```
#[track_caller]
pub fn from_buffer(buffer: Buffer) -> SharedOwner<u8> {
    SharedOwner::from_owner(Bytes::from(buffer))
}

/// The offsets and values of a `LargeListArray`. Copies no value, and no offset where a pointer has 64 bits.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, Ragged};
/// use leasehold_interop::arrow;
///
/// let batch = Ragged::gather_rows(MemoryPool::shared(), &[&[1.0f32, 2.0][..], &[], &[3.0]]);
/// let (offsets, values) = arrow::ragged_to_large_list(batch);
/// assert_eq!((&offsets[..], &values[..]), (&[0, 2, 2, 3][..], &[1.0, 2.0, 3.0][..]));
/// ```
pub fn ragged_to_large_list<T: Pod + Send + ArrowNativeType>(
    batch: Ragged<T>,
) -> (OffsetBuffer<i64>, ScalarBuffer<T>) {
    let (values, offsets) = batch.into_parts();
    // What counts elements in memory is never negative.
    let offsets = match offsets.cast::<i64>() {
        Ok(offsets) if size_of::<usize>() == size_of::<i64>() => to_scalar_buffer(offsets),
        Ok(offsets) => widened(bytemuck::cast_slice::<i64, usize>(&offsets)),
        Err(narrow) => widened(&narrow.owner),
    };
    (OffsetBuffer::new(offsets), to_scalar_buffer(values))
}

/// The offsets and values of a `ListArray`, whose offsets have 32 bits. Copies no value.
///
/// # Errors
/// [`TooManyValues`] hands the batch back.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, Ragged};
/// use leasehold_interop::arrow;
///
/// let batch = Ragged::gather_rows(MemoryPool::shared(), &[&[1u8, 2][..], &[3]]);
/// let (offsets, values) = arrow::ragged_to_list(batch)?;
/// assert_eq!((&offsets[..], &values[..]), (&[0, 2, 3][..], &[1, 2, 3][..]));
/// # Ok::<_, arrow::TooManyValues<u8>>(())
/// ```
pub fn ragged_to_list<T: Pod + Send + ArrowNativeType>(
    batch: Ragged<T>,
) -> Result<(OffsetBuffer<i32>, ScalarBuffer<T>), TooManyValues<T>> {
    if i32::try_from(batch.values().len()).is_err() {
        return Err(TooManyValues { batch });
    }
    let offsets: Vec<i32> = batch.offsets().iter().map(|&offset| offset as i32).collect();
    let (values, _) = batch.into_parts();
    Ok((OffsetBuffer::new(offsets.into()), to_scalar_buffer(values)))
}

/// A batch has more values than offsets of 32 bits can count; see [`ragged_to_large_list`].
#[derive(Debug, thiserror::Error)]
#[error("a list with offsets of 32 bits cannot have {} values; make a large list", batch.values().len())]
pub struct TooManyValues<T> {
    /// The batch, as it was.
    pub batch: Ragged<T>,
}

/// The rows of an Arrow list, read as those of a [`Ragged`] are. Copies no value, and no offset of a large list where a pointer
/// has 64 bits.
///
/// # Examples
/// ```
/// use arrow_buffer::{OffsetBuffer, ScalarBuffer};
/// use leasehold::{MemoryPool, Ragged};
/// use leasehold_interop::arrow::ListRows;
///
/// let values = ScalarBuffer::from(vec![1i32, 2, 3]);
/// let list = ListRows::new(&OffsetBuffer::<i32>::from_lengths([2, 1]), values)?;
/// assert_eq!(list.rows().row(1), [3]);
/// let batch = Ragged::gather(MemoryPool::shared(), &[list.rows(), list.rows().slice(..1)]);
/// assert_eq!(batch.values(), [1, 2, 3, 1, 2]);
/// # Ok::<_, leasehold::BadOffsets>(())
/// ```
#[derive(Clone, Debug)]
pub struct ListRows<T> {
    values: SharedOwner<T>,
    offsets: SharedOwner<usize>,
}

impl<T: ArrowNativeType> ListRows<T> {
    /// Takes the values as they are, and looks at every offset.
    ///
    /// # Errors
    /// [`BadOffsets`](leasehold::BadOffsets) when a row ends beyond the values.
    #[track_caller]
    pub fn new<O: ArrowNativeType>(
        offsets: &OffsetBuffer<O>,
        values: ScalarBuffer<T>,
    ) -> Result<ListRows<T>, leasehold::BadOffsets> {
        let list = ListRows { values: from_scalar_buffer(values), offsets: in_memory(offsets) };
        RaggedRows::new(&list.values, &list.offsets)?;
        Ok(list)
    }
}

impl<T> ListRows<T> {
    /// The rows.
    pub fn rows(&self) -> RaggedRows<'_, T> {
        RaggedRows::new(&self.values, &self.offsets).expect("the list was checked when it was made")
    }

    /// The values of all rows, which may begin before the first and end behind the last.
    pub fn values(&self) -> &SharedOwner<T> {
        &self.values
    }
}

/// Offsets as those of memory: as they are if they have the size of a pointer, otherwise copied.
#[track_caller]
fn in_memory<O: ArrowNativeType>(offsets: &OffsetBuffer<O>) -> SharedOwner<usize> {
    let same = TypeId::of::<O>() == TypeId::of::<i64>() && size_of::<usize>() == size_of::<i64>();
    let offsets_of = || offsets.iter().map(|offset| offset.as_usize()).collect::<Vec<_>>();
    if !same {
        return SharedOwner::from(offsets_of());
    }
    // A scalar buffer is aligned for its elements and whole.
    from_buffer(offsets.inner().inner().clone()).cast().unwrap_or_else(|_| SharedOwner::from(offsets_of()))
}

fn widened(offsets: &[usize]) -> ScalarBuffer<i64> {
    offsets.iter().map(|&offset| offset as i64).collect()
}

/// Elements as their bytes.
struct AsBytes<T, H> {
    held: H,
    elements: PhantomData<fn() -> T>,
}

impl<T: Pod, H: AsRef<[T]>> AsRef<[u8]> for AsBytes<T, H> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self.held.as_ref())
    }
}
