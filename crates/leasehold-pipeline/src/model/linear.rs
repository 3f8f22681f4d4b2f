//! A learned product: weights packed into panels, and its way through a block of rows.

use leasehold::{MemoryOwner, MemoryPool, SharedOwner};

use super::{
    Precision,
    kernel::{ColumnScale, Finish, Kernel, Line, PANEL, ROWS, RowScale, Rows, Sums, Then, round_to_bf16},
    weights::Weights,
};
use crate::error::ModelError;

/// Rows that share one reading of a panel while it is in the nearest caches.
///
/// Fewer rows read the weights too often from far away, more do not stay in the processor's own cache themselves.
pub(super) const BLOCK: usize = 24 * ROWS;

/// `x * W^T + b`, with the weights as panels of 32 columns, shared by all workers.
///
/// A panel has one line for each step through the depth; what a word of it holds is up to the format. Columns that fill up
/// the last panel are zero, and so is what fills up the last step.
#[derive(Debug)]
pub(super) struct Linear {
    depth: usize,
    columns: usize,
    steps: usize,
    format: Format,
    panels: SharedOwner<Line>,
    bias: Vec<[f32; PANEL]>,
}

/// What a word of a panel holds.
#[derive(Debug)]
enum Format {
    /// One f32.
    F32,
    /// Two bf16.
    Bf16,
    /// Four signed bytes, scaled by column.
    Int8(Vec<ColumnScale>),
}

/// Where activations become words of another format than f32: one block of rows.
#[derive(Debug)]
pub(super) struct Words {
    words: MemoryOwner<u32>,
    scales: MemoryOwner<RowScale>,
}

impl Words {
    /// Rents what the precision needs for rows of at most `depth` values.
    pub(super) fn rent(pool: &MemoryPool, precision: Precision, depth: usize) -> Self {
        let (values, scales) = match precision {
            Precision::F32 => (0, 0),
            Precision::Bf16 => (depth.div_ceil(2), 0),
            Precision::Int8 => (depth.div_ceil(4), 1),
        };
        Self { words: pool.rent(BLOCK * values), scales: pool.rent(BLOCK * scales) }
    }
}

impl Linear {
    /// Packs the weights of products that take the same input into one; the file's pages are let go of after.
    pub(super) fn take(
        weights: &mut Weights<'_>,
        precision: Precision,
        names: &[String],
        (columns, depth): (usize, usize),
    ) -> Result<Self, ModelError> {
        let mut packed = Packing::new(precision, columns * names.len(), depth);
        for (part, name) in names.iter().enumerate() {
            let matrix = weights.take(&format!("{name}.weight"), &[columns, depth])?;
            let bias = weights.take(&format!("{name}.bias"), &[columns])?;
            let rows = matrix.values().chunks_exact(depth).zip(bias.values());
            for (column, (row, bias)) in rows.enumerate() {
                packed.put(part * columns + column, row, *bias);
            }
        }
        Ok(packed.finish())
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
        let blocks = input.chunks(BLOCK * self.depth).zip(out.chunks_mut(BLOCK * self.columns));
        for (input, out) in blocks {
            match &self.format {
                Format::F32 => {
                    let rows = Block { words: bytemuck::cast_slice(input), stride: self.depth };
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply(rows.tile(at), lines, sums);
                    });
                }
                Format::Bf16 if kernel.prefers_bf16() => {
                    let words = &mut words.words[..input.len() / 2];
                    kernel.halve(input, words);
                    let rows = Block { words, stride: self.steps };
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply_bf16(rows.tile(at), lines, sums);
                    });
                }
                Format::Bf16 => {
                    let rows = Block { words: bytemuck::cast_slice(input), stride: self.depth };
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply_wide(rows.tile(at), lines, sums);
                    });
                }
                Format::Int8(columns) => {
                    let count = input.len() / self.depth;
                    let scales = &mut words.scales[..count];
                    let words = &mut words.words[..count * self.steps];
                    kernel.quantise(input, self.depth, words, scales);
                    let rows = Block { words, stride: self.steps };
                    let mut whole: Sums<i32> = [[0; PANEL]; ROWS];
                    self.each_tile(kernel, out, then, |at, lines, sums| {
                        kernel.multiply_int8(rows.tile(at), lines, &mut whole);
                        kernel.scale(&whole[..at.count], &scales[at.first..], &columns[at.panel], sums);
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
#[derive(Clone, Copy)]
struct Block<'a> {
    words: &'a [u32],
    stride: usize,
}

impl<'a> Block<'a> {
    fn tile(self, at: Place) -> Rows<'a> {
        Rows::new(&self.words[at.first * self.stride..], self.stride, at.count)
    }
}

/// Weights on their way into panels.
struct Packing {
    linear: Linear,
    panels: Vec<Line>,
}

impl Packing {
    fn new(precision: Precision, columns: usize, depth: usize) -> Self {
        let count = columns.div_ceil(PANEL);
        let (format, steps) = match precision {
            Precision::Bf16 if depth.is_multiple_of(2) => (Format::Bf16, depth / 2),
            Precision::Int8 => {
                let none = ColumnScale { scale: [0.0; PANEL], total: [0.0; PANEL] };
                (Format::Int8(vec![none; count]), depth.div_ceil(4))
            }
            // Pairs need an even depth, which every model but a made-up one has.
            Precision::F32 | Precision::Bf16 => (Format::F32, depth),
        };
        let panels = SharedOwner::from_static(&[]);
        let linear = Linear { depth, columns, steps, format, panels, bias: vec![[0.0; PANEL]; count] };
        Self { panels: vec![Line([0; PANEL]); count * steps], linear }
    }

    /// Puts one column, which is a row of the matrix as the file has it.
    fn put(&mut self, column: usize, weights: &[f32], bias: f32) {
        let (panel, column) = (column / PANEL, column % PANEL);
        self.linear.bias[panel][column] = bias;
        let steps = self.linear.steps;
        let words = self.panels[panel * steps..][..steps].iter_mut().map(|line| &mut line.0[column]);
        match &mut self.linear.format {
            Format::F32 => words.zip(weights).for_each(|(word, weight)| *word = weight.to_bits()),
            Format::Bf16 => {
                for (word, pair) in words.zip(weights.as_chunks::<2>().0) {
                    *word = round_to_bf16(pair[0]) | round_to_bf16(pair[1]) << 16;
                }
            }
            Format::Int8(columns) => {
                let largest =
                    weights.iter().fold(f32::MIN_POSITIVE, |largest, weight| largest.max(weight.abs()));
                let scale = largest / 127.0;
                let mut total = 0.0;
                for (word, weights) in words.zip(weights.chunks(4)) {
                    let mut bytes = [0; 4];
                    for (byte, weight) in bytes.iter_mut().zip(weights) {
                        *byte = (weight / scale).round() as i8;
                        total += f32::from(*byte);
                    }
                    *word = u32::from_le_bytes(bytes.map(i8::cast_unsigned));
                }
                columns[panel].scale[column] = scale;
                columns[panel].total[column] = total * scale;
            }
        }
    }

    fn finish(self) -> Linear {
        Linear { panels: MemoryOwner::from(self.panels).into_shared(), ..self.linear }
    }
}
