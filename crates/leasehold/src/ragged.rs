//! Rows of different lengths in one block.

use std::fmt;
use std::ops::RangeBounds;
use std::panic::Location;

use bytemuck::Pod;

use crate::error::{BadOffsets, OutOfRange, RaggedFull, Refused, RentError};
use crate::owner::MemoryOwner;
use crate::pool::{AnyPool, MemoryPool};
use crate::raw;

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

/// The values and the offsets.
type Parts<T> = (MemoryOwner<T>, MemoryOwner<usize>);

impl<T: Pod + Send> Ragged<T> {
    /// Rents room for `rows` rows with `values` values in all.
    ///
    /// # Panics
    /// When the memory is not to be had.
    #[track_caller]
    pub fn rent(pool: &MemoryPool, rows: usize, values: usize) -> Ragged<T> {
        let offsets = pool.rent(rows.saturating_add(1));
        Ragged::from_owners(pool.rent(values), offsets)
    }

    /// As [`rent`](Self::rent), from a pool with a budget or without one.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had now; nothing is rented then.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged, RentError};
    ///
    /// let pool = MemoryPool::builder().build_bounded(1 << 20);
    /// let mut batch = Ragged::<u32>::try_rent(&pool, 8, 512)?;
    /// batch.push_row(&[101, 102]).unwrap();
    /// assert!(Ragged::<u32>::try_rent(&pool, 8, 1 << 20).is_err(), "four bytes each");
    /// # Ok::<_, RentError>(())
    /// ```
    #[track_caller]
    pub fn try_rent(pool: impl Into<AnyPool>, rows: usize, values: usize) -> Result<Ragged<T>, RentError> {
        let (pool, site) = (pool.into(), Location::caller());
        let offsets = pool.try_rent_at(rows.saturating_add(1), site)?;
        Ok(Ragged::from_owners(pool.try_rent_at(values, site)?, offsets))
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

    /// Makes a batch of values and offsets, as [`into_parts`](Self::into_parts) gives them. Copies nothing, and looks at
    /// every offset. Values behind the last row are room for more.
    ///
    /// # Errors
    /// [`BadOffsets`], with the two blocks: there is no offset, the first is not 0, one is smaller than the one before it, or
    /// the last is beyond the values.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryOwner, Ragged};
    ///
    /// let (values, offsets) = (MemoryOwner::from(vec![1u32, 2, 3]), MemoryOwner::from(vec![0, 2, 3]));
    /// let batch = Ragged::from_parts(values, offsets)?;
    /// assert_eq!((batch.row(0), batch.row(1)), (&[1, 2][..], &[3][..]));
    ///
    /// let (values, _) = batch.into_parts();
    /// let refused = Ragged::from_parts(values, MemoryOwner::from(vec![0, 4])).unwrap_err();
    /// assert_eq!(refused.to_string(), "the last row ends at 4 of 3 values");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_parts(
        values: MemoryOwner<T>,
        offsets: MemoryOwner<usize>,
    ) -> Result<Ragged<T>, Refused<Parts<T>, BadOffsets>> {
        let checked = RaggedRows::new(&values, &offsets).and_then(|rows| match rows.offsets[0] {
            0 => Ok(rows.len()),
            offset => Err(BadOffsets::First { offset }),
        });
        match checked {
            Ok(rows) => Ok(Ragged { values, offsets, rows }),
            Err(reason) => Err(Refused { memory: (values, offsets), reason }),
        }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`RaggedFull`] when it does not fit; the batch is as it was.
    pub fn push_row(&mut self, row: &[T]) -> Result<(), RaggedFull> {
        self.push_row_with(row.len(), |values| values.copy_from_slice(row))
    }

    /// Appends a row of `len` values that `fill` writes in place. They are initialised, with what was there before.
    ///
    /// # Errors
    /// [`RaggedFull`] when it does not fit; `fill` is not called, and the batch is as it was. It also is when `fill` panics.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged};
    ///
    /// let mut batch = Ragged::<u32>::rent(MemoryPool::shared(), 8, 512);
    /// batch.push_row_with(3, |row| row.copy_from_slice(&[101, 7592, 102]))?;
    /// assert_eq!(batch.row(0), [101, 7592, 102]);
    /// # Ok::<_, leasehold::RaggedFull>(())
    /// ```
    pub fn push_row_with(&mut self, len: usize, fill: impl FnOnce(&mut [T])) -> Result<(), RaggedFull> {
        self.check_room(1, len)?;
        let start = self.offsets[self.rows];
        fill(&mut self.values[start..start + len]);
        self.rows += 1;
        self.offsets[self.rows] = start + len;
        Ok(())
    }

    /// Appends rows of another batch with two copies, however many they are.
    ///
    /// # Errors
    /// [`RaggedFull`] when they do not all fit; the batch is as it was.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged};
    ///
    /// let mut part = Ragged::<u32>::rent(MemoryPool::shared(), 3, 6);
    /// for row in [&[1, 2][..], &[3], &[4, 5, 6]] {
    ///     part.push_row(row)?;
    /// }
    /// let mut batch = Ragged::<u32>::rent(MemoryPool::shared(), 8, 512);
    /// batch.push_rows(part.slice(1..))?;
    /// assert_eq!((batch.values(), batch.offsets()), (&[3, 4, 5, 6][..], &[0, 1, 4][..]));
    /// # Ok::<_, leasehold::RaggedFull>(())
    /// ```
    pub fn push_rows(&mut self, rows: RaggedRows<'_, T>) -> Result<(), RaggedFull> {
        let (values, offsets) = (rows.values(), rows.offsets);
        self.check_room(rows.len(), values.len())?;
        let start = self.offsets[self.rows];
        self.values[start..start + values.len()].copy_from_slice(values);
        let target = &mut self.offsets[self.rows + 1..=self.rows + rows.len()];
        for (target, offset) in target.iter_mut().zip(&offsets[1..]) {
            *target = start + (offset - offsets[0]);
        }
        self.rows += rows.len();
        Ok(())
    }

    /// One batch, just large enough, with the rows of several: for a device that wants them in one block.
    ///
    /// Rows that lie elsewhere, under leases for instance, are gathered with [`gather_rows`](Self::gather_rows).
    ///
    /// # Panics
    /// When the memory is not to be had.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged};
    ///
    /// let pool = MemoryPool::new();
    /// let one = Ragged::gather_rows(&pool, &[[1, 2], [3, 4]]);
    /// let two = Ragged::gather_rows(&pool, &[[5]]);
    /// let batch = Ragged::gather(&pool, &[one.slice(1..), two.slice(..)]);
    /// assert_eq!(batch.iter().collect::<Vec<_>>(), [&[3, 4][..], &[5]]);
    /// ```
    #[track_caller]
    pub fn gather(pool: &MemoryPool, parts: &[RaggedRows<'_, T>]) -> Ragged<T> {
        let (rows, values) = size_of_parts(parts);
        Ragged::rent(pool, rows, values).filled_with_parts(parts)
    }

    /// As [`gather`](Self::gather), from a pool with a budget or without one.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had now.
    #[track_caller]
    pub fn try_gather(pool: impl Into<AnyPool>, parts: &[RaggedRows<'_, T>]) -> Result<Ragged<T>, RentError> {
        let (rows, values) = size_of_parts(parts);
        Ok(Ragged::try_rent(pool, rows, values)?.filled_with_parts(parts))
    }

    /// As [`gather`](Self::gather), with rows from anywhere: slices, owners, spans of leased memory.
    ///
    /// # Panics
    /// When the memory is not to be had.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryOwner, MemoryPool, Ragged, Revoked};
    ///
    /// let (_first, one) = MemoryOwner::from(vec![1, 2]).lease_read_only();
    /// let (_second, two) = MemoryOwner::from(vec![3]).lease_read_only();
    /// let rows = [one.span()?, two.span()?];
    /// let batch = Ragged::gather_rows(MemoryPool::shared(), &rows);
    /// assert_eq!((batch.values(), batch.offsets()), (&[1, 2, 3][..], &[0, 2, 3][..]));
    /// # Ok::<_, Revoked>(())
    /// ```
    #[track_caller]
    pub fn gather_rows<R: AsRef<[T]>>(pool: &MemoryPool, rows: &[R]) -> Ragged<T> {
        Ragged::rent(pool, rows.len(), values_of_rows(rows)).filled_with_rows(rows)
    }

    /// As [`gather_rows`](Self::gather_rows), from a pool with a budget or without one.
    ///
    /// # Errors
    /// [`RentError`] when the memory is not to be had now.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged, RentError};
    ///
    /// let pool = MemoryPool::builder().build_bounded(1 << 20);
    /// let batch = Ragged::try_gather_rows(&pool, &[&[1, 2][..], &[3]])?;
    /// assert_eq!((batch.row(0), batch.row(1)), (&[1, 2][..], &[3][..]));
    /// # Ok::<_, RentError>(())
    /// ```
    #[track_caller]
    pub fn try_gather_rows<R: AsRef<[T]>>(
        pool: impl Into<AnyPool>,
        rows: &[R],
    ) -> Result<Ragged<T>, RentError> {
        Ok(Ragged::try_rent(pool, rows.len(), values_of_rows(rows))?.filled_with_rows(rows))
    }

    /// The values of all rows, and where each begins, as two buffers: what an Arrow list or a device takes. Copies nothing.
    ///
    /// The offsets are one more than there are rows.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged};
    ///
    /// let batch = Ragged::gather_rows(MemoryPool::shared(), &[&[1, 2][..], &[3]]);
    /// let address = batch.values().as_ptr();
    /// let (values, offsets) = batch.into_parts();
    /// assert_eq!((&values[..], &offsets[..]), (&[1, 2, 3][..], &[0, 2, 3][..]));
    /// assert_eq!(values.as_ptr(), address);
    /// ```
    pub fn into_parts(mut self) -> Parts<T> {
        self.values.truncate(self.offsets[self.rows]);
        self.offsets.truncate(self.rows + 1);
        (self.values, self.offsets)
    }

    fn filled_with_parts(mut self, parts: &[RaggedRows<'_, T>]) -> Ragged<T> {
        for part in parts {
            self.push_rows(*part).expect("it was made for these rows");
        }
        self
    }

    fn filled_with_rows<R: AsRef<[T]>>(mut self, rows: &[R]) -> Ragged<T> {
        for row in rows {
            self.push_row(row.as_ref()).expect("it was made for these rows");
        }
        self
    }

    fn check_room(&self, rows: usize, row_len: usize) -> Result<(), RaggedFull> {
        let (spare_values, spare_rows) = (self.spare_values(), self.spare_rows());
        if row_len > spare_values || rows > spare_rows {
            return Err(RaggedFull { row_len, spare_values, spare_rows });
        }
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

    /// A view of some of the rows, which costs nothing.
    ///
    /// # Panics
    /// If the range does not lie within the rows.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{MemoryPool, Ragged};
    ///
    /// let batch = Ragged::gather_rows(MemoryPool::shared(), &[&[1, 2][..], &[3], &[4, 5, 6]]);
    /// let rows = batch.slice(1..);
    /// assert_eq!((rows.len(), rows.row(1)), (2, &[4, 5, 6][..]));
    /// assert_eq!((rows.values(), rows.offsets()), (&[3, 4, 5, 6][..], &[2, 3, 6][..]));
    /// ```
    #[track_caller]
    pub fn slice(&self, rows: impl RangeBounds<usize>) -> RaggedRows<'_, T> {
        match raw::resolve(&rows, self.rows) {
            Ok(rows) => RaggedRows { values: &self.values, offsets: &self.offsets[rows.start..=rows.end] },
            Err(range) => OutOfRange::panic(range),
        }
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

/// Some rows of a [`Ragged`] batch, one behind the other: `Copy`, and made for nothing.
///
/// # Examples
/// See [`Ragged::slice`].
pub struct RaggedRows<'a, T> {
    /// Of the whole batch.
    values: &'a [T],
    /// Of these rows, and where the last one ends; never empty.
    offsets: &'a [usize],
}

impl<'a, T> RaggedRows<'a, T> {
    /// Rows of values that lie elsewhere: row `i` is from offset `i` to the next. Looks at every offset.
    ///
    /// # Errors
    /// [`BadOffsets`]: there is none, one is smaller than the one before it, or the last is beyond the values.
    ///
    /// # Examples
    /// ```
    /// use leasehold::RaggedRows;
    ///
    /// let rows = RaggedRows::new(&['a', 'b', 'c'], &[0, 2, 2, 3])?;
    /// assert_eq!(rows.iter().collect::<Vec<_>>(), [&['a', 'b'][..], &[], &['c']]);
    /// assert!(RaggedRows::new(&['a', 'b', 'c'], &[0, 4]).is_err());
    /// # Ok::<_, leasehold::BadOffsets>(())
    /// ```
    pub fn new(values: &'a [T], offsets: &'a [usize]) -> Result<Self, BadOffsets> {
        let &last = offsets.last().ok_or(BadOffsets::Missing)?;
        if let Some(before) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(BadOffsets::Decreasing { index: before + 1 });
        }
        if last > values.len() {
            return Err(BadOffsets::Beyond { offset: last, values: values.len() });
        }
        Ok(RaggedRows { values, offsets })
    }

    /// Rows in the view.
    pub fn len(self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// One row, counted from the first of the view.
    ///
    /// # Panics
    /// When there are not that many.
    #[track_caller]
    pub fn row(self, index: usize) -> &'a [T] {
        let rows = self.len();
        assert!(index < rows, "row {index} of a view of {rows} rows");
        &self.values[self.offsets[index]..self.offsets[index + 1]]
    }

    /// The rows, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [T]> + DoubleEndedIterator {
        (0..self.len()).map(move |index| self.row(index))
    }

    /// The view of some of these rows.
    ///
    /// # Panics
    /// If the range does not lie within the rows.
    #[must_use]
    #[track_caller]
    pub fn slice(self, rows: impl RangeBounds<usize>) -> RaggedRows<'a, T> {
        match raw::resolve(&rows, self.len()) {
            Ok(rows) => RaggedRows { values: self.values, offsets: &self.offsets[rows.start..=rows.end] },
            Err(range) => OutOfRange::panic(range),
        }
    }

    /// The values of these rows, back to back.
    pub fn values(self) -> &'a [T] {
        &self.values[self.offsets[0]..self.offsets[self.len()]]
    }

    /// Where each row begins, counted from the beginning of the batch, and, last, where the last one ends. Subtract the
    /// first to count from the beginning of [`values`](Self::values).
    pub fn offsets(self) -> &'a [usize] {
        self.offsets
    }
}

impl<T> Clone for RaggedRows<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RaggedRows<'_, T> {}

/// Says how large the view is, never what is in it.
impl<T> fmt::Debug for RaggedRows<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaggedRows").field("rows", &self.len()).field("values", &self.values().len()).finish()
    }
}

/// Rows and values.
fn size_of_parts<T>(parts: &[RaggedRows<'_, T>]) -> (usize, usize) {
    let values = parts.iter().map(|part| part.values().len()).sum();
    (parts.iter().map(|part| part.len()).sum(), values)
}

fn values_of_rows<T, R: AsRef<[T]>>(rows: &[R]) -> usize {
    rows.iter().map(|row| row.as_ref().len()).sum()
}
