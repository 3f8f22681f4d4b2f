//! Any processor: plain loops, which the compiler turns into what vector code the target has; NEON on 64-bit ARM.
//!
//! There a step of the f32 product is two loads of columns, a word of each of four rows, and sixteen `fmla` by element, with all
//! sums in registers; bf16 takes the same instructions behind shifts and masks, integers take `mla` and `smlal` with sums of 32
//! bits. That is what release builds have; without optimisation of level 3, or with checks of overflow, the f32 product is one
//! `fmadd` after the other. Instructions that not every such processor has, `sdot` and `bfdot` among them, are not used.

use super::{Line, PANEL, Rows, Sums, pointwise};

/// Whether every processor of the target has fused multiply-add.
const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

/// Columns whose sums are kept in registers at a time, for [`TILE`] rows: half of what there is where registers have 16 bytes.
const COLUMNS: usize = if cfg!(target_arch = "aarch64") { 16 } else { 8 };

/// Rows that share what is loaded of a panel.
const TILE: usize = 4;

const _: () = assert!(PANEL.is_multiple_of(COLUMNS));

pub(super) fn multiply(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    each_tile::<_, 1>(rows, panel, sums, |sum, [word], column| {
        add_product(sum, f32::from_bits(word), f32::from_bits(column));
    });
}

/// The product of f32 rows and bf16 panels, each step of which takes two values of a row.
pub(super) fn multiply_wide(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    each_tile::<_, 2>(rows, panel, sums, |sum, [first, second], pair| {
        add_product(sum, f32::from_bits(first), f32::from_bits(pair << 16));
        add_product(sum, f32::from_bits(second), f32::from_bits(pair & !0xffff));
    });
}

/// The product of pairs of bf16.
pub(super) fn multiply_bf16(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    each_tile::<_, 1>(rows, panel, sums, |sum, [word], pair| {
        add_product(sum, f32::from_bits(word << 16), f32::from_bits(pair << 16));
        add_product(sum, f32::from_bits(word & !0xffff), f32::from_bits(pair & !0xffff));
    });
}

/// The product of pairs of signed integers, whose sums fit.
pub(super) fn multiply_int16(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<i32>) {
    each_tile::<_, 1>(rows, panel, sums, |sum, [word], pair| {
        *sum += i32::from(word as i16) * i32::from(pair as i16);
        *sum += i32::from((word >> 16) as i16) * i32::from((pair >> 16) as i16);
    });
}

/// The product of bytes without sign and bytes with one.
pub(super) fn multiply_int8(rows: &Rows<'_>, panel: &[Line], sums: &mut Sums<i32>) {
    each_tile::<_, 1>(rows, panel, sums, |sum, [word], column| {
        for (byte, weight) in word.to_le_bytes().into_iter().zip(column.to_le_bytes()) {
            *sum += i32::from(byte) * i32::from(weight.cast_signed());
        }
    });
}

#[inline(always)]
fn add_product(sum: &mut f32, left: f32, right: f32) {
    *sum = if FUSED { left.mul_add(right, *sum) } else { *sum + left * right };
}

/// Goes through the steps for some rows after the other; `WORDS` of a row belong to one step.
#[inline(always)]
fn each_tile<T: Copy + Default, const WORDS: usize>(
    rows: &Rows<'_>,
    panel: &[Line],
    sums: &mut Sums<T>,
    step: impl Fn(&mut T, [u32; WORDS], u32),
) {
    let (tiles, rest) = sums[..rows.count].as_chunks_mut::<TILE>();
    for (tile, sums) in tiles.iter_mut().enumerate() {
        each_part(rows, tile * TILE, panel, sums, &step);
    }
    for (row, sums) in rest.iter_mut().enumerate() {
        each_part(rows, tiles.len() * TILE + row, panel, std::array::from_mut(sums), &step);
    }
}

/// Goes through the steps for `TALL` rows from `first` on, some columns at a time.
#[inline(always)]
fn each_part<T: Copy + Default, const WORDS: usize, const TALL: usize>(
    rows: &Rows<'_>,
    first: usize,
    panel: &[Line],
    sums: &mut [[T; PANEL]; TALL],
    step: &impl Fn(&mut T, [u32; WORDS], u32),
) {
    let words: [&[[u32; WORDS]]; TALL] = std::array::from_fn(|row| {
        let words = &rows.words[(first + row) * rows.stride..];
        &words.as_chunks::<WORDS>().0[..panel.len()]
    });
    for start in (0..PANEL).step_by(COLUMNS) {
        let mut kept = [[T::default(); COLUMNS]; TALL];
        for (index, line) in panel.iter().enumerate() {
            for (kept, words) in kept.iter_mut().zip(words) {
                for (sum, column) in kept.iter_mut().zip(&line.0[start..start + COLUMNS]) {
                    step(sum, words[index], *column);
                }
            }
        }
        for (sums, kept) in sums.iter_mut().zip(&kept) {
            sums[start..start + COLUMNS].copy_from_slice(kept);
        }
    }
}

pointwise::compile!(FUSED);
