//! Self-attention within each row of a ragged batch.

use super::{
    kernel::{Kernel, Line, PANEL, ROWS, Rows, Sums},
    workspace::Scratch,
};

/// The shape of the heads.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub(super) count: usize,
    pub(super) width: usize,
}

impl Heads {
    /// Lines that the values of so many tokens become.
    pub(super) fn value_lines(self, tokens: usize) -> usize {
        self.width.div_ceil(PANEL) * tokens
    }

    /// Lines that the keys of so many tokens become.
    pub(super) fn key_lines(self, tokens: usize) -> usize {
        tokens.div_ceil(PANEL) * self.width
    }
}

/// Writes what each token of one row takes from the others into `context`, head by head.
///
/// `projected` has queries, keys and values of a token side by side, so its rows are three times as wide as those of
/// `context`. Keys and values become panels; the scores of one tile of queries stay in the first cache until they have
/// become context.
pub(super) fn attend(
    kernel: Kernel,
    heads: Heads,
    projected: &[f32],
    context: &mut [f32],
    scratch: &mut Scratch,
) {
    let width = heads.count * heads.width;
    let tokens = context.len() / width;
    for column in (0..width).step_by(heads.width) {
        let packed = Packed {
            tokens,
            width: heads.width,
            keys: &mut scratch.keys[..heads.key_lines(tokens)],
            values: &mut scratch.values[..heads.value_lines(tokens)],
        };
        let packed =
            packed.fill(kernel, &projected[width + column..], &projected[2 * width + column..], 3 * width);
        let queries = projected.chunks(ROWS * 3 * width);
        for (queries, context) in queries.zip(context.chunks_mut(ROWS * width)) {
            let count = context.len() / width;
            let queries = &Rows::new(bytemuck::cast_slice(&queries[column..]), 3 * width, count);
            let totals = packed.score(kernel, queries, count, &mut scratch.scores);
            packed.gather(kernel, &scratch.scores, &totals[..count], &mut context[column..], width);
        }
    }
}

/// Keys and values of one head, as panels.
struct Packed<'a> {
    tokens: usize,
    width: usize,
    /// For each 32 tokens as many lines as the head is wide.
    keys: &'a mut [Line],
    /// For each 32 columns of the head as many lines as there are tokens.
    values: &'a mut [Line],
}

impl Packed<'_> {
    fn fill(self, kernel: Kernel, keys: &[f32], values: &[f32], stride: usize) -> Self {
        for (panel, lines) in self.keys.chunks_exact_mut(self.width).enumerate() {
            let first = panel * PANEL;
            kernel.transpose(&keys[first * stride..], stride, PANEL.min(self.tokens - first), lines);
        }
        for (panel, lines) in self.values.chunks_exact_mut(self.tokens).enumerate() {
            let first = panel * PANEL;
            kernel.gather(&values[first..], stride, PANEL.min(self.width - first), lines);
        }
        self
    }

    /// Writes `exp(query * key)` for each key into rows of `scores`, and returns the sums of the rows.
    fn score(&self, kernel: Kernel, queries: &Rows<'_>, count: usize, scores: &mut [f32]) -> [f32; ROWS] {
        let stride = self.stride();
        let mut sums: Sums<f32> = [[0.0; PANEL]; ROWS];
        for (panel, lines) in self.keys.chunks_exact(self.width).enumerate() {
            kernel.multiply(queries, lines, &mut sums);
            kernel.place(&sums[..count], &mut scores[panel * PANEL..], stride);
        }
        let mut totals = [0.0; ROWS];
        let scale = 1.0 / (self.width as f32).sqrt();
        kernel.exponentials(scores, stride, self.tokens, scale, &mut totals[..count]);
        totals
    }

    /// Adds up the values, each as much as its score says.
    fn gather(&self, kernel: Kernel, scores: &[f32], totals: &[f32], context: &mut [f32], width: usize) {
        let scores = Rows::new(bytemuck::cast_slice(scores), self.stride(), totals.len());
        let mut sums: Sums<f32> = [[0.0; PANEL]; ROWS];
        for (panel, lines) in self.values.chunks_exact(self.tokens).enumerate() {
            let first = panel * PANEL;
            kernel.multiply(&scores, lines, &mut sums);
            let columns = PANEL.min(self.width - first);
            kernel.divide(&sums, totals, &mut context[first..], width, columns);
        }
    }

    /// From one row of scores to the next.
    fn stride(&self) -> usize {
        self.tokens.next_multiple_of(PANEL)
    }
}
