//! Any processor: plain loops, which the compiler turns into what vector code the target has.

use super::{Line, PANEL, Rows, Sums, pointwise};

/// Columns whose sums are kept in registers at a time.
const COLUMNS: usize = 8;

const _: () = assert!(PANEL.is_multiple_of(COLUMNS));

pub(super) fn multiply(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    each_row::<_, 1>(rows, panel, sums, |sum, [word], column| {
        *sum += f32::from_bits(word) * f32::from_bits(column);
    });
}

/// The product of f32 rows and bf16 panels, each step of which takes two values of a row.
pub(super) fn multiply_wide(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    each_row::<_, 2>(rows, panel, sums, |sum, [first, second], pair| {
        *sum += f32::from_bits(first) * f32::from_bits(pair << 16);
        *sum += f32::from_bits(second) * f32::from_bits(pair & !0xffff);
    });
}

/// The product of pairs of bf16.
pub(super) fn multiply_bf16(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<f32>) {
    each_row::<_, 1>(rows, panel, sums, |sum, [word], pair| {
        *sum += f32::from_bits(word << 16) * f32::from_bits(pair << 16);
        *sum += f32::from_bits(word & !0xffff) * f32::from_bits(pair & !0xffff);
    });
}

/// The product of pairs of signed integers, whose sums fit.
pub(super) fn multiply_int16(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<i32>) {
    each_row::<_, 1>(rows, panel, sums, |sum, [word], pair| {
        *sum += i32::from(word as i16) * i32::from(pair as i16);
        *sum += i32::from((word >> 16) as i16) * i32::from((pair >> 16) as i16);
    });
}

/// The product of bytes without sign and bytes with one.
pub(super) fn multiply_int8(rows: Rows<'_>, panel: &[Line], sums: &mut Sums<i32>) {
    each_row::<_, 1>(rows, panel, sums, |sum, [word], column| {
        for (byte, weight) in word.to_le_bytes().into_iter().zip(column.to_le_bytes()) {
            *sum += i32::from(byte) * i32::from(weight.cast_signed());
        }
    });
}

/// Goes through the steps for one row after the other, some columns at a time; `WORDS` of a row belong to one step.
fn each_row<T: Copy + Default, const WORDS: usize>(
    rows: Rows<'_>,
    panel: &[Line],
    sums: &mut Sums<T>,
    step: impl Fn(&mut T, [u32; WORDS], u32),
) {
    for (row, sums) in sums[..rows.count].iter_mut().enumerate() {
        let (words, _) = rows.words[row * rows.stride..].as_chunks::<WORDS>();
        for (part, sums) in sums.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
            let mut kept = [T::default(); COLUMNS];
            for (word, line) in words.iter().zip(panel) {
                for (sum, column) in kept.iter_mut().zip(&line.0[part * COLUMNS..][..COLUMNS]) {
                    step(sum, *word, *column);
                }
            }
            *sums = kept;
        }
    }
}

pointwise::compile!(false);
