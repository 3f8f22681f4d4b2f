//! Matrix products: the one place that knows which library computes them.
//!
//! `faer` picks AVX-512, AVX2 or a portable kernel when the program runs, takes any strides, so weights
//! are used where the file mapping has them, and needs no `unsafe` here.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

/// What becomes of the values that the output held before.
#[derive(Clone, Copy)]
pub(super) enum Output {
    Replace,
    Add,
}

/// Looks at `values` as rows of `columns` values each.
pub(super) fn matrix(values: &[f32], columns: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(values, values.len() / columns, columns)
}

/// As [`matrix`], to be written.
pub(super) fn matrix_mut(values: &mut [f32], columns: usize) -> MatMut<'_, f32> {
    let rows = values.len() / columns;
    MatMut::from_row_major_slice_mut(values, rows, columns)
}

/// Computes `out = scale * left * right` or `out += scale * left * right` on the calling thread.
pub(super) fn multiply(
    out: MatMut<'_, f32>,
    output: Output,
    left: MatRef<'_, f32>,
    right: MatRef<'_, f32>,
    scale: f32,
) {
    let accumulate = match output {
        Output::Replace => Accum::Replace,
        Output::Add => Accum::Add,
    };
    matmul(out, accumulate, left, right, scale, Par::Seq);
}
