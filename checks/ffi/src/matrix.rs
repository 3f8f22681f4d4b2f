//! Matrices over slices of any size, multiplied by a BLAS.
#![expect(unsafe_code, reason = "the multiplication takes addresses")]

use std::fmt;

/// A matrix over a slice: element (i, j) is at `i * row_stride + j * column_stride`, in 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    elements: &'a [f32],
    shape: Shape,
}

/// A [`Matrix`] that is written. No two of its elements are at one place.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    elements: &'a mut [f32],
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A matrix does not fit its slice, or another matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// The slice ends before the matrix does.
    TooShort {
        /// Elements in the slice.
        len: usize,
    },
    /// Two elements that are to be written would be at one place.
    Overlapping,
    /// The product of these matrices is no matrix of that shape.
    Shapes,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::TooShort { len } => write!(f, "a slice of {len} elements ends before the matrix"),
            Misfit::Overlapping => {
                f.write_str("two elements of the matrix are at one place; enlarge a stride")
            }
            Misfit::Shapes => f.write_str("the shapes of the factors and the product do not fit"),
        }
    }
}

impl std::error::Error for Misfit {}

impl<'a> Matrix<'a> {
    /// A matrix of `rows` and `columns`.
    ///
    /// # Errors
    /// [`Misfit::TooShort`].
    pub fn new(
        elements: &'a [f32],
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) -> Result<Self, Misfit> {
        let shape = Shape { rows, columns, row_stride, column_stride };
        shape.check(elements.len())?;
        Ok(Matrix { elements, shape })
    }
}

impl<'a> MatrixMut<'a> {
    /// A matrix of `rows` and `columns`.
    ///
    /// # Errors
    /// [`Misfit::TooShort`] or [`Misfit::Overlapping`].
    pub fn new(
        elements: &'a mut [f32],
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) -> Result<Self, Misfit> {
        let shape = Shape { rows, columns, row_stride, column_stride };
        shape.check(elements.len())?;
        if shape.overlaps() {
            return Err(Misfit::Overlapping);
        }
        Ok(MatrixMut { elements, shape })
    }
}

/// Writes the product of `a` and `b` to `c`.
///
/// # Errors
/// [`Misfit::Shapes`].
pub fn multiply(a: Matrix<'_>, b: Matrix<'_>, c: &mut MatrixMut<'_>) -> Result<(), Misfit> {
    let (m, k, n) = (a.shape.rows, a.shape.columns, b.shape.columns);
    if b.shape.rows != k || (c.shape.rows, c.shape.columns) != (m, n) {
        return Err(Misfit::Shapes);
    }
    let ((ra, ca), (rb, cb), (rc, cc)) = (a.shape.strides(), b.shape.strides(), c.shape.strides());
    let (pa, pb, pc) = (a.elements.as_ptr(), b.elements.as_ptr(), c.elements.as_mut_ptr());
    // SAFETY: every element of the three lies in its slice, which is borrowed, `c` exclusively, and the elements of `c` are
    // apart: the constructors looked.
    unsafe { matrixmultiply::sgemm(m, k, n, 1.0, pa, ra, ca, pb, rb, cb, 0.0, pc, rc, cc) };
    Ok(())
}

impl Shape {
    /// All elements are at places before `len`.
    fn check(self, len: usize) -> Result<(), Misfit> {
        if self.rows == 0 || self.columns == 0 {
            return Ok(());
        }
        let last = (self.rows - 1)
            .checked_mul(self.row_stride)
            .zip((self.columns - 1).checked_mul(self.column_stride))
            .and_then(|(row, column)| row.checked_add(column));
        if last.is_some_and(|last| last < len) { Ok(()) } else { Err(Misfit::TooShort { len }) }
    }

    /// Strides that are used are less than a slice's length, so they fit; the others are of no account.
    fn strides(self) -> (isize, isize) {
        let used = |count: usize, stride: usize| if count > 1 { stride as isize } else { 0 };
        (used(self.rows, self.row_stride), used(self.columns, self.column_stride))
    }

    /// Rows and columns are not clearly apart: neither all of a row lies before the next, nor all of a column.
    fn overlaps(self) -> bool {
        let apart = |count: usize, stride: usize, inner: usize, inner_stride: usize| {
            let within = inner.saturating_sub(1).saturating_mul(inner_stride);
            (count <= 1 || stride > within) && (inner <= 1 || inner_stride > 0)
        };
        let rows_apart = apart(self.rows, self.row_stride, self.columns, self.column_stride);
        let columns_apart = apart(self.columns, self.column_stride, self.rows, self.row_stride);
        self.rows != 0 && self.columns != 0 && !rows_apart && !columns_apart
    }
}
