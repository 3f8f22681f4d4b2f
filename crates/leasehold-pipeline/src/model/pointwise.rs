//! Everything in the forward pass that is not a matrix product.
//!
//! Plain loops over slices, which the compiler turns into vector code. `pulp` compiles each of them for
//! AVX-512, AVX2 with FMA, and the baseline, and the choice is made when the program runs.

use std::any::TypeId;

use pulp::{Arch, Scalar, Simd, WithSimd};

/// Runs the loops with the best instructions this processor has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pointwise {
    arch: Arch,
}

impl Pointwise {
    /// Asks the processor once; copies of the answer are free.
    pub(super) fn detect() -> Self {
        Self { arch: Arch::new() }
    }

    /// Replaces each value with `gelu(value + bias)`, the exact form with the error function.
    pub(super) fn bias_gelu(self, values: &mut [f32], bias: &[f32]) {
        self.arch.dispatch(BiasGelu { values, bias });
    }

    /// Adds `bias` to each row.
    pub(super) fn add_bias(self, values: &mut [f32], bias: &[f32]) {
        self.arch.dispatch(AddBias { values, bias });
    }

    /// Normalises each row of `values` to mean zero and variance one, then scales and shifts it.
    pub(super) fn layer_norm(self, values: &mut [f32], norm: LayerNorm<'_>) {
        self.arch.dispatch(Normalise { values, norm, residual: None });
    }

    /// Adds `residual + bias` to `values`, row by row, and normalises the sum.
    pub(super) fn add_layer_norm(
        self,
        values: &mut [f32],
        residual: &[f32],
        bias: &[f32],
        norm: LayerNorm<'_>,
    ) {
        self.arch.dispatch(Normalise { values, norm, residual: Some((residual, bias)) });
    }

    /// Replaces each row of scores with `exp(score - maximum)` and writes one over the row's sum.
    ///
    /// The division of a softmax is left to [`scale_rows`](Self::scale_rows) on the narrower result.
    pub(super) fn exponentials(self, scores: &mut [f32], inverse_sums: &mut [f32]) {
        self.arch.dispatch(Exponentials { scores, inverse_sums });
    }

    /// Multiplies `width` values of each row, from `column` on, by that row's factor.
    pub(super) fn scale_rows(
        self,
        values: &mut [f32],
        row_width: usize,
        column: usize,
        width: usize,
        factors: &[f32],
    ) {
        self.arch.dispatch(ScaleRows { values, row_width, column, width, factors });
    }

    /// Writes the mean of the rows, scaled to length one.
    pub(super) fn mean_unit(self, rows: &[f32], out: &mut [f32]) {
        self.arch.dispatch(MeanUnit { rows, out });
    }
}

/// The learned part of a normalisation.
#[derive(Clone, Copy)]
pub(super) struct LayerNorm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) epsilon: f32,
}

struct BiasGelu<'a> {
    values: &'a mut [f32],
    bias: &'a [f32],
}

impl WithSimd for BiasGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let fused = fused::<S>();
        for row in self.values.chunks_exact_mut(self.bias.len()) {
            for (value, bias) in row.iter_mut().zip(self.bias) {
                *value = gelu(fused, *value + *bias);
            }
        }
    }
}

struct AddBias<'a> {
    values: &'a mut [f32],
    bias: &'a [f32],
}

impl WithSimd for AddBias<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.values.chunks_exact_mut(self.bias.len()) {
            for (value, bias) in row.iter_mut().zip(self.bias) {
                *value += *bias;
            }
        }
    }
}

struct Normalise<'a> {
    values: &'a mut [f32],
    norm: LayerNorm<'a>,
    residual: Option<(&'a [f32], &'a [f32])>,
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let fused = fused::<S>();
        let width = self.norm.weight.len();
        if let Some((residual, bias)) = self.residual {
            for (row, addend) in self.values.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
                for ((value, addend), bias) in row.iter_mut().zip(addend).zip(bias) {
                    *value += *addend + *bias;
                }
                normalise(fused, row, self.norm);
            }
        } else {
            for row in self.values.chunks_exact_mut(width) {
                normalise(fused, row, self.norm);
            }
        }
    }
}

#[inline(always)]
fn normalise(fused: bool, row: &mut [f32], norm: LayerNorm<'_>) {
    let width = row.len() as f32;
    let mean = reduce(row, 0.0, |sum, value| sum + value, |a, b| a + b) / width;
    let squares = reduce(
        row,
        0.0,
        |sum, value| {
            let centred = value - mean;
            multiply_add(fused, centred, centred, sum)
        },
        |a, b| a + b,
    );
    let scale = 1.0 / (squares / width + norm.epsilon).sqrt();
    for ((value, weight), bias) in row.iter_mut().zip(norm.weight).zip(norm.bias) {
        *value = multiply_add(fused, (*value - mean) * scale, *weight, *bias);
    }
}

struct Exponentials<'a> {
    scores: &'a mut [f32],
    inverse_sums: &'a mut [f32],
}

impl WithSimd for Exponentials<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let fused = fused::<S>();
        let width = self.inverse_sums.len();
        for (row, inverse) in self.scores.chunks_exact_mut(width).zip(self.inverse_sums) {
            let maximum = reduce(row, f32::NEG_INFINITY, maximum, maximum);
            for value in row.iter_mut() {
                *value = exp_of_negative(fused, *value - maximum);
            }
            *inverse = 1.0 / reduce(row, 0.0, |sum, value| sum + value, |a, b| a + b);
        }
    }
}

struct ScaleRows<'a> {
    values: &'a mut [f32],
    row_width: usize,
    column: usize,
    width: usize,
    factors: &'a [f32],
}

impl WithSimd for ScaleRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, factor) in self.values.chunks_exact_mut(self.row_width).zip(self.factors) {
            for value in &mut row[self.column..self.column + self.width] {
                *value *= *factor;
            }
        }
    }
}

struct MeanUnit<'a> {
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for MeanUnit<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let fused = fused::<S>();
        self.out.fill(0.0);
        for row in self.rows.chunks_exact(self.out.len()) {
            for (sum, value) in self.out.iter_mut().zip(row) {
                *sum += *value;
            }
        }
        // The number of rows cancels out: only the direction of the sum is left. The lower bound is the
        // one PyTorch's `normalize` uses on the mean.
        let squares =
            reduce(self.out, 0.0, |sum, value| multiply_add(fused, value, value, sum), |a, b| a + b);
        let rows = (self.rows.len() / self.out.len()) as f32;
        let scale = 1.0 / squares.sqrt().max(1e-12 * rows);
        for value in self.out.iter_mut() {
            *value *= scale;
        }
    }
}

/// Folds a slice in sixteen independent lanes, so that the loop can be vectorised.
#[inline(always)]
fn reduce(values: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, tail) = values.as_chunks::<16>();
    let mut lanes = [start; 16];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(tail) {
        *lane = step(*lane, *value);
    }
    let mut half = 8;
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

/// Whether the target of this copy of the code has a fused multiply-add.
///
/// Where it has none, `f32::mul_add` is a call into the C library, far dearer than two instructions.
#[inline(always)]
fn fused<S: Simd>() -> bool {
    TypeId::of::<S>() != TypeId::of::<Scalar>()
}

#[inline(always)]
fn multiply_add(fused: bool, a: f32, b: f32, c: f32) -> f32 {
    if fused { a.mul_add(b, c) } else { a * b + c }
}

/// Evaluates a polynomial whose coefficients come from the highest power down.
#[inline(always)]
fn polynomial<const N: usize>(fused: bool, x: f32, coefficients: [f32; N]) -> f32 {
    let mut value = coefficients[0];
    for coefficient in &coefficients[1..] {
        value = multiply_add(fused, value, x, *coefficient);
    }
    value
}

/// `x * Phi(x)`, where `Phi`, the normal distribution, is half plus an odd rational function.
///
/// The coefficients are a minimax fit on 0 to 5.3; beyond, `Phi` is 0 or 1 in f32. The error of `Phi` is
/// at most 2e-7.
#[inline(always)]
fn gelu(fused: bool, x: f32) -> f32 {
    const LIMIT: f32 = 5.3;
    let inside = maximum(minimum(x, LIMIT), -LIMIT);
    let square = inside * inside;
    let above = polynomial(
        fused,
        square,
        [2.405_035e-8, 6.379_072_6e-6, 1.603_346_6e-4, 4.627_994_7e-3, 3.293_578_3e-2, 3.989_422_6e-1],
    );
    let below = polynomial(
        fused,
        square,
        [1.237_170_6e-6, 7.135_243e-5, 1.836_572_4e-3, 2.813_882_8e-2, 2.492_24e-1, 1.0],
    );
    let distribution = 0.5 + inside * above / below;
    x * distribution
}

/// `exp(x)` for `x <= 0`, to about two units in the last place; values below `exp(-86)` become that.
#[inline(always)]
fn exp_of_negative(fused: bool, x: f32) -> f32 {
    // Adding this number leaves the nearest integer in the low bits of the sum.
    const ROUNDER: f32 = 12_582_912.0;
    let power = maximum(x * std::f32::consts::LOG2_E, -125.0);
    let rounded = power + ROUNDER;
    let fraction = power - (rounded - ROUNDER);
    let two_to_fraction = polynomial(
        fused,
        fraction,
        [1.534_581e-4, 1.339_993_1e-3, 9.618_489e-3, 5.550_328_6e-2, 2.402_264_6e-1, 6.931_472e-1, 1.0],
    );
    f32::from_bits(two_to_fraction.to_bits().wrapping_add(rounded.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its series, in f64: slow and obvious.
    fn erf(x: f64) -> f64 {
        if x.abs() > 4.0 {
            return x.signum();
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_is_within_two_millionths_of_the_exact_function() {
        let inputs: Vec<f32> = (-9000..=9000).map(|i| i as f32 / 1000.0).collect();
        let mut values = inputs.clone();
        Pointwise::detect().bias_gelu(&mut values, &vec![0.0; inputs.len()]);
        for (input, value) in inputs.iter().zip(values) {
            let x = f64::from(*input);
            let exact = x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
            assert!((f64::from(value) - exact).abs() < 2e-6, "gelu({x}) = {value}, not {exact}");
            assert!((f64::from(gelu(false, *input)) - exact).abs() < 2e-6);
        }
    }

    #[test]
    fn exponentials_are_a_softmax_once_divided() {
        let width = 37;
        let scores: Vec<f32> = (0..width * 3).map(|i| ((i * 7919) % 601) as f32 / 10.0 - 30.0).collect();
        let mut values = scores.clone();
        let mut inverse = vec![0.0; width];
        Pointwise::detect().exponentials(&mut values, &mut inverse);
        for row in 0..3 {
            let scores = &scores[row * width..][..width];
            let largest = scores.iter().fold(f32::MIN, |a, b| a.max(*b));
            let exact: Vec<f64> = scores.iter().map(|s| f64::from(s - largest).exp()).collect();
            let sum: f64 = exact.iter().sum();
            for (value, exact) in values[row * width..].iter().zip(&exact) {
                assert!((f64::from(value * inverse[row]) - exact / sum).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn exp_does_not_leave_the_normal_numbers() {
        for x in [0.0f32, -1e-8, -0.5, -86.0, -1e4, f32::MIN, f32::NEG_INFINITY] {
            let value = exp_of_negative(true, x);
            assert!((0.0..=1.0).contains(&value) && value.is_normal(), "exp({x}) = {value}");
        }
    }

    #[test]
    fn layer_norm_gives_mean_zero_and_variance_one() {
        let mut values: Vec<f32> = (0..70).map(|i| (i % 35) as f32 * 3.0 + 1000.0).collect();
        let (weight, bias) = (vec![1.0; 35], vec![0.0; 35]);
        Pointwise::detect()
            .layer_norm(&mut values, LayerNorm { weight: &weight, bias: &bias, epsilon: 1e-12 });
        for row in values.chunks_exact(35) {
            let mean = row.iter().sum::<f32>() / 35.0;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 35.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "mean {mean}, variance {variance}");
        }
    }
}
