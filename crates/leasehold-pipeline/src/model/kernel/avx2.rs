//! AVX2 with FMA: sixteen registers of eight values, four for each row of a tile.

use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256, __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_fmadd_ps,
        _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi16, _mm256_slli_epi32, _mm256_srai_epi16,
        _mm256_srli_epi16, _mm256_storeu_ps, _mm256_storeu_si256,
    },
};

use super::{Line, PANEL, Rows, Sums, pointwise};

/// Rows whose sums for half a panel are in registers at a time: twelve registers of sixteen.
const GROUP: usize = 6;

const HALF: usize = PANEL / 2;

/// Whether the processor has what every function here asks for.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Defines a product by how it goes through the steps for some rows and half a panel.
macro_rules! product {
    ($name:ident, $group:ident, $value:ty) => {
        #[target_feature(enable = "avx2,fma")]
        pub(super) fn $name(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<$value>) {
            for (first, start) in (0..rows.count).step_by(GROUP).flat_map(|first| [(first, 0), (first, HALF)])
            {
                let (words, sums) = (&rows.words[first * rows.stride..], &mut sums[first..]);
                match rows.count - first {
                    1 => $group::<1>(words, rows.stride, start, panel, sums),
                    2 => $group::<2>(words, rows.stride, start, panel, sums),
                    3 => $group::<3>(words, rows.stride, start, panel, sums),
                    4 => $group::<4>(words, rows.stride, start, panel, sums),
                    5 => $group::<5>(words, rows.stride, start, panel, sums),
                    _ => $group::<GROUP>(words, rows.stride, start, panel, sums),
                }
            }
        }
    };
}

product!(multiply, group_f32, f32);
product!(multiply_wide, group_wide, f32);
product!(multiply_int16, group_int16, i32);
product!(multiply_int8, group_int8, i32);

#[target_feature(enable = "avx2,fma")]
fn group_f32<const COUNT: usize>(
    words: &[u32],
    stride: usize,
    start: usize,
    panel: &[Line],
    sums: &mut [[f32; PANEL]],
) {
    assert!((COUNT - 1) * stride + panel.len() <= words.len());
    let mut kept = [[_mm256_setzero_ps(); 2]; COUNT];
    for (step, line) in panel.iter().enumerate() {
        let [first, second] = load(&line.0[start..]);
        let columns = [_mm256_castsi256_ps(first), _mm256_castsi256_ps(second)];
        for (row, kept) in kept.iter_mut().enumerate() {
            // SAFETY: the last row begins at `(COUNT - 1) * stride` and has a word for each line, as asserted.
            let word = unsafe { *words.get_unchecked(row * stride + step) };
            add_products(kept, word, columns);
        }
    }
    for (sums, kept) in sums.iter_mut().zip(kept) {
        store_f32(&mut sums[start..], kept);
    }
}

/// The product of f32 rows and bf16 panels, each step of which takes two values of a row.
#[target_feature(enable = "avx2,fma")]
fn group_wide<const COUNT: usize>(
    words: &[u32],
    stride: usize,
    start: usize,
    panel: &[Line],
    sums: &mut [[f32; PANEL]],
) {
    assert!((COUNT - 1) * stride + 2 * panel.len() <= words.len());
    let mut kept = [[_mm256_setzero_ps(); 2]; COUNT];
    for (step, line) in panel.iter().enumerate() {
        for (part, columns) in widen(load(&line.0[start..])).into_iter().enumerate() {
            for (row, kept) in kept.iter_mut().enumerate() {
                // SAFETY: the last row begins at `(COUNT - 1) * stride` and has two words a line, as asserted.
                let word = unsafe { *words.get_unchecked(row * stride + 2 * step + part) };
                add_products(kept, word, columns);
            }
        }
    }
    for (sums, kept) in sums.iter_mut().zip(kept) {
        store_f32(&mut sums[start..], kept);
    }
}

/// The product of pairs of signed integers, whose sums fit.
#[target_feature(enable = "avx2,fma")]
fn group_int16<const COUNT: usize>(
    words: &[u32],
    stride: usize,
    start: usize,
    panel: &[Line],
    sums: &mut [[i32; PANEL]],
) {
    assert!((COUNT - 1) * stride + panel.len() <= words.len());
    let mut kept = [[_mm256_setzero_si256(); 2]; COUNT];
    for (step, line) in panel.iter().enumerate() {
        let columns = load(&line.0[start..]);
        for (row, kept) in kept.iter_mut().enumerate() {
            // SAFETY: the last row begins at `(COUNT - 1) * stride` and has a word for each line, as asserted.
            let word = unsafe { *words.get_unchecked(row * stride + step) };
            let word = _mm256_set1_epi32(word.cast_signed());
            for (kept, column) in kept.iter_mut().zip(columns) {
                *kept = _mm256_add_epi32(*kept, _mm256_madd_epi16(word, column));
            }
        }
    }
    for (sums, kept) in sums.iter_mut().zip(kept) {
        store_i32(&mut sums[start..], kept);
    }
}

/// The product of bytes without sign and bytes with one. It is exact, where the instruction for bytes would cut off: even
/// and odd bytes are widened to sixteen bits, whose products are added in pairs.
#[target_feature(enable = "avx2,fma")]
fn group_int8<const COUNT: usize>(
    words: &[u32],
    stride: usize,
    start: usize,
    panel: &[Line],
    sums: &mut [[i32; PANEL]],
) {
    assert!((COUNT - 1) * stride + panel.len() <= words.len());
    let mut kept = [[_mm256_setzero_si256(); 2]; COUNT];
    for (step, line) in panel.iter().enumerate() {
        let columns = load(&line.0[start..]);
        for (row, kept) in kept.iter_mut().enumerate() {
            // SAFETY: the last row begins at `(COUNT - 1) * stride` and has a word for each line, as asserted.
            let word = unsafe { *words.get_unchecked(row * stride + step) };
            let word = _mm256_set1_epi32(word.cast_signed());
            let even = _mm256_and_si256(word, _mm256_set1_epi16(0xff));
            let odd = _mm256_srli_epi16::<8>(word);
            for (kept, column) in kept.iter_mut().zip(columns) {
                let column_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(column));
                let column_odd = _mm256_srai_epi16::<8>(column);
                let pairs = _mm256_add_epi32(
                    _mm256_madd_epi16(even, column_even),
                    _mm256_madd_epi16(odd, column_odd),
                );
                *kept = _mm256_add_epi32(*kept, pairs);
            }
        }
    }
    for (sums, kept) in sums.iter_mut().zip(kept) {
        store_i32(&mut sums[start..], kept);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_products(sums: &mut [__m256; 2], word: u32, columns: [__m256; 2]) {
    let word = _mm256_set1_ps(f32::from_bits(word));
    for (sum, column) in sums.iter_mut().zip(columns) {
        *sum = _mm256_fmadd_ps(word, column, *sum);
    }
}

/// The lower and the upper halves of words, as f32.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn widen([first, second]: [__m256i; 2]) -> [[__m256; 2]; 2] {
    let upper = _mm256_set1_epi32(!0xffff);
    [
        [
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(first)),
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(second)),
        ],
        [
            _mm256_castsi256_ps(_mm256_and_si256(first, upper)),
            _mm256_castsi256_ps(_mm256_and_si256(second, upper)),
        ],
    ]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(words: &[u32]) -> [__m256i; 2] {
    let (chunks, _) = words.as_chunks::<8>();
    // SAFETY: the chunk has eight words, and the instruction asks for no alignment.
    let first = unsafe { _mm256_loadu_si256(chunks[0].as_ptr().cast()) };
    // SAFETY: as above.
    let second = unsafe { _mm256_loadu_si256(chunks[1].as_ptr().cast()) };
    [first, second]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_f32(values: &mut [f32], registers: [__m256; 2]) {
    for (chunk, register) in values.as_chunks_mut::<8>().0.iter_mut().zip(registers) {
        // SAFETY: the chunk has eight values, and the instruction asks for no alignment.
        unsafe { _mm256_storeu_ps(chunk.as_mut_ptr(), register) };
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn store_i32(values: &mut [i32], registers: [__m256i; 2]) {
    for (chunk, register) in values.as_chunks_mut::<8>().0.iter_mut().zip(registers) {
        // SAFETY: the chunk has eight values, and the instruction asks for no alignment.
        unsafe { _mm256_storeu_si256(chunk.as_mut_ptr().cast(), register) };
    }
}

pointwise::compile!(true, #[target_feature(enable = "avx2,fma")]);
