//! How exactly weights are kept and multiplied.

/// How exactly the learned products are computed. Everything else is f32 in each of them.
///
/// # Examples
/// ```
/// use leasehold_pipeline::Precision;
///
/// assert_eq!(Precision::default(), Precision::F32);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Weights and activations in f32: the reference.
    #[default]
    F32,
    /// Weights in bf16, half the memory; activations too where the processor multiplies bf16 fast, else in f32.
    /// The cosine to f32 is at least 0.9999 on the test passages.
    Bf16,
    /// Weights in sixteen bits with a scale for each column, half the memory; activations in twelve with scale and offset
    /// for each token. On processors that multiply integers fast it is faster than f32 and bf16 by far.
    /// The cosine to f32 is at least 0.9999 on the test passages.
    Int16,
    /// Weights in eight bits with a scale for each column of at most 256 inputs, a quarter of the memory; activations in
    /// eight bits with scale and offset for as many values of a token; where these would lose too much they get eight bits
    /// more. The cosine to f32 is at least 0.998 on the test passages.
    Int8,
}
