//! A learned product on its way through a block of rows.

use leasehold::{BoundedPool, SharedOwner};

use super::{
    Precision,
    kernel::{ColumnScale, Finish, Kernel, Line, PANEL, ROWS, Rows, Sums, Then},
    packing::Packing,
    weights::Weights,
    words::Words,
};
use crate::error::ModelError;

/// The most rows that share one reading of a panel while it is in the nearest caches.
///
/// Fewer rows read the weights too often from far away, more do not stay in the processor's own cache themselves.
pub(super) const BLOCK: usize = 24 * ROWS;

/// How many of so many rows go into a block, so that no block is much smaller than the others.
pub(super) fn block_of(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(BLOCK).max(1)).next_multiple_of(ROWS)
}

/// `x * W^T + b`, with the weights as panels of 32 columns, shared by all workers.
///
/// A panel has one line for each step through the depth; what a word of it holds is up to the format. Columns that fill up
/// the last panel are zero, and so is what fills up the last step.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) depth: usize,
    pub(super) columns: usize,
    pub(super) steps: usize,
    pub(super) format: Format,
    pub(super) panels: SharedOwner<Line>,
    pub(super) bias: Vec<[f32; PANEL]>,
}

/// What a word of a panel holds.
#[derive(Debug)]
pub(super) enum Format {
    /// One f32.
    F32,
    /// Two bf16.
    Bf16,
    /// Two integers of sixteen bits, scaled by column.
    Int16(Vec<ColumnScale>),
    /// Four integers of eight bits, scaled by column.
    Int8(Vec<ColumnScale>),
}

impl Linear {
    /// Packs the weights of products that take the same input into one.
    pub(super) fn take(
        weights: &Weights<'_>,
        precision: Precision,
        names: &[String],
        (columns, depth): (usize, usize),
        pool: &BoundedPool,
    ) -> Result<Self, ModelError> {
        let mut packing = Packing::new(precision, columns * names.len(), depth, pool)?;
        for (part, name) in names.iter().enumerate() {
            let matrix = weights.tensor(&format!("{name}.weight"), &[columns, depth])?;
            let bias = weights.tensor(&format!("{name}.bias"), &[columns])?;
            let rows = matrix.values().chunks_exact(depth).zip(bias.values());
            for (column, (row, bias)) in rows.enumerate() {
                packing.put(part * columns + column, row, *bias);
            }
        }
        Ok(packing.finish())
    }

    /// Computes all rows of `out` from those of `input`.
    pub(super) fn apply(
        &self,
        kernel: Kernel,
        input: &[f32],
        out: &mut [f32],
        then: Then,
        words: &mut Words,
    ) {
        let block = block_of(input.len() / self.depth);
        let blocks = input.chunks(block * self.depth).zip(out.chunks_mut(block * self.columns));
        for (input, out) in blocks {
            match &self.format {
                Format::F32 => {
                    let rows = Block { words: bytemuck::cast_slice(input), stride: self.depth };
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply(rows.tile(at.first, at.count), lines, sums);
                    });
                }
                Format::Bf16 if kernel.prefers_bf16() => {
                    let rows = words.halve(kernel, input, self.steps);
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply_bf16(rows.tile(at.first, at.count), lines, sums);
                    });
                }
                Format::Bf16 => {
                    let rows = Block { words: bytemuck::cast_slice(input), stride: self.depth };
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply_wide(rows.tile(at.first, at.count), lines, sums);
                    });
                }
                Format::Int16(columns) => {
                    let (rows, scales) = words.quantise_int16(kernel, input, self.depth);
                    let mut whole: Sums<i32> = [[0; PANEL]; ROWS];
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply_int16(rows.tile(at.first, at.count), lines, &mut whole);
                        kernel.scale(&whole[..at.count], &scales[at.first..], &columns[at.panel], sums);
                    });
                }
                Format::Int8(columns) => {
                    let mut rows = words.quantise_int8(kernel, input, self.depth);
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        if at.first == 0 {
                            rows.multiply_rests(kernel, lines, &columns[at.panel]);
                        }
                        rows.multiply(kernel, at.first, at.count, lines, &columns[at.panel], sums);
                    });
                }
            }
        }
    }

    /// Goes through the tiles of a block, panel by panel: `product` computes the sums of each, which are finished here.
    fn each_tile(
        &self,
        kernel: Kernel,
        out: &mut [f32],
        then: Then,
        mut product: impl FnMut(Place, &[Line], &mut Sums<f32>),
    ) {
        let mut sums: Sums<f32> = [[0.0; PANEL]; ROWS];
        for (panel, lines) in self.panels.chunks_exact(self.steps).enumerate() {
            let column = panel * PANEL;
            let finish = Finish { bias: &self.bias[panel], columns: PANEL.min(self.columns - column), then };
            for (tile, out) in out.chunks_mut(ROWS * self.columns).enumerate() {
                let count = out.len() / self.columns;
                product(Place { first: tile * ROWS, count, panel }, lines, &mut sums);
                kernel.finish(&sums[..count], finish, &mut out[column..], self.columns);
            }
        }
    }
}

/// Where a tile lies in its block.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    count: usize,
    panel: usize,
}

/// The rows of a block, as words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) words: &'a [u32],
    pub(super) stride: usize,
}

impl<'a> Block<'a> {
    /// `count` rows from `first` on.
    pub(super) fn tile(self, first: usize, count: usize) -> Rows<'a> {
        Rows::new(&self.words[first * self.stride..], self.stride, count)
    }
}
