//! Weights on their way from the file into panels.

use leasehold::{BoundedPool, MemoryOwner, RentError, SharedOwner};

use super::{
    Precision,
    kernel::{ColumnScale, INT16_LEVELS, Line, PANEL, round_to_bf16},
    linear::{Format, Linear},
};

/// A product that is being packed.
pub(super) struct Packing {
    linear: Linear,
    panels: MemoryOwner<Line>,
}

impl Packing {
    pub(super) fn new(
        precision: Precision,
        columns: usize,
        depth: usize,
        pool: &BoundedPool,
    ) -> Result<Self, RentError> {
        let lines = Self::lines(precision, columns, depth);
        let count = columns.div_ceil(PANEL);
        let format = match precision {
            Precision::Bf16 if depth.is_multiple_of(2) => Format::Bf16,
            Precision::F32 | Precision::Bf16 => Format::F32,
            Precision::Int16 => Format::Int16,
            Precision::Int8 => Format::Int8,
        };
        let scaled = if matches!(format, Format::Int16 | Format::Int8) { count } else { 0 };
        let linear = Linear {
            depth,
            columns,
            steps: steps(precision, depth),
            format,
            panels: SharedOwner::from_static(&[]),
            bias: vec![[0.0; PANEL]; count],
            scales: vec![ColumnScale { scale: [0.0; PANEL], total: [0.0; PANEL] }; scaled],
        };
        let mut panels = pool.try_rent(lines)?;
        panels.fill(Line([0; PANEL]));
        Ok(Self { panels, linear })
    }

    /// Lines that the weights of a product become.
    pub(super) fn lines(precision: Precision, columns: usize, depth: usize) -> usize {
        columns.div_ceil(PANEL) * steps(precision, depth)
    }

    /// Puts one column, which is a row of the matrix as the file has it.
    pub(super) fn put(&mut self, column: usize, weights: &[f32], bias: f32) {
        let (panel, column) = (column / PANEL, column % PANEL);
        self.linear.bias[panel][column] = bias;
        let steps = self.linear.steps;
        let words = self.panels[panel * steps..][..steps].iter_mut().map(|line| &mut line.0[column]);
        match self.linear.format {
            Format::F32 => words.zip(weights).for_each(|(word, weight)| *word = weight.to_bits()),
            Format::Bf16 => {
                for (word, pair) in words.zip(weights.as_chunks::<2>().0) {
                    *word = round_to_bf16(pair[0]) | round_to_bf16(pair[1]) << 16;
                }
            }
            Format::Int16 => {
                // Whatever the row is, its sum must fit 31 bits.
                let sum: f32 = weights.iter().map(|weight| weight.abs()).sum();
                let most = (i32::MAX as f32 / INT16_LEVELS - weights.len() as f32).max(1.0);
                let scale = (largest(weights) / f32::from(i16::MAX)).max(sum / most);
                let mut total = 0.0;
                for (word, weights) in words.zip(weights.chunks(2)) {
                    let pair =
                        [0, 1].map(|i| weights.get(i).map_or(0, |weight| (weight / scale).round() as i16));
                    total += f32::from(pair[0]) + f32::from(pair[1]);
                    *word = u32::from(pair[0].cast_unsigned()) | u32::from(pair[1].cast_unsigned()) << 16;
                }
                self.linear.scales[panel].scale[column] = scale;
                self.linear.scales[panel].total[column] = total * scale;
            }
            Format::Int8 => {
                let scale = largest(weights) / f32::from(i8::MAX);
                let mut total = 0.0;
                for (word, weights) in words.zip(weights.chunks(4)) {
                    let mut bytes = [0; 4];
                    for (byte, weight) in bytes.iter_mut().zip(weights) {
                        *byte = (weight / scale).round() as i8;
                        total += f32::from(*byte);
                    }
                    *word = u32::from_le_bytes(bytes.map(i8::cast_unsigned));
                }
                self.linear.scales[panel].scale[column] = scale;
                self.linear.scales[panel].total[column] = total * scale;
            }
        }
    }

    pub(super) fn finish(self) -> Linear {
        Linear { panels: self.panels.into_shared(), ..self.linear }
    }
}

/// Lines that one panel takes for its depth.
fn steps(precision: Precision, depth: usize) -> usize {
    match precision {
        // Pairs need an even depth, which every model but a made-up one has.
        Precision::Bf16 if depth.is_multiple_of(2) => depth / 2,
        Precision::F32 | Precision::Bf16 => depth,
        Precision::Int16 => depth.div_ceil(2),
        Precision::Int8 => depth.div_ceil(4),
    }
}

fn largest(weights: &[f32]) -> f32 {
    weights.iter().fold(f32::MIN_POSITIVE, |largest, weight| largest.max(weight.abs()))
}
