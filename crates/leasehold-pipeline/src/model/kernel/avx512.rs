//! AVX-512: thirty-two registers of sixteen values, two for each row of a tile.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __cpuid, __m512, __m512bh, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_and_si512, _mm512_castpd_ps,
        _mm512_castps_pd, _mm512_castsi512_ps, _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_set1_ps,
        _mm512_setzero_ps, _mm512_setzero_si512, _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_storeu_ps,
        _mm512_storeu_si512, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    },
};

use super::{Line, PANEL, Rows, Sums, pointwise};

/// Registers that hold one row of a tile.
const HALVES: usize = PANEL / 16;

/// Rows that are multiplied with widened columns at a time: half a tile, since these columns need four registers too.
const WIDE: usize = super::ROWS / 2;

/// Whether the processor has what every function here asks for, but those that have a question of their own.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && super::avx2::available()
}

pub(super) fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512vnni")
}

pub(super) fn has_bf16() -> bool {
    is_x86_feature_detected!("avx512bf16")
}

/// Whether a bf16 dot product is faster than two multiplications in f32.
///
/// On AMD's processors it is, twice; on Intel's it takes as long as four (measured on Emerald Rapids).
pub(super) fn bf16_is_fast() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

/// Lines that are asked for in passing.
#[derive(Clone, Copy)]
struct Ahead {
    lines: *const i8,
    /// Bytes from one step to the next.
    pace: usize,
}

impl Ahead {
    #[inline]
    fn of(rows: &Rows<'_>, panel: &[Line]) -> Self {
        // What is near already costs least to ask for.
        let lines = if rows.ahead.is_empty() { panel } else { rows.ahead };
        let pace = size_of_val(rows.ahead).div_ceil(panel.len().max(1));
        Self { lines: lines.as_ptr().cast(), pace }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fetch(self, step: usize) {
        _mm_prefetch::<_MM_HINT_T1>(self.lines.wrapping_add(step * self.pace));
    }
}

/// Calls a function with the number of rows as a constant, so that their sums stay in registers.
macro_rules! with_rows {
    ($function:ident($rows:expr, $panel:expr, $sums:expr), $($count:literal)*) => {
        match $rows.count {
            $($count => $function::<$count>($rows, $panel, $sums),)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

/// Defines a product of a tile by what is done with one word of a row and the words of sixteen columns.
macro_rules! product {
    ($name:ident, $tile:ident, $value:ty, $features:literal, $zero:ident, $store:ident, $step:ident) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<$value>) {
            with_rows!($tile(rows, panel, sums), 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        }

        #[target_feature(enable = $features)]
        fn $tile<const COUNT: usize>(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<$value>) {
            assert!((COUNT - 1) * rows.stride + panel.len() <= rows.words.len());
            let mut kept = [[$zero(); HALVES]; COUNT];
            let ahead = Ahead::of(rows, panel);
            for (step, line) in panel.iter().enumerate() {
                ahead.fetch(step);
                let columns = load(&line.0);
                for (row, kept) in kept.iter_mut().enumerate() {
                    // SAFETY: the last row begins at `(COUNT - 1) * stride` and has a word for each line, as asserted.
                    let word = unsafe { *rows.words.get_unchecked(row * rows.stride + step) };
                    let word = _mm512_set1_epi32(word.cast_signed());
                    for (kept, column) in kept.iter_mut().zip(columns) {
                        *kept = $step(*kept, word, column);
                    }
                }
            }
            for (sums, kept) in sums.iter_mut().zip(kept) {
                $store(sums, kept);
            }
        }
    };
}

product!(multiply, multiply_rows, f32, "avx512f", _mm512_setzero_ps, store_f32, step_f32);
product!(
    multiply_bf16,
    multiply_bf16_rows,
    f32,
    "avx512f,avx512bf16",
    _mm512_setzero_ps,
    store_f32,
    step_bf16
);
product!(
    multiply_int8,
    multiply_int8_rows,
    i32,
    "avx512f,avx512vnni",
    _mm512_setzero_si512,
    store_i32,
    step_int8
);

product!(
    multiply_int16,
    multiply_int16_rows,
    i32,
    "avx512f,avx512vnni",
    _mm512_setzero_si512,
    store_i32,
    step_int16
);

#[inline]
#[target_feature(enable = "avx512f")]
fn step_f32(sum: __m512, word: __m512i, column: __m512i) -> __m512 {
    _mm512_fmadd_ps(_mm512_castsi512_ps(word), _mm512_castsi512_ps(column), sum)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn step_bf16(sum: __m512, word: __m512i, column: __m512i) -> __m512 {
    _mm512_dpbf16_ps(sum, halves(word), halves(column))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn step_int8(sum: __m512i, word: __m512i, column: __m512i) -> __m512i {
    _mm512_dpbusd_epi32(sum, word, column)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn step_int16(sum: __m512i, word: __m512i, column: __m512i) -> __m512i {
    _mm512_dpwssd_epi32(sum, word, column)
}

/// The product of f32 rows and bf16 panels, each step of which takes two values of a row.
#[target_feature(enable = "avx512f")]
pub(super) fn multiply_wide(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    for first in (0..rows.count).step_by(WIDE) {
        let (words, count) = (&rows.words[first * rows.stride..], WIDE.min(rows.count - first));
        let (rows, sums) = (&Rows { words, count, ..*rows }, &mut sums[first..]);
        with_rows!(multiply_wide_rows(rows, panel, sums), 1 2 3 4 5 6 7);
    }
}

#[target_feature(enable = "avx512f")]
fn multiply_wide_rows<const COUNT: usize>(rows: &Rows<'_>, panel: &[Line], sums: &mut [[f32; PANEL]]) {
    assert!((COUNT - 1) * rows.stride + 2 * panel.len() <= rows.words.len());
    let mut kept = [[_mm512_setzero_ps(); HALVES]; COUNT];
    let ahead = Ahead::of(rows, panel);
    for (step, line) in panel.iter().enumerate() {
        ahead.fetch(step);
        for (part, columns) in widen(load(&line.0)).into_iter().enumerate() {
            for (row, kept) in kept.iter_mut().enumerate() {
                // SAFETY: the last row begins at `(COUNT - 1) * stride` and has two words a line, as asserted.
                let word = unsafe { *rows.words.get_unchecked(row * rows.stride + 2 * step + part) };
                let word = _mm512_set1_ps(f32::from_bits(word));
                for (kept, column) in kept.iter_mut().zip(columns) {
                    *kept = _mm512_fmadd_ps(word, column, *kept);
                }
            }
        }
    }
    for (sums, kept) in sums.iter_mut().zip(kept) {
        store_f32(sums, kept);
    }
}

/// The lower and the upper halves of words, as f32.
#[inline]
#[target_feature(enable = "avx512f")]
fn widen([first, second]: [__m512i; HALVES]) -> [[__m512; HALVES]; 2] {
    let upper = _mm512_set1_epi32(!0xffff);
    [
        [
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(first)),
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(second)),
        ],
        [
            _mm512_castsi512_ps(_mm512_and_si512(first, upper)),
            _mm512_castsi512_ps(_mm512_and_si512(second, upper)),
        ],
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn halves(words: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes, of which every pattern is allowed.
    unsafe { std::mem::transmute(words) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(words: &[u32; PANEL]) -> [__m512i; HALVES] {
    let (chunks, _) = words.as_chunks::<16>();
    // SAFETY: the chunk has sixteen words, and the instruction asks for no alignment.
    let first = unsafe { _mm512_loadu_si512(chunks[0].as_ptr().cast()) };
    // SAFETY: as above.
    let second = unsafe { _mm512_loadu_si512(chunks[1].as_ptr().cast()) };
    [first, second]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_f32(values: &mut [f32; PANEL], registers: [__m512; HALVES]) {
    for (chunk, register) in values.as_chunks_mut::<16>().0.iter_mut().zip(registers) {
        // SAFETY: the chunk has sixteen values, and the instruction asks for no alignment.
        unsafe { _mm512_storeu_ps(chunk.as_mut_ptr(), register) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_i32(values: &mut [i32; PANEL], registers: [__m512i; HALVES]) {
    for (chunk, register) in values.as_chunks_mut::<16>().0.iter_mut().zip(registers) {
        // SAFETY: the chunk has sixteen values, and the instruction asks for no alignment.
        unsafe { _mm512_storeu_si512(chunk.as_mut_ptr().cast(), register) };
    }
}

/// As [`transpose`], in squares of sixteen, whose values change places in registers: to store each at its place takes
/// several times as long.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
pub(super) fn transpose_squares(values: &[f32], stride: usize, count: usize, lines: &mut [Line]) {
    let (squares, rest) = lines.as_chunks_mut::<16>();
    let done = squares.len() * 16;
    for (square, lines) in squares.iter_mut().enumerate() {
        for half in 0..HALVES {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (row, register) in rows.iter_mut().enumerate().take(count.saturating_sub(half * 16)) {
                let values = &values[(half * 16 + row) * stride + square * 16..][..16];
                // SAFETY: there are sixteen values, and the instruction asks for no alignment.
                *register = unsafe { _mm512_loadu_ps(values.as_ptr()) };
            }
            for (line, column) in lines.iter_mut().zip(columns(rows)) {
                let words = &mut line.0.as_chunks_mut::<16>().0[half];
                // SAFETY: there are sixteen words, and the instruction asks for no alignment.
                unsafe { _mm512_storeu_ps(words.as_mut_ptr().cast(), column) };
            }
        }
    }
    if !rest.is_empty() {
        transpose(&values[done..], stride, count, rest);
    }
}

/// The columns of sixteen rows: pairs of values change places, then pairs of pairs, then quarters of registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns(rows: [__m512; 16]) -> [__m512; 16] {
    let (mut pairs, mut fours, mut columns) = (rows, rows, rows);
    for i in (0..16).step_by(2) {
        pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    let pairs = pairs.map(|register| _mm512_castps_pd(register));
    for i in (0..16).step_by(4) {
        for j in 0..2 {
            fours[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[i + j], pairs[i + 2 + j]));
            fours[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[i + j], pairs[i + 2 + j]));
        }
    }
    for i in 0..4 {
        let [first, second, third, fourth] = [0, 4, 8, 12].map(|rows| fours[rows + i]);
        let (even, even_too) =
            (_mm512_shuffle_f32x4::<0x88>(first, second), _mm512_shuffle_f32x4::<0x88>(third, fourth));
        let (odd, odd_too) =
            (_mm512_shuffle_f32x4::<0xdd>(first, second), _mm512_shuffle_f32x4::<0xdd>(third, fourth));
        columns[i] = _mm512_shuffle_f32x4::<0x88>(even, even_too);
        columns[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd, odd_too);
        columns[8 + i] = _mm512_shuffle_f32x4::<0xdd>(even, even_too);
        columns[12 + i] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_too);
    }
    columns
}

pointwise::compile!(true, #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]);
