//! Each instruction set that this machine has, against slow and obvious loops.

use super::*;

/// Every kernel that runs on this machine.
fn kernels() -> Vec<Kernel> {
    let mut found = vec![Kernel::PORTABLE];
    #[cfg(target_arch = "x86_64")]
    {
        if avx2::available() {
            found.push(Kernel { set: Set::Avx2, ..Kernel::PORTABLE });
        }
        if avx512::available() {
            found.push(Kernel { set: Set::Avx512, ..Kernel::PORTABLE });
        }
    }
    found
}

/// Numbers from -1 to 1 in no order, the same ones every time.
fn numbers(count: usize, mut seed: u32) -> Vec<f32> {
    (0..count)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn lines(words: &[u32]) -> Vec<Line> {
    words.as_chunks::<PANEL>().0.iter().map(|words| Line(*words)).collect()
}

/// Rows and steps that are awkward for every tile.
fn shapes() -> impl Iterator<Item = (usize, usize)> {
    let steps: &[usize] = if cfg!(miri) { &[1, 3] } else { &[1, 2, 7, 32, 61] };
    (1..=ROWS).flat_map(move |count| steps.iter().map(move |steps| (count, *steps)))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn products_of_f32_are_those_of_a_naive_loop() {
    for kernel in kernels() {
        for (count, steps) in shapes() {
            let stride = steps + 3;
            let (left, right) = (numbers(count * stride, 1), numbers(steps * PANEL, 2));
            let mut sums = [[f32::NAN; PANEL]; ROWS];
            kernel.multiply(Rows::new(&bits(&left), stride, count), &lines(&bits(&right)), &mut sums);
            for (row, column) in (0..count).flat_map(|row| (0..PANEL).map(move |column| (row, column))) {
                let product =
                    |step| f64::from(left[row * stride + step]) * f64::from(right[step * PANEL + column]);
                let exact: f64 = (0..steps).map(product).sum();
                let error = (f64::from(sums[row][column]) - exact).abs();
                assert!(error < 1e-5, "{kernel:?}: {count} rows, {steps} steps: off by {error}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "rows end before the panel does")]
fn rows_that_are_too_short_are_refused() {
    let mut sums = [[0.0; PANEL]; ROWS];
    Kernel::detect().multiply(Rows::new(&[0; 14], 5, 3), &[Line([0; PANEL]); 5], &mut sums);
}

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

fn exact(then: Then, sum: f64, before: f64) -> f64 {
    match then {
        Then::Store => sum,
        Then::Add => before + sum,
        Then::Activate(Activation::Gelu) => sum * 0.5 * (1.0 + erf(sum / std::f64::consts::SQRT_2)),
        Then::Activate(Activation::GeluTanh) => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (sum + 0.044_715 * sum.powi(3));
            sum * 0.5 * (1.0 + inner.tanh())
        }
        Then::Activate(Activation::Relu) => sum.max(0.0),
    }
}

#[test]
fn a_finished_tile_is_within_two_millionths_of_the_exact_function_and_ends_at_its_last_column() {
    let activations = [Activation::Gelu, Activation::GeluTanh, Activation::Relu];
    let cases = [Then::Store, Then::Add].into_iter().chain(activations.map(Then::Activate));
    let rows = if cfg!(miri) { 2 } else { 600 };
    let sums: Vec<[f32; PANEL]> = numbers(rows * PANEL, 3)
        .as_chunks::<PANEL>()
        .0
        .iter()
        .map(|row| row.map(|value| value * 9.0))
        .collect();
    let bias: [f32; PANEL] = *numbers(PANEL, 4).first_chunk().expect("as many as asked for");
    for (then, kernel) in cases.flat_map(|then| kernels().into_iter().map(move |kernel| (then, kernel))) {
        for columns in [PANEL, 7] {
            let before = numbers(rows * 40, 5);
            let mut out = before.clone();
            kernel.finish(&sums, Finish { bias: &bias, columns, then }, &mut out, 40);
            for (place, (value, before)) in out.iter().zip(&before).enumerate() {
                let (row, column) = (place / 40, place % 40);
                if column >= columns {
                    assert_eq!(value, before, "{kernel:?} wrote behind the tile");
                    continue;
                }
                let sum = f64::from(sums[row][column] + bias[column]);
                let error = (f64::from(*value) - exact(then, sum, f64::from(*before))).abs();
                assert!(error < 2e-6, "{kernel:?} {then:?} of {sum}: off by {error}");
            }
        }
    }
}

#[test]
fn exponentials_are_a_softmax_once_divided() {
    for (kernel, width) in
        kernels().into_iter().flat_map(|kernel| [1_usize, 16, 37, 64].map(|width| (kernel, width)))
    {
        let (rows, stride) = (3, width.next_multiple_of(PANEL));
        let scores: Vec<f32> = numbers(rows * stride, 6).iter().map(|value| value * 30.0).collect();
        let mut values = scores.clone();
        let mut totals = [0.0; 3];
        kernel.exponentials(&mut values, stride, width, 0.5, &mut totals);
        for row in 0..rows {
            let scores = &scores[row * stride..][..width];
            let largest = scores.iter().fold(f32::MIN, |a, b| a.max(*b));
            let exact: Vec<f64> = scores.iter().map(|s| (f64::from(s - largest) * 0.5).exp()).collect();
            let sum: f64 = exact.iter().sum();
            for (value, exact) in values[row * stride..].iter().zip(&exact) {
                assert!((f64::from(value / totals[row]) - exact / sum).abs() < 1e-6, "{kernel:?} {width}");
            }
        }
    }
}

#[test]
fn exp_does_not_leave_the_normal_numbers() {
    for x in [0.0f32, -1e-8, -0.5, -86.0, -1e4, f32::MIN, f32::NEG_INFINITY] {
        let value = pointwise::exp_of_negative::<true>(x);
        assert!((0.0..=1.0).contains(&value) && value.is_normal(), "exp({x}) = {value}");
    }
}

#[test]
fn layer_norm_gives_mean_zero_and_variance_one() {
    for kernel in kernels() {
        let mut values: Vec<f32> = (0..70).map(|i| (i % 35) as f32 * 3.0 + 1000.0).collect();
        let (weight, bias) = (vec![1.0; 35], vec![0.0; 35]);
        kernel.layer_norm(&mut values, LayerNorm { weight: &weight, bias: &bias, epsilon: 1e-12 });
        for row in values.chunks_exact(35) {
            let mean = row.iter().sum::<f32>() / 35.0;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 35.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "mean {mean}, variance {variance}");
        }
    }
}

#[test]
fn rows_become_lines_either_way() {
    for kernel in kernels() {
        for (count, width) in [(1, 1), (5, 3), (32, 32), (31, 40)] {
            let stride = width + 2;
            let values = numbers(count * stride, 7);
            let mut columns = vec![Line([1; PANEL]); width];
            kernel.transpose(&values, stride, count, &mut columns);
            let width_of_line = width.min(PANEL);
            let mut rows = vec![Line([1; PANEL]); count];
            kernel.gather(&values, stride, width_of_line, &mut rows);
            for (row, column) in (0..PANEL).flat_map(|row| (0..width).map(move |column| (row, column))) {
                let value = if row < count { values[row * stride + column].to_bits() } else { 0 };
                assert_eq!(columns[column].0[row], value, "{kernel:?}");
            }
            for (row, column) in (0..count).flat_map(|row| (0..PANEL).map(move |column| (row, column))) {
                let value = if column < width_of_line { values[row * stride + column].to_bits() } else { 0 };
                assert_eq!(rows[row].0[column], value, "{kernel:?}");
            }
        }
    }
}
