//! A learned product on its way through a block of rows.

use std::ops::Range;

use leasehold::{BoundedPool, RentError, SharedOwner};

use super::{
    Precision,
    kernel::{ColumnScale, Finish, Kernel, Line, PANEL, ROWS, Rows, Sums, Then},
    packing::Packing,
    weights::{Tensor, Weights},
    words::{Input, Words},
};
use crate::error::ModelError;

/// The most rows that share one reading of a panel while it is in the nearest caches.
///
/// Fewer rows leave too little time to fetch the next panel meanwhile, more do not stay in the processor's own cache
/// themselves.
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
    /// How integers stand for weights, panel by panel; nothing where they are none.
    pub(super) scales: Vec<ColumnScale>,
}

/// What a word of a panel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One f32.
    F32,
    /// Two bf16.
    Bf16,
    /// Two integers of sixteen bits, scaled by column.
    Int16,
    /// Four integers of eight bits, scaled by column.
    Int8,
}

/// One matrix of the file, and its bias.
pub(super) struct Matrix {
    weights: Tensor,
    bias: Tensor,
    columns: usize,
    depth: usize,
}

impl Matrix {
    pub(super) fn take(
        weights: &Weights<'_>,
        name: &str,
        (columns, depth): (usize, usize),
    ) -> Result<Self, ModelError> {
        let bias = weights.tensor(&format!("{name}.bias"), &[columns])?;
        let weights = weights.tensor(&format!("{name}.weight"), &[columns, depth])?;
        Ok(Self { weights, bias, columns, depth })
    }

    /// Each column's weights and its bias.
    fn columns(&self) -> impl Iterator<Item = (&[f32], f32)> {
        self.weights.values().chunks_exact(self.depth).zip(self.bias.values().iter().copied())
    }
}

impl Linear {
    /// Packs products of one shape that take the same input into one.
    pub(super) fn join(
        matrices: &[Matrix],
        precision: Precision,
        pool: &BoundedPool,
    ) -> Result<Self, RentError> {
        let columns = matrices.iter().map(|matrix| matrix.columns).sum();
        let mut packing = Packing::new(precision, columns, matrices[0].depth, pool)?;
        for (column, (weights, bias)) in matrices.iter().flat_map(Matrix::columns).enumerate() {
            packing.put(column, weights, bias);
        }
        Ok(packing.finish())
    }

    /// Packs some columns of a product.
    pub(super) fn of_columns(
        matrix: &Matrix,
        columns: Range<usize>,
        precision: Precision,
        pool: &BoundedPool,
    ) -> Result<Self, RentError> {
        let mut packing = Packing::new(precision, columns.len(), matrix.depth, pool)?;
        let kept = matrix.columns().skip(columns.start).take(columns.len());
        for (column, (weights, bias)) in kept.enumerate() {
            packing.put(column, weights, bias);
        }
        Ok(packing.finish())
    }

    /// Packs what some of its inputs give to a product: the sum of all such parts is the whole. The first has the bias.
    pub(super) fn of_inputs(
        matrix: &Matrix,
        inputs: Range<usize>,
        precision: Precision,
        pool: &BoundedPool,
    ) -> Result<Self, RentError> {
        let mut packing = Packing::new(precision, matrix.columns, inputs.len(), pool)?;
        for (column, (weights, bias)) in matrix.columns().enumerate() {
            let bias = if inputs.start == 0 { bias } else { 0.0 };
            packing.put(column, &weights[inputs.clone()], bias);
        }
        Ok(packing.finish())
    }

    /// Computes all rows of `out` from those of `input`, block by block.
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
            let mut input = words.take(kernel, self.format, input, self.depth);
            self.apply_to_block(kernel, &mut input, out, then);
        }
    }

    /// Computes all rows of `out` from a block that [`Words::take`] has made for this format.
    pub(super) fn apply_to_block(&self, kernel: Kernel, input: &mut Input<'_>, out: &mut [f32], then: Then) {
        match input {
            Input::F32(rows) => self.each_tile(kernel, out, then, |at, lines, sums| {
                kernel.multiply(&rows.tile(at), lines, sums);
            }),
            Input::Wide(rows) => self.each_tile(kernel, out, then, |at, lines, sums| {
                kernel.multiply_wide(&rows.tile(at), lines, sums);
            }),
            Input::Bf16(rows) => self.each_tile(kernel, out, then, |at, lines, sums| {
                kernel.multiply_bf16(&rows.tile(at), lines, sums);
            }),
            Input::Int16(rows, scales) => {
                let mut whole: Sums<i32> = [[0; PANEL]; ROWS];
                self.each_tile(kernel, out, then, |at, lines, sums| {
                    kernel.multiply_int16(&rows.tile(at), lines, &mut whole);
                    kernel.scale(&whole[..at.count], &scales[at.first..], &self.scales[at.panel], sums);
                });
            }
            Input::Int8(rows) => self.each_tile(kernel, out, then, |at, lines, sums| {
                if at.first == 0 {
                    rows.multiply_rests(kernel, lines, &self.scales[at.panel]);
                }
                rows.multiply(kernel, at, lines, &self.scales[at.panel], sums);
            }),
        }
    }

    /// Goes through the tiles of a block, panel by panel: `product` computes the sums of each, which are finished here.
    fn each_tile(
        &self,
        kernel: Kernel,
        out: &mut [f32],
        then: Then,
        mut product: impl FnMut(Place<'_>, &[Line], &mut Sums<f32>),
    ) {
        let mut sums: Sums<f32> = [[0.0; PANEL]; ROWS];
        let tiles = out.len().div_ceil(ROWS * self.columns);
        for (panel, lines) in self.panels.chunks_exact(self.steps).enumerate() {
            let column = panel * PANEL;
            let finish = Finish { bias: &self.bias[panel], columns: PANEL.min(self.columns - column), then };
            let next = &self.panels[(panel + 1) * self.steps..];
            let mut next = next[..self.steps.min(next.len())].chunks(self.steps.div_ceil(tiles));
            for (tile, out) in out.chunks_mut(ROWS * self.columns).enumerate() {
                let count = out.len() / self.columns;
                let ahead = next.next().unwrap_or_default();
                product(Place { first: tile * ROWS, count, panel, ahead }, lines, &mut sums);
                kernel.finish(&sums[..count], finish, &mut out[column..], self.columns);
            }
        }
    }
}

/// Where a tile lies in its block.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) panel: usize,
    /// The part of the next panel that is to be fetched meanwhile.
    pub(super) ahead: &'a [Line],
}

/// The rows of a block, as words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) words: &'a [u32],
    pub(super) stride: usize,
}

impl<'a> Block<'a> {
    /// The rows of a tile.
    pub(super) fn tile(self, at: Place<'a>) -> Rows<'a> {
        Rows::new(&self.words[at.first * self.stride..], self.stride, at.count).with_ahead(at.ahead)
    }
}
