//! Rows of different lengths in one block.

use std::fmt;

use bytemuck::Pod;

use crate::error::RaggedFull;
use crate::owner::MemoryOwner;
use crate::pool::MemoryPool;

/// Rows of different lengths, back to back in one rented block, with their offsets in another.
///
/// ```text
/// values   a a a b b c c c c
/// offsets  0     3   5       9     one more than there are rows
/// ```
/// No padding, and no allocation once it is rented: [`clear`](Self::clear) makes room for the next batch.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, Ragged};
///
/// let mut batch = Ragged::<u32>::rent(MemoryPool::shared(), 8, 512);
/// batch.push_row(&[101, 7592, 102])?;
/// batch.push_row(&[101, 102])?;
/// assert_eq!(batch.row(1), [101, 102]);
/// assert_eq!(batch.offsets(), [0, 3, 5]);
/// # Ok::<_, leasehold::RaggedFull>(())
/// ```
pub struct Ragged<T> {
    values: MemoryOwner<T>,
    /// As long as the row capacity, plus one; `[0, rows]` of it are in use.
    offsets: MemoryOwner<usize>,
    rows: usize,
}

impl<T: Pod + Send> Ragged<T> {
    /// Rents room for `rows` rows with `values` values in all.
    ///
    /// # Panics
    /// When the memory is not to be had.
    #[track_caller]
    pub fn rent(pool: &MemoryPool, rows: usize, values: usize) -> Ragged<T> {
        let mut offsets = pool.rent(rows.saturating_add(1));
        offsets[0] = 0;
        Ragged { values: pool.rent(values), offsets, rows: 0 }
    }

    /// Makes an empty batch of two blocks from anywhere: room for as many values as `values` has, and for one row
    /// less than `offsets` has elements.
    ///
    /// # Panics
    /// When `offsets` is empty.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged};
    ///
    /// let pool = MemoryPool::builder().build_bounded(1 << 20);
    /// let mut batch = Ragged::from_owners(pool.try_rent::<u32>(512)?, pool.try_rent(9)?);
    /// assert_eq!((batch.spare_rows(), batch.spare_values()), (8, 512));
    /// batch.push_row(&[101, 102]).unwrap();
    /// # Ok::<_, leasehold::RentError>(())
    /// ```
    #[track_caller]
    pub fn from_owners(values: MemoryOwner<T>, mut offsets: MemoryOwner<usize>) -> Ragged<T> {
        assert!(!offsets.is_empty(), "the offsets of a batch have one element at least");
        offsets[0] = 0;
        Ragged { values, offsets, rows: 0 }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`RaggedFull`] when it does not fit; the batch is as it was.
    pub fn push_row(&mut self, row: &[T]) -> Result<(), RaggedFull> {
        let (spare_values, spare_rows) = (self.spare_values(), self.spare_rows());
        if row.len() > spare_values || spare_rows == 0 {
            return Err(RaggedFull { row_len: row.len(), spare_values, spare_rows });
        }
        let start = self.offsets[self.rows];
        self.values[start..start + row.len()].copy_from_slice(row);
        self.rows += 1;
        self.offsets[self.rows] = start + row.len();
        Ok(())
    }
}

impl<T> Ragged<T> {
    /// Rows in the batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// One row.
    ///
    /// # Panics
    /// When there are not that many.
    #[track_caller]
    pub fn row(&self, index: usize) -> &[T] {
        assert!(index < self.rows, "row {index} of a batch of {} rows", self.rows);
        &self.values[self.offsets[index]..self.offsets[index + 1]]
    }

    /// The rows, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[T]> + DoubleEndedIterator {
        (0..self.rows).map(|index| self.row(index))
    }

    /// The values of all rows, back to back.
    pub fn values(&self) -> &[T] {
        &self.values[..self.offsets[self.rows]]
    }

    /// Where each row begins in [`values`](Self::values), and, last, where the last one ends.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets[..=self.rows]
    }

    /// Values that there is still room for.
    pub fn spare_values(&self) -> usize {
        self.values.len() - self.offsets[self.rows]
    }

    /// Rows that there is still room for.
    pub fn spare_rows(&self) -> usize {
        self.offsets.len() - 1 - self.rows
    }

    /// Forgets all rows and keeps the blocks.
    pub fn clear(&mut self) {
        self.rows = 0;
    }
}

/// Says how large the batch is, never what is in it.
impl<T> fmt::Debug for Ragged<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ragged").field("rows", &self.rows).field("values", &self.offsets[self.rows]).finish()
    }
}
