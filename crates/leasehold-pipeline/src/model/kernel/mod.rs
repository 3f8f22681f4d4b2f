//! The loops that the time goes into, once for each instruction set, behind faces that check sizes.
//!
//! A product is cut into tiles: some rows of activations times one panel of weights.
//!
//! ```text
//!                       panel: 32 columns of the weights, one line a step
//!                       +------------------------------+
//!                       | step 0: 32 words             |
//!                       | step 1: 32 words             |
//!                       |  ..                          |
//!   activations         +------------------------------+
//!   +---------------+   +------------------------------+
//!   | w w w w w ..  |   | sums: up to 14 rows of 32,   |
//!   | w w w w w ..  |   | all in registers             |
//!   +---------------+   +------------------------------+
//! ```
//!
//! A word is what one step takes of a row or a column: one f32, two bf16, two i16 or four bytes, the earlier one in the
//! lower bits. What is done to the sums (bias, activation, residual) is done to the tile while it is in the first cache.
//!
//! # Invariants
//!
//! * **K1** A [`Kernel`] names an instruction set only after the processor was asked whether it has it.
//! * **K2** Whoever calls into an instruction set's file has a [`Kernel`] that names it.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the compiler cannot know what the processor has")
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod pointwise;
mod portable;
#[cfg(test)]
mod tests;

pub use pointwise::Activation;
pub(super) use pointwise::{ColumnScale, Finish, INT16_LEVELS, LayerNorm, RowScale, Then, round_to_bf16};

/// Columns in a panel.
pub(super) const PANEL: usize = 32;

/// The most rows that a tile has.
pub(super) const ROWS: usize = 14;

/// One step of a panel: a word for each of its columns.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u32; PANEL]);

/// The sums of a tile's rows.
pub(super) type Sums<T> = [[T; PANEL]; ROWS];

/// Rows of words, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    words: &'a [u32],
    stride: usize,
    count: usize,
    ahead: &'a [Line],
}

impl<'a> Rows<'a> {
    /// Takes `count` rows, each `stride` words after the one before.
    ///
    /// # Panics
    ///
    /// When there are no rows, or more than a tile has.
    pub(super) fn new(words: &'a [u32], stride: usize, count: usize) -> Self {
        assert!((1..=ROWS).contains(&count), "a tile has 1 to {ROWS} rows, not {count}");
        Self { words, stride, count, ahead: &[] }
    }

    /// Names lines that will be read soon. While the rows are multiplied they are asked for, a little at each step, so that
    /// they are in the second cache by then.
    pub(super) fn with_ahead(self, ahead: &'a [Line]) -> Self {
        Self { ahead, ..self }
    }

    /// Checks that every row has a word for each of so many steps.
    fn check(&self, steps: usize) {
        let words = (self.count - 1).checked_mul(self.stride).and_then(|start| start.checked_add(steps));
        assert!(words.is_some_and(|words| words <= self.words.len()), "rows end before the panel does");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The instruction set that the loops run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    set: Set,
    /// Whether there are dot products of small integers (AVX-512 VNNI).
    integers: bool,
    /// Whether there are dot products of bf16, and fast ones.
    halves: bool,
}

impl Kernel {
    const PORTABLE: Self = Self { set: Set::Portable, integers: false, halves: false };

    /// Asks the processor for the best that it has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::available() {
                let halves = avx512::has_bf16() && avx512::bf16_is_fast();
                return Self { set: Set::Avx512, integers: avx512::has_vnni(), halves };
            }
            if avx2::available() {
                return Self { set: Set::Avx2, ..Self::PORTABLE };
            }
        }
        Self::PORTABLE
    }
}

/// Calls a function of the instruction set's file.
macro_rules! call {
    ($set:expr, $($function:tt)*) => {
        match $set {
            Set::Portable => portable::$($function)*,
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2.
            Set::Avx2 => unsafe { avx2::$($function)* },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2.
            Set::Avx512 => unsafe { avx512::$($function)* },
        }
    };
}

/// Products: sums of each row's words times each column's.
///
/// Rows are lent all the way down: a copy would load at once what was stored a moment ago in parts, and that load waits until
/// all stores before it have reached the cache, those of the last tile among them. It took 4 % of the time in f32, 7 % in int8.
impl Kernel {
    /// Writes the sums of the products of f32 words; those of rows that the tile does not have stay as they are.
    pub(super) fn multiply(self, rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
        rows.check(panel.len());
        call!(self.set, multiply(rows, panel, sums));
    }

    /// As [`multiply`](Self::multiply), for a panel of pairs of bf16: each step takes two f32 words of a row.
    pub(super) fn multiply_wide(self, rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
        rows.check(2 * panel.len());
        call!(self.set, multiply_wide(rows, panel, sums));
    }

    /// Whether [`multiply_bf16`](Self::multiply_bf16) is faster than [`multiply_wide`](Self::multiply_wide).
    pub(super) fn prefers_bf16(self) -> bool {
        self.halves
    }

    /// As [`multiply`](Self::multiply), for words of two bf16 on both sides.
    pub(super) fn multiply_bf16(self, rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
        rows.check(panel.len());
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2.
            Set::Avx512 if self.halves => unsafe { avx512::multiply_bf16(rows, panel, sums) },
            _ => portable::multiply_bf16(rows, panel, sums),
        }
    }

    /// As [`multiply`](Self::multiply), for words of two signed integers.
    pub(super) fn multiply_int16(self, rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<i32>) {
        rows.check(panel.len());
        match self.set {
            Set::Portable => portable::multiply_int16(rows, panel, sums),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2.
            Set::Avx512 if self.integers => unsafe { avx512::multiply_int16(rows, panel, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2; a kernel that names AVX-512 was asked for AVX2 too.
            Set::Avx2 | Set::Avx512 => unsafe { avx2::multiply_int16(rows, panel, sums) },
        }
    }

    /// As [`multiply`](Self::multiply), for words of four bytes: without sign in the rows, with one in the panel.
    pub(super) fn multiply_int8(self, rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<i32>) {
        rows.check(panel.len());
        match self.set {
            Set::Portable => portable::multiply_int8(rows, panel, sums),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2.
            Set::Avx512 if self.integers => unsafe { avx512::multiply_int8(rows, panel, sums) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2; a kernel that names AVX-512 was asked for AVX2 too.
            Set::Avx2 | Set::Avx512 => unsafe { avx2::multiply_int8(rows, panel, sums) },
        }
    }
}

/// Everything that is not a product.
impl Kernel {
    /// Turns each row of `width` values into words of four bytes, the last one filled up with zeros.
    pub(super) fn quantise_int8(
        self,
        values: &[f32],
        width: usize,
        words: &mut [u32],
        scales: &mut [RowScale],
    ) {
        call!(self.set, quantise_int8(values, width, bytemuck::cast_slice_mut(words), scales));
    }

    /// Turns each row of `width` values into words of two integers of twelve bits, the last one filled up with zeros.
    pub(super) fn quantise_int16(
        self,
        values: &[f32],
        width: usize,
        words: &mut [u32],
        scales: &mut [RowScale],
    ) {
        call!(self.set, quantise_int16(values, width, bytemuck::cast_slice_mut(words), scales));
    }

    /// Adds one row of sums to another.
    pub(super) fn add(self, sums: &mut [f32; PANEL], more: &[f32; PANEL]) {
        call!(self.set, add(sums, more));
    }

    /// Writes what the bytes of a row leave of its values.
    pub(super) fn rest(self, values: &[f32], words: &[u32], scale: RowScale, rest: &mut [f32]) {
        call!(self.set, rest(values, bytemuck::cast_slice(words), scale, rest));
    }

    /// Rounds values to bf16, two to a word.
    pub(super) fn halve(self, values: &[f32], words: &mut [u32]) {
        call!(self.set, halve(values, words));
    }

    /// Turns sums of products of integers into sums of products of what they stand for.
    pub(super) fn scale(
        self,
        sums: &[[i32; PANEL]],
        rows: &[RowScale],
        columns: &ColumnScale,
        out: &mut [[f32; PANEL]],
    ) {
        call!(self.set, scale(sums, rows, columns, out));
    }

    /// Does to the sums of a tile what `finish` says, and writes them into rows of `out` that are `stride` apart.
    pub(super) fn finish(self, sums: &[[f32; PANEL]], finish: Finish<'_>, out: &mut [f32], stride: usize) {
        call!(self.set, finish(sums, finish, out, stride));
    }

    /// Replaces each row of scores by `exp(scale * (score - maximum))` and writes the rows' sums.
    pub(super) fn exponentials(
        self,
        scores: &mut [f32],
        stride: usize,
        width: usize,
        scale: f32,
        sums: &mut [f32],
    ) {
        call!(self.set, exponentials(scores, stride, width, scale, sums));
    }

    /// Normalises each row of `values` to mean zero and variance one, then scales and shifts it.
    pub(super) fn layer_norm(self, values: &mut [f32], norm: LayerNorm<'_>) {
        call!(self.set, layer_norm(values, norm));
    }

    /// Writes the direction of the sum of the rows.
    pub(super) fn mean_unit(self, rows: &[f32], out: &mut [f32]) {
        call!(self.set, mean_unit(rows, out));
    }

    /// Turns up to 32 rows into columns of lines: word `j` of line `i` is value `i` of row `j`.
    pub(super) fn transpose(self, values: &[f32], stride: usize, count: usize, lines: &mut [Line]) {
        match self.set {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: K1, K2.
            Set::Avx512 => unsafe { avx512::transpose_squares(values, stride, count, lines) },
            set => call!(set, transpose(values, stride, count, lines)),
        }
    }

    /// Copies `columns` values of each row into a line.
    pub(super) fn gather(self, values: &[f32], stride: usize, columns: usize, lines: &mut [Line]) {
        call!(self.set, gather(values, stride, columns, lines));
    }

    /// Writes the sums of a tile into rows of `out` that are `stride` apart.
    pub(super) fn place(self, sums: &[[f32; PANEL]], out: &mut [f32], stride: usize) {
        call!(self.set, place(sums, out, stride));
    }

    /// Divides each row of sums by its total and writes `columns` of it into rows of `out` that are `stride` apart.
    pub(super) fn divide(
        self,
        sums: &[[f32; PANEL]],
        totals: &[f32],
        out: &mut [f32],
        stride: usize,
        columns: usize,
    ) {
        call!(self.set, divide(sums, totals, out, stride, columns));
    }
}
