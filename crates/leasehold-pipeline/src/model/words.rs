//! Activations on their way into words of another format than f32: one block of rows at a time.

use leasehold::{BoundedPool, MemoryOwner, RentError};

use super::{
    Precision,
    kernel::{ColumnScale, Kernel, Line, PANEL, ROWS, RowScale, Sums},
    linear::{BLOCK, Block, Format, Place},
};

/// How much of a token's square eight bits may lose before it gets eight more.
///
/// A few tokens have a channel that is far larger than all others, and little is left for these: one token in ten or so. At
/// a third of this one in two would be split, and the worst cosine to f32 would rise from 0.998 to 0.999.
const COARSE: f32 = 3e-4;

/// Where one block of rows becomes words.
#[derive(Debug)]
pub(super) struct Words {
    words: MemoryOwner<u32>,
    scales: MemoryOwner<RowScale>,
    /// What eight bits left of a row.
    rest: MemoryOwner<f32>,
    /// For each row of rests, whose it is.
    owners: MemoryOwner<u32>,
    /// Their sums for one panel.
    sums: MemoryOwner<[f32; PANEL]>,
    /// The sums of a tile of bytes before they are scaled.
    whole: Box<Sums<i32>>,
}

impl Words {
    /// Rents what the precision needs for rows of at most `depth` values.
    pub(super) fn rent(pool: &BoundedPool, precision: Precision, depth: usize) -> Result<Self, RentError> {
        let (words, scales, rests) = Self::sizes(precision, depth);
        Ok(Self {
            words: pool.try_rent(BLOCK * words)?,
            scales: pool.try_rent(BLOCK * scales)?,
            rest: pool.try_rent(depth * rests)?,
            owners: pool.try_rent(BLOCK * rests)?,
            sums: pool.try_rent(BLOCK * rests)?,
            whole: Box::new([[0; PANEL]; ROWS]),
        })
    }

    /// Bytes of the pool's budget that this takes.
    pub(super) fn cost(pool: &BoundedPool, precision: Precision, depth: usize) -> Result<usize, RentError> {
        let (words, scales, rests) = Self::sizes(precision, depth);
        Ok(pool.cost::<u32>(BLOCK * words)?
            + pool.cost::<RowScale>(BLOCK * scales)?
            + pool.cost::<f32>(depth * rests)?
            + pool.cost::<u32>(BLOCK * rests)?
            + pool.cost::<[f32; PANEL]>(BLOCK * rests)?)
    }

    /// Words and scales for each row of a block, and whether there may be rests.
    fn sizes(precision: Precision, depth: usize) -> (usize, usize, usize) {
        match precision {
            Precision::F32 => (0, 0, 0),
            Precision::Bf16 => (depth.div_ceil(2), 0, 0),
            Precision::Int16 => (depth.div_ceil(2), 1, 0),
            // A row of bytes, and one for what they leave.
            Precision::Int8 => (depth.div_ceil(4) * 2, 2, 1),
        }
    }

    /// Makes of a block of rows what a product of that format takes.
    pub(super) fn take<'a>(
        &'a mut self,
        kernel: Kernel,
        format: Format,
        input: &'a [f32],
        depth: usize,
    ) -> Input<'a> {
        let plain = Block { words: bytemuck::cast_slice(input), stride: depth };
        match format {
            Format::F32 => Input::F32(plain),
            Format::Bf16 if kernel.prefers_bf16() => Input::Bf16(self.halve(kernel, input, depth)),
            Format::Bf16 => Input::Wide(plain),
            Format::Int16 => self.quantise_int16(kernel, input, depth),
            Format::Int8 => Input::Int8(self.quantise_int8(kernel, input, depth)),
        }
    }

    fn halve(&mut self, kernel: Kernel, input: &[f32], depth: usize) -> Block<'_> {
        let words = &mut self.words[..input.len() / 2];
        kernel.halve(input, words);
        Block { words, stride: depth / 2 }
    }

    fn quantise_int16(&mut self, kernel: Kernel, input: &[f32], depth: usize) -> Input<'_> {
        let (rows, stride) = (input.len() / depth, depth.div_ceil(2));
        let (words, scales) = (&mut self.words[..rows * stride], &mut self.scales[..rows]);
        kernel.quantise_int16(input, depth, words, scales);
        Input::Int16(Block { words, stride }, scales)
    }

    fn quantise_int8(&mut self, kernel: Kernel, input: &[f32], depth: usize) -> Bytes<'_> {
        let (rows, stride) = (input.len() / depth, depth.div_ceil(4));
        kernel.quantise_int8(input, depth, &mut self.words[..rows * stride], &mut self.scales[..rows]);
        let mut used = rows;
        for (row, values) in input.chunks_exact(depth).enumerate() {
            if self.scales[row].loss <= COARSE {
                continue;
            }
            let (before, after) = self.words.split_at_mut(used * stride);
            let rest = &mut self.rest[..depth];
            kernel.rest(values, &before[row * stride..][..stride], self.scales[row], rest);
            kernel.quantise_int8(rest, depth, &mut after[..stride], &mut self.scales[used..=used]);
            self.owners[used - rows] = row as u32;
            used += 1;
        }
        Bytes {
            block: Block { words: &self.words[..used * stride], stride },
            rows,
            scales: &self.scales[..used],
            owners: &self.owners[..used - rows],
            sums: &mut self.sums[..used - rows],
            whole: &mut self.whole,
        }
    }
}

/// One block of rows, in the form that a product takes.
pub(super) enum Input<'a> {
    /// One f32 a word.
    F32(Block<'a>),
    /// One f32 a word, for weights of two bf16.
    Wide(Block<'a>),
    /// Two bf16 a word.
    Bf16(Block<'a>),
    /// Two integers a word, and what they stand for.
    Int16(Block<'a>, &'a [RowScale]),
    /// Four bytes a word.
    Int8(Bytes<'a>),
}

/// A block of rows as bytes, and behind them the rests of those that need eight bits more.
pub(super) struct Bytes<'a> {
    block: Block<'a>,
    rows: usize,
    scales: &'a [RowScale],
    owners: &'a [u32],
    sums: &'a mut [[f32; PANEL]],
    /// A tile's sums before they are scaled.
    whole: &'a mut Sums<i32>,
}

impl Bytes<'_> {
    /// Multiplies all rests with a panel; their sums wait for [`multiply`](Self::multiply).
    pub(super) fn multiply_rests(&mut self, kernel: Kernel, lines: &[Line], columns: &ColumnScale) {
        for (tile, sums) in self.sums.chunks_mut(ROWS).enumerate() {
            let first = self.rows + tile * ROWS;
            let at = Place { first, count: sums.len(), panel: 0, ahead: &[] };
            kernel.multiply_int8(&self.block.tile(at), lines, self.whole);
            kernel.scale(&self.whole[..sums.len()], &self.scales[first..], columns, sums);
        }
    }

    /// Multiplies a tile with a panel, and adds the sums of its rests.
    pub(super) fn multiply(
        &mut self,
        kernel: Kernel,
        at: Place<'_>,
        lines: &[Line],
        columns: &ColumnScale,
        sums: &mut Sums<f32>,
    ) {
        let Place { first, count, .. } = at;
        kernel.multiply_int8(&self.block.tile(at), lines, self.whole);
        kernel.scale(&self.whole[..count], &self.scales[first..], columns, sums);
        let start = self.owners.partition_point(|owner| (*owner as usize) < first);
        let rests = self.owners[start..].iter().zip(&self.sums[start..]);
        for (owner, rest) in rests.take_while(|(owner, _)| (**owner as usize) < first + count) {
            kernel.add(&mut sums[*owner as usize - first], rest);
        }
    }
}
