//! Self-attention within each row of a ragged batch.

use super::{
    matmul::{Output, matrix, matrix_mut, multiply},
    pointwise::Pointwise,
};

/// Queries, keys and values of one row: `tokens` rows of `heads * head_width` values each.
#[derive(Clone, Copy)]
pub(super) struct Projected<'a> {
    pub(super) query: &'a [f32],
    pub(super) key: &'a [f32],
    pub(super) value: &'a [f32],
}

/// The shape of the heads.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) count: usize,
    pub(super) width: usize,
}

/// Writes what each token of one row takes from the others into `context`, head by head.
///
/// `scores` and `inverse_sums` are scratch for at least `tokens * tokens` and `tokens` values.
pub(super) fn attend(
    pointwise: Pointwise,
    heads: Heads,
    projected: Projected<'_>,
    context: &mut [f32],
    scores: &mut [f32],
    inverse_sums: &mut [f32],
) {
    let width = heads.count * heads.width;
    let tokens = context.len() / width;
    let scores = &mut scores[..tokens * tokens];
    let inverse_sums = &mut inverse_sums[..tokens];
    let scale = 1.0 / (heads.width as f32).sqrt();
    for head in 0..heads.count {
        let column = head * heads.width;
        let of_head = |values| matrix(values, width).submatrix(0, column, tokens, heads.width);
        multiply(
            matrix_mut(scores, tokens),
            Output::Replace,
            of_head(projected.query),
            of_head(projected.key).transpose(),
            scale,
        );
        pointwise.exponentials(scores, inverse_sums);
        multiply(
            matrix_mut(context, width).submatrix_mut(0, column, tokens, heads.width),
            Output::Replace,
            matrix(scores, tokens),
            of_head(projected.value),
            1.0,
        );
        pointwise.scale_rows(context, width, column, heads.width, inverse_sums);
    }
}
