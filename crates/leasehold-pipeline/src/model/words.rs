//! Activations on their way into words of another format than f32: one block of rows at a time.

use leasehold::{BoundedPool, MemoryOwner, RentError};

use super::{
    Precision,
    kernel::{ColumnScale, Kernel, Line, PANEL, ROWS, RowScale, Sums},
    linear::{BLOCK, Block},
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
            // Two rows of quarters, or one of halves where a product is better done with sixteen bits.
            Precision::Int8 => (depth.div_ceil(4) * 2, 2, 1),
        }
    }

    pub(super) fn halve(&mut self, kernel: Kernel, input: &[f32], stride: usize) -> Block<'_> {
        let words = &mut self.words[..input.len() / 2];
        kernel.halve(input, words);
        Block { words, stride }
    }

    pub(super) fn quantise_int16(
        &mut self,
        kernel: Kernel,
        input: &[f32],
        depth: usize,
    ) -> (Block<'_>, &[RowScale]) {
        let (rows, stride) = (input.len() / depth, depth.div_ceil(2));
        let (words, scales) = (&mut self.words[..rows * stride], &mut self.scales[..rows]);
        kernel.quantise_int16(input, depth, words, scales);
        (Block { words, stride }, scales)
    }

    pub(super) fn quantise_int8(&mut self, kernel: Kernel, input: &[f32], depth: usize) -> Bytes<'_> {
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
        }
    }
}

/// A block of rows as bytes, and behind them the rests of those that need eight bits more.
pub(super) struct Bytes<'a> {
    block: Block<'a>,
    rows: usize,
    scales: &'a [RowScale],
    owners: &'a [u32],
    sums: &'a mut [[f32; PANEL]],
}

impl Bytes<'_> {
    /// Multiplies all rests with a panel; their sums wait for [`multiply`](Self::multiply).
    pub(super) fn multiply_rests(&mut self, kernel: Kernel, lines: &[Line], columns: &ColumnScale) {
        let mut whole: Sums<i32> = [[0; PANEL]; ROWS];
        for (tile, sums) in self.sums.chunks_mut(ROWS).enumerate() {
            let first = self.rows + tile * ROWS;
            kernel.multiply_int8(self.block.tile(first, sums.len()), lines, &mut whole);
            kernel.scale(&whole[..sums.len()], &self.scales[first..], columns, sums);
        }
    }

    /// Multiplies a tile with a panel, and adds the sums of its rests.
    pub(super) fn multiply(
        &self,
        kernel: Kernel,
        first: usize,
        count: usize,
        lines: &[Line],
        columns: &ColumnScale,
        sums: &mut Sums<f32>,
    ) {
        let mut whole: Sums<i32> = [[0; PANEL]; ROWS];
        kernel.multiply_int8(self.block.tile(first, count), lines, &mut whole);
        kernel.scale(&whole[..count], &self.scales[first..], columns, sums);
        let start = self.owners.partition_point(|owner| (*owner as usize) < first);
        let rests = self.owners[start..].iter().zip(&self.sums[start..]);
        for (owner, rest) in rests.take_while(|(owner, _)| (**owner as usize) < first + count) {
            for (sum, rest) in sums[*owner as usize - first].iter_mut().zip(rest) {
                *sum += rest;
            }
        }
    }
}
