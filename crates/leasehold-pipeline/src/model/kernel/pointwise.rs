//! Everything that is not a product: plain loops over lanes, compiled once for each instruction set.
//!
//! `FUSED` says whether the target has a fused multiply-add; where it has none, `f32::mul_add` is a call into the C
//! library, far dearer than two instructions.

use std::f32::consts::{FRAC_2_SQRT_PI, LOG2_E, SQRT_2};

use super::{Line, PANEL};

/// Values that are treated alike at a time: one register of AVX-512, two of AVX2.
const LANES: usize = 16;

/// Adding this number to a small one leaves the nearest integer in the low bits of the sum.
const ROUNDER: f32 = 12_582_912.0;

/// The function between the two products of the feed-forward part, which makes them more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// The exact form, with the error function.
    Gelu,
    /// The form with the hyperbolic tangent.
    GeluTanh,
    /// The larger of the value and zero.
    Relu,
}

/// What becomes of the sums of a tile.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) enum Then {
    Store,
    Activate(Activation),
    /// Add to what is there: the residual.
    Add,
}

/// How a tile is finished: its columns' bias, how many of them there are, and what becomes of the sums.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Finish<'a> {
    pub(in crate::model) bias: &'a [f32; PANEL],
    pub(in crate::model) columns: usize,
    pub(in crate::model) then: Then,
}

/// The learned part of a normalisation.
#[derive(Clone, Copy)]
pub(in crate::model) struct LayerNorm<'a> {
    pub(in crate::model) weight: &'a [f32],
    pub(in crate::model) bias: &'a [f32],
    pub(in crate::model) epsilon: f32,
}

/// How the integers of a row stand for values: `minimum + scale * integer`.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(in crate::model) struct RowScale {
    scale: f32,
    minimum: f32,
    /// What share of the sum of squares rounding loses, on the average.
    pub(in crate::model) loss: f32,
}

/// How the integers of a panel's columns stand for weights, and what all those of a column together stand for.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct ColumnScale {
    pub(in crate::model) scale: [f32; PANEL],
    pub(in crate::model) total: [f32; PANEL],
}

/// Steps from the least to the largest value of a row in sixteen bits: few enough that a sum of products fits.
pub(in crate::model) const INT16_LEVELS: f32 = 4095.0;

const INT8_LEVELS: f32 = 255.0;

/// Turns each row of `width` values into bytes; the last word of a row is filled up with zeros.
#[inline(always)]
pub(super) fn quantise_int8<const FUSED: bool>(
    values: &[f32],
    width: usize,
    bytes: &mut [u8],
    scales: &mut [RowScale],
) {
    let rows = values.chunks_exact(width).zip(bytes.chunks_exact_mut(width.next_multiple_of(4)));
    for ((values, bytes), out) in rows.zip(scales) {
        let scale = RowScale::of::<FUSED>(values, INT8_LEVELS);
        let inverse = 1.0 / scale.scale;
        let (bytes, filler) = bytes.split_at_mut(width);
        for (byte, value) in bytes.iter_mut().zip(values) {
            *byte = ((*value - scale.minimum) * inverse + ROUNDER).to_bits() as u8;
        }
        filler.fill(0);
        *out = scale;
    }
}

/// Turns each row of `width` values into integers; the last word of a row is filled up with a zero.
#[inline(always)]
pub(super) fn quantise_int16<const FUSED: bool>(
    values: &[f32],
    width: usize,
    integers: &mut [u16],
    scales: &mut [RowScale],
) {
    let rows = values.chunks_exact(width).zip(integers.chunks_exact_mut(width.next_multiple_of(2)));
    for ((values, integers), out) in rows.zip(scales) {
        let scale = RowScale::of::<FUSED>(values, INT16_LEVELS);
        let inverse = 1.0 / scale.scale;
        let (integers, filler) = integers.split_at_mut(width);
        for (integer, value) in integers.iter_mut().zip(values) {
            *integer = ((*value - scale.minimum) * inverse + ROUNDER).to_bits() as u16;
        }
        filler.fill(0);
        *out = scale;
    }
}

impl RowScale {
    #[inline(always)]
    fn of<const FUSED: bool>(values: &[f32], levels: f32) -> Self {
        let (chunks, tail) = values.as_chunks::<LANES>();
        let (mut least, mut most, mut squares) = ([f32::MAX; LANES], [f32::MIN; LANES], [0.0; LANES]);
        let mut see = |lane: usize, value: f32| {
            least[lane] = minimum(least[lane], value);
            most[lane] = maximum(most[lane], value);
            squares[lane] = multiply_add::<FUSED>(value, value, squares[lane]);
        };
        for chunk in chunks {
            for (lane, value) in chunk.iter().enumerate() {
                see(lane, *value);
            }
        }
        for (lane, value) in tail.iter().enumerate() {
            see(lane, *value);
        }
        let (least, most) = (fold(least, minimum), fold(most, maximum));
        let squares = fold(squares, |a, b| a + b);
        let scale = maximum((most - least) / levels, f32::MIN_POSITIVE);
        // Rounding errors are spread evenly, from minus to plus half a step.
        let loss = scale * scale * values.len() as f32 / (12.0 * maximum(squares, f32::MIN_POSITIVE));
        Self { scale, minimum: least, loss }
    }
}

/// Writes what the bytes of a row leave of its values.
#[inline(always)]
pub(super) fn rest(values: &[f32], bytes: &[u8], scale: RowScale, rest: &mut [f32]) {
    for ((rest, value), byte) in rest.iter_mut().zip(values).zip(bytes) {
        *rest = *value - (scale.minimum + scale.scale * f32::from(*byte));
    }
}

/// Adds one row of sums to another.
#[inline(always)]
pub(super) fn add(sums: &mut [f32; PANEL], more: &[f32; PANEL]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// Rounds values to bf16, two to a word.
#[inline(always)]
pub(super) fn halve(values: &[f32], words: &mut [u32]) {
    for (word, pair) in words.iter_mut().zip(values.as_chunks::<2>().0) {
        *word = round_to_bf16(pair[0]) | round_to_bf16(pair[1]) << 16;
    }
}

/// The upper half of an f32, rounded to the nearest, to even where two are.
#[inline(always)]
pub(in crate::model) fn round_to_bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16
}

/// Turns sums of products of integers into sums of products of what they stand for.
#[inline(always)]
pub(super) fn scale(
    sums: &[[i32; PANEL]],
    rows: &[RowScale],
    columns: &ColumnScale,
    out: &mut [[f32; PANEL]],
) {
    for ((sums, row), out) in sums.iter().zip(rows).zip(out) {
        let mut values = [0.0; PANEL];
        for (((value, sum), scale), total) in
            values.iter_mut().zip(*sums).zip(columns.scale).zip(columns.total)
        {
            *value = sum as f32 * (row.scale * scale) + row.minimum * total;
        }
        *out = values;
    }
}

#[inline(always)]
pub(super) fn finish<const FUSED: bool>(
    sums: &[[f32; PANEL]],
    finish: Finish<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let out = Tile { values: out, stride, columns: finish.columns };
    // One loop for each case, so that the values stay in registers.
    match finish.then {
        Then::Store => out.each(sums, finish.bias, |value, _| value),
        Then::Add => out.each(sums, finish.bias, |value, before| before + value),
        Then::Activate(Activation::Gelu) => out.each(sums, finish.bias, |value, _| gelu::<FUSED>(value)),
        Then::Activate(Activation::GeluTanh) => {
            out.each(sums, finish.bias, |value, _| gelu_tanh::<FUSED>(value));
        }
        Then::Activate(Activation::Relu) => out.each(sums, finish.bias, |value, _| maximum(value, 0.0)),
    }
}

/// Where a tile is written.
struct Tile<'a> {
    values: &'a mut [f32],
    stride: usize,
    columns: usize,
}

impl Tile<'_> {
    /// Replaces each value by what `step` makes of the sum with its bias, and of what was there.
    #[inline(always)]
    fn each(self, sums: &[[f32; PANEL]], bias: &[f32; PANEL], step: impl Fn(f32, f32) -> f32) {
        if self.columns == PANEL {
            for (row, sums) in sums.iter().enumerate() {
                let Some(out) = self.values[row * self.stride..].first_chunk_mut() else { return };
                *out = finish_row(*sums, bias, *out, &step);
            }
        } else {
            for (row, sums) in sums.iter().enumerate() {
                let out = &mut self.values[row * self.stride..][..self.columns];
                let mut whole = [0.0; PANEL];
                whole[..out.len()].copy_from_slice(out);
                whole = finish_row(*sums, bias, whole, &step);
                out.copy_from_slice(&whole[..out.len()]);
            }
        }
    }
}

/// Takes values, not references, so that the compiler need not ask whether they overlap.
#[inline(always)]
fn finish_row(
    sums: [f32; PANEL],
    bias: &[f32; PANEL],
    before: [f32; PANEL],
    step: &impl Fn(f32, f32) -> f32,
) -> [f32; PANEL] {
    let mut values = [0.0; PANEL];
    for (((value, sum), bias), before) in values.iter_mut().zip(sums).zip(bias).zip(before) {
        *value = step(sum + *bias, before);
    }
    values
}

#[inline(always)]
pub(super) fn layer_norm<const FUSED: bool>(values: &mut [f32], norm: LayerNorm<'_>) {
    for row in values.chunks_exact_mut(norm.weight.len()) {
        let width = row.len() as f32;
        let mean = reduce(row, 0.0, |sum, value| sum + value, |a, b| a + b) / width;
        let centred_square = |sum, value: f32| {
            let centred = value - mean;
            multiply_add::<FUSED>(centred, centred, sum)
        };
        let squares = reduce(row, 0.0, centred_square, |a, b| a + b);
        let scale = 1.0 / (squares / width + norm.epsilon).sqrt();
        for ((value, weight), bias) in row.iter_mut().zip(norm.weight).zip(norm.bias) {
            *value = multiply_add::<FUSED>((*value - mean) * scale, *weight, *bias);
        }
    }
}

#[inline(always)]
pub(super) fn exponentials<const FUSED: bool>(
    scores: &mut [f32],
    stride: usize,
    width: usize,
    scale: f32,
    sums: &mut [f32],
) {
    let padded = width.next_multiple_of(LANES);
    for (row, out) in sums.iter_mut().enumerate() {
        let row = &mut scores[row * stride..][..padded];
        // So low that it adds nothing.
        row[width..].fill(f32::MIN);
        let (chunks, _) = row.as_chunks_mut::<LANES>();
        let mut largest = [f32::MIN; LANES];
        for chunk in &*chunks {
            for (lane, value) in largest.iter_mut().zip(chunk) {
                *lane = maximum(*lane, *value);
            }
        }
        // In powers of two, so that what is left for each value is one multiply-add.
        let scale = scale * LOG2_E;
        let largest = fold(largest, maximum) * scale;
        let mut total = [0.0; LANES];
        for chunk in chunks {
            for (lane, value) in total.iter_mut().zip(chunk) {
                *value = power_of_two::<FUSED>(multiply_add::<FUSED>(*value, scale, -largest));
                *lane += *value;
            }
        }
        *out = fold(total, |a, b| a + b);
    }
}

#[inline(always)]
pub(super) fn mean_unit<const FUSED: bool>(rows: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for row in rows.chunks_exact(out.len()) {
        for (sum, value) in out.iter_mut().zip(row) {
            *sum += *value;
        }
    }
    // The number of rows cancels out: only the direction of the sum is left. The lower bound is the one
    // PyTorch's `normalize` uses on the mean.
    let squares = reduce(out, 0.0, |sum, value| multiply_add::<FUSED>(value, value, sum), |a, b| a + b);
    let rows = (rows.len() / out.len()) as f32;
    let scale = 1.0 / squares.sqrt().max(1e-12 * rows);
    for value in out.iter_mut() {
        *value *= scale;
    }
}

#[inline(always)]
pub(super) fn transpose(values: &[f32], stride: usize, count: usize, lines: &mut [Line]) {
    if count < PANEL {
        lines.fill(Line([0; PANEL]));
    }
    for column in 0..count {
        let values = &values[column * stride..][..lines.len()];
        for (line, value) in lines.iter_mut().zip(values) {
            line.0[column] = value.to_bits();
        }
    }
}

/// Writes the sums of a tile into rows that are `stride` apart.
#[inline(always)]
pub(super) fn place(sums: &[[f32; PANEL]], out: &mut [f32], stride: usize) {
    for (row, sums) in sums.iter().enumerate() {
        let Some(out) = out[row * stride..].first_chunk_mut() else { return };
        *out = *sums;
    }
}

/// Copies `columns` values of a row into each line.
#[inline(always)]
pub(super) fn gather(values: &[f32], stride: usize, columns: usize, lines: &mut [Line]) {
    for (line, values) in lines.iter_mut().zip(values.chunks(stride)) {
        match values.first_chunk::<PANEL>() {
            Some(values) if columns == PANEL => line.0 = values.map(f32::to_bits),
            _ => {
                line.0 = [0; PANEL];
                for (word, value) in line.0.iter_mut().zip(&values[..columns]) {
                    *word = value.to_bits();
                }
            }
        }
    }
}

/// Divides each row of sums by its total and writes it.
#[inline(always)]
pub(super) fn divide(sums: &[[f32; PANEL]], totals: &[f32], out: &mut [f32], stride: usize, columns: usize) {
    for (row, (sums, total)) in sums.iter().zip(totals).enumerate() {
        let out = &mut out[row * stride..][..columns];
        let factor = 1.0 / *total;
        match out.first_chunk_mut::<PANEL>() {
            Some(out) => *out = sums.map(|sum| sum * factor),
            None => {
                for (value, sum) in out.iter_mut().zip(sums) {
                    *value = sum * factor;
                }
            }
        }
    }
}

/// Folds a slice in independent lanes, so that the loop can be vectorised.
#[inline(always)]
fn reduce(values: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, tail) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        *lane = step(*lane, *value);
    }
    fold(lanes, join)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// `f32::max` without its care for NaN, which costs two more instructions.
#[inline(always)]
fn maximum(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn minimum(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Evaluates a polynomial whose coefficients come from the highest power down.
#[inline(always)]
fn polynomial<const FUSED: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = multiply_add::<FUSED>(value, x, *coefficient);
    }
    value
}

/// `x * Phi(x)`, where `Phi`, the normal distribution, is half plus an odd rational function.
///
/// The coefficients are a minimax fit on 0 to 5.3; beyond, `Phi` is 0 or 1 in f32. The error of `Phi` is
/// at most 2e-7.
#[inline(always)]
pub(super) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    const LIMIT: f32 = 5.3;
    let inside = maximum(minimum(x, LIMIT), -LIMIT);
    let square = inside * inside;
    let above = polynomial::<FUSED, _>(
        square,
        [2.405_035e-8, 6.379_072_6e-6, 1.603_346_6e-4, 4.627_994_7e-3, 3.293_578_3e-2, 3.989_422_6e-1],
    );
    let below = polynomial::<FUSED, _>(
        square,
        [1.237_170_6e-6, 7.135_243e-5, 1.836_572_4e-3, 2.813_882_8e-2, 2.492_24e-1, 1.0],
    );
    let distribution = 0.5 + inside * above / below;
    x * distribution
}

/// `x / (1 + exp(-2 z))`, which is `x / 2 * (1 + tanh(z))`, with `z = sqrt(2 / pi) * (x + 0.044715 x^3)`.
#[inline(always)]
pub(super) fn gelu_tanh<const FUSED: bool>(x: f32) -> f32 {
    let twice = SQRT_2 * FRAC_2_SQRT_PI * multiply_add::<FUSED>(0.044_715 * x * x, x, x);
    let small = exp_of_negative::<FUSED>(-twice.abs());
    let share = if twice > 0.0 { 1.0 } else { small };
    x * share / (1.0 + small)
}

/// `exp(x)` for `x <= 0`, to about two units in the last place; values below `exp(-86)` become that.
#[inline(always)]
pub(super) fn exp_of_negative<const FUSED: bool>(x: f32) -> f32 {
    power_of_two::<FUSED>(x * LOG2_E)
}

/// `2^x` for an `x` that is not above 0 by more than rounding; values below `2^-125` become that.
#[inline(always)]
fn power_of_two<const FUSED: bool>(x: f32) -> f32 {
    let power = maximum(x, -125.0);
    let rounded = power + ROUNDER;
    let fraction = power - (rounded - ROUNDER);
    let two_to_fraction = polynomial::<FUSED, _>(
        fraction,
        [1.534_581e-4, 1.339_993_1e-3, 9.618_489e-3, 5.550_328_6e-2, 2.402_264_6e-1, 6.931_472e-1, 1.0],
    );
    f32::from_bits(two_to_fraction.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// Compiles the loops of this file for one instruction set.
macro_rules! compile {
    ($fused:expr $(, #[$features:meta])?) => {
        $(#[$features])?
        pub(super) fn finish(
            sums: &[[f32; super::PANEL]],
            finish: super::Finish<'_>,
            out: &mut [f32],
            stride: usize,
        ) {
            pointwise::finish::<{ $fused }>(sums, finish, out, stride);
        }

        $(#[$features])?
        pub(super) fn quantise_int8(
            values: &[f32],
            width: usize,
            bytes: &mut [u8],
            scales: &mut [super::RowScale],
        ) {
            pointwise::quantise_int8::<{ $fused }>(values, width, bytes, scales);
        }

        $(#[$features])?
        pub(super) fn quantise_int16(
            values: &[f32],
            width: usize,
            integers: &mut [u16],
            scales: &mut [super::RowScale],
        ) {
            pointwise::quantise_int16::<{ $fused }>(values, width, integers, scales);
        }

        $(#[$features])?
        pub(super) fn rest(values: &[f32], bytes: &[u8], scale: super::RowScale, rest: &mut [f32]) {
            pointwise::rest(values, bytes, scale, rest);
        }

        $(#[$features])?
        pub(super) fn halve(values: &[f32], words: &mut [u32]) {
            pointwise::halve(values, words);
        }

        $(#[$features])?
        pub(super) fn scale(
            sums: &[[i32; super::PANEL]],
            rows: &[super::RowScale],
            columns: &super::ColumnScale,
            out: &mut [[f32; super::PANEL]],
        ) {
            pointwise::scale(sums, rows, columns, out);
        }

        $(#[$features])?
        pub(super) fn exponentials(
            scores: &mut [f32],
            stride: usize,
            width: usize,
            scale: f32,
            sums: &mut [f32],
        ) {
            pointwise::exponentials::<{ $fused }>(scores, stride, width, scale, sums);
        }

        $(#[$features])?
        pub(super) fn layer_norm(values: &mut [f32], norm: super::LayerNorm<'_>) {
            pointwise::layer_norm::<{ $fused }>(values, norm);
        }

        $(#[$features])?
        pub(super) fn mean_unit(rows: &[f32], out: &mut [f32]) {
            pointwise::mean_unit::<{ $fused }>(rows, out);
        }

        $(#[$features])?
        pub(super) fn transpose(values: &[f32], stride: usize, count: usize, lines: &mut [super::Line]) {
            pointwise::transpose(values, stride, count, lines);
        }

        $(#[$features])?
        pub(super) fn gather(values: &[f32], stride: usize, columns: usize, lines: &mut [super::Line]) {
            pointwise::gather(values, stride, columns, lines);
        }

        $(#[$features])?
        pub(super) fn add(sums: &mut [f32; super::PANEL], more: &[f32; super::PANEL]) {
            pointwise::add(sums, more);
        }

        $(#[$features])?
        pub(super) fn place(sums: &[[f32; super::PANEL]], out: &mut [f32], stride: usize) {
            pointwise::place(sums, out, stride);
        }

        $(#[$features])?
        pub(super) fn divide(
            sums: &[[f32; super::PANEL]],
            totals: &[f32],
            out: &mut [f32],
            stride: usize,
            columns: usize,
        ) {
            pointwise::divide(sums, totals, out, stride, columns);
        }
    };
}

pub(super) use compile;
