//! How near two vectors are.

/// Sums kept side by side: enough for two of the widest registers to work at once.
const LANES: usize = 32;

/// The dot product of two vectors of one length, which for unit vectors is their cosine.
///
/// The order of the additions is fixed, so one machine and another give the same.
///
/// # Panics
///
/// When the lengths differ.
///
/// # Examples
/// ```
/// assert_eq!(leasehold_pipeline::dot(&[0.5; 4], &[0.5; 4]), 1.0);
/// assert_eq!(leasehold_pipeline::dot(&[0.6, 0.8], &[-0.8, 0.6]), 0.0);
/// ```
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of different spaces have no angle between them");
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
