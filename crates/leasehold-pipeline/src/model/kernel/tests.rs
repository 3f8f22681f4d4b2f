//! Each instruction set that this machine has, against slow and obvious loops.

use super::*;

/// Every kernel that runs on this machine.
fn kernels() -> Vec<Kernel> {
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "there is no other"))]
    let mut found = vec![Kernel::PORTABLE];
    #[cfg(target_arch = "x86_64")]
    {
        if avx2::available() {
            found.push(Kernel { set: Set::Avx2, ..Kernel::PORTABLE });
        }
        if avx512::available() {
            let kernel = Kernel { set: Set::Avx512, ..Kernel::PORTABLE };
            let own = Kernel { integers: avx512::has_vnni(), halves: avx512::has_bf16(), ..kernel };
            found.extend([kernel, own]);
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

fn words(bytes: &[i8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(bytes.map(i8::cast_unsigned))).collect()
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
            kernel.multiply(&Rows::new(&bits(&left), stride, count), &lines(&bits(&right)), &mut sums);
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
    Kernel::detect().multiply(&Rows::new(&[0; 14], 5, 3), &[Line([0; PANEL]); 5], &mut sums);
}

#[test]
fn lines_that_are_fetched_ahead_change_nothing() {
    for kernel in kernels() {
        let (left, panel) = (bits(&numbers(5 * 24, 1)), lines(&bits(&numbers(24 * PANEL, 2))));
        let alone = Rows::new(&left, 24, 5);
        for ahead in [0, 1, 24, 100] {
            let ahead = vec![Line([0; PANEL]); ahead];
            let (mut sums, mut expected) = ([[0.0; PANEL]; ROWS], [[0.0; PANEL]; ROWS]);
            kernel.multiply(&alone.with_ahead(&ahead), &panel, &mut sums);
            kernel.multiply(&alone, &panel, &mut expected);
            assert_eq!(sums, expected, "{kernel:?}: {} lines ahead", ahead.len());
        }
    }
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

#[test]
fn products_of_bf16_are_those_of_a_naive_loop() {
    for kernel in kernels() {
        for (count, steps) in shapes() {
            let stride = 2 * steps + 3;
            let (left, right) = (numbers(count * stride, 1), numbers(2 * steps * PANEL, 2));
            let mut panel = vec![Line([0; PANEL]); steps];
            for (place, pair) in right.as_chunks::<2>().0.iter().enumerate() {
                panel[place / PANEL].0[place % PANEL] = round_to_bf16(pair[0]) | round_to_bf16(pair[1]) << 16;
            }
            let mut halves = vec![0; count * steps];
            for (left, halves) in left.chunks_exact(stride).zip(halves.chunks_exact_mut(steps)) {
                kernel.halve(&left[..2 * steps], halves);
            }
            let mut wide = [[f32::NAN; PANEL]; ROWS];
            kernel.multiply_wide(&Rows::new(&bits(&left), stride, count), &panel, &mut wide);
            let mut narrow = [[f32::NAN; PANEL]; ROWS];
            kernel.multiply_bf16(&Rows::new(&halves, steps, count), &panel, &mut narrow);
            for (row, column) in (0..count).flat_map(|row| (0..PANEL).map(move |column| (row, column))) {
                let product = |step| {
                    let weight = f32::from_bits(
                        round_to_bf16(right[(step / 2 * PANEL + column) * 2 + step % 2]) << 16,
                    );
                    f64::from(left[row * stride + step]) * f64::from(weight)
                };
                let exact: f64 = (0..2 * steps).map(product).sum();
                let error = (f64::from(wide[row][column]) - exact).abs();
                assert!(error < 1e-5, "{kernel:?}: {count} rows, {steps} steps: off by {error}");
                // Each activation was rounded to eight bits.
                let error = (f64::from(narrow[row][column]) - exact).abs();
                assert!(error < 2e-2, "{kernel:?}: {count} rows, {steps} steps: off by {error}");
            }
        }
    }
}

#[test]
fn products_of_integers_are_exact() {
    let bytes =
        |count, seed| numbers(count, seed).into_iter().map(|value| (value * 127.6) as i8).collect::<Vec<_>>();
    for (kernel, (count, steps)) in
        kernels().into_iter().flat_map(|kernel| shapes().map(move |shape| (kernel, shape)))
    {
        let stride = steps + 3;
        let (left, right) = (bytes(count * stride * 4, 1), bytes(steps * PANEL * 4, 2));
        let (left_words, panel) = (words(&left), lines(&words(&right)));
        let rows = Rows::new(&left_words, stride, count);
        // Twelve bits of each, so that the sums fit.
        let short = |words: &[u32]| words.iter().map(|word| word & 0x0fff_0fff).collect::<Vec<_>>();
        let (mut eights, mut sixteens) = ([[0; PANEL]; ROWS], [[0; PANEL]; ROWS]);
        kernel.multiply_int8(&rows, &panel, &mut eights);
        let short_left = short(&left_words);
        let short_panel = lines(&short(bytemuck::cast_slice(&panel)));
        kernel.multiply_int16(&Rows::new(&short_left, stride, count), &short_panel, &mut sixteens);
        for (row, column) in (0..count).flat_map(|row| (0..PANEL).map(move |column| (row, column))) {
            let at = |step: usize| {
                (&left[(row * stride + step) * 4..][..4], &right[(step * PANEL + column) * 4..][..4])
            };
            let of_bytes = |step| {
                let (left, right) = at(step);
                left.iter().zip(right).map(|(a, b)| i32::from(a.cast_unsigned()) * i32::from(*b)).sum::<i32>()
            };
            assert_eq!(eights[row][column], (0..steps).map(of_bytes).sum::<i32>(), "{kernel:?}");
            let of_pairs = |step| {
                let (left, right) = at(step);
                let value = |half: &[i8]| {
                    i64::from(u16::from_le_bytes([half[0].cast_unsigned(), half[1].cast_unsigned()]) & 0xfff)
                };
                left.chunks(2).zip(right.chunks(2)).map(|(a, b)| value(a) * value(b)).sum::<i64>()
            };
            assert_eq!(i64::from(sixteens[row][column]), (0..steps).map(of_pairs).sum::<i64>(), "{kernel:?}");
        }
    }
}

#[test]
fn integers_stand_for_their_values_within_half_a_step() {
    for (kernel, width) in
        kernels().into_iter().flat_map(|kernel| [1_usize, 4, 17, 70].map(|width| (kernel, width)))
    {
        let values = numbers(3 * width, 8);
        let mut scales = [RowScale::default(); 3];
        let mut words = vec![u32::MAX; 3 * width.div_ceil(4)];
        kernel.quantise_int8(&values, width, &mut words, &mut scales);
        let mut rest = vec![0.0; width];
        for (row, values) in values.chunks_exact(width).enumerate() {
            let words = &words[row * width.div_ceil(4)..][..width.div_ceil(4)];
            kernel.rest(values, words, scales[row], &mut rest);
            assert!(rest.iter().all(|rest| rest.abs() <= 2.0 / 255.0 * 0.501), "{kernel:?}: {rest:?}");
            assert!(bytemuck::cast_slice::<_, u8>(words)[width..].iter().all(|byte| *byte == 0));
            assert!(scales[row].loss < 1e-3);
        }
        let mut words = vec![u32::MAX; 3 * width.div_ceil(2)];
        kernel.quantise_int16(&values, width, &mut words, &mut scales);
        let most = bytemuck::cast_slice::<_, u16>(&words).iter().max();
        assert!(most <= Some(&4095), "{kernel:?}: {most:?}");
    }
}
