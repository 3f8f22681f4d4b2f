//! Measures what one processor can do at the most: multiply-adds in registers, nothing loaded or stored.
//!
//! Usage: `peak`. A model's share of it says how much of the time goes elsewhere.

fn main() {
    #[cfg(target_arch = "x86_64")]
    x86::main();
    #[cfg(not(target_arch = "x86_64"))]
    println!("only x86-64 is measured");
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the compiler cannot know what the processor has")]
mod x86 {
    use std::{
        arch::{
            is_x86_feature_detected,
            x86_64::{
                __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32,
                _mm512_fmadd_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
            },
        },
        hint::black_box,
        time::Instant,
    };

    /// Enough sums that none waits for its last addition.
    const SUMS: usize = 24;

    const ROUNDS: u32 = 10_000_000;

    /// Defines a loop of one instruction; `$operations` multiplications and additions are in each.
    macro_rules! measure {
        ($name:ident, $features:literal, $what:literal, $operations:literal, $start:expr, $value:expr, $instruction:ident) => {
            #[target_feature(enable = $features)]
            fn $name() {
                let operand = black_box($value);
                let mut sums = [black_box($start); SUMS];
                let started = Instant::now();
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        *sum = $instruction(*sum, operand, operand);
                    }
                }
                // By value: what is lent to somebody else does not stay in registers.
                black_box(sums);
                let operations = f64::from(ROUNDS) * SUMS as f64 * f64::from($operations);
                println!(
                    "{}: {:.0} billion operations a second",
                    $what,
                    operations / started.elapsed().as_secs_f64() / 1e9
                );
            }
        };
    }

    measure!(f32s, "avx512f", "f32", 32, _mm512_set1_ps(0.5), _mm512_set1_ps(0.5), plain);
    measure!(
        bf16,
        "avx512f,avx512bf16",
        "bf16",
        64,
        _mm512_set1_ps(0.5),
        _mm512_set1_epi32(0x3f00_3f00),
        halves
    );
    measure!(
        int16,
        "avx512f,avx512vnni",
        "int16",
        64,
        _mm512_setzero_si512(),
        _mm512_set1_epi32(1),
        _mm512_dpwssd_epi32
    );
    measure!(
        int8,
        "avx512f,avx512vnni",
        "int8",
        128,
        _mm512_setzero_si512(),
        _mm512_set1_epi32(1),
        _mm512_dpbusd_epi32
    );

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn plain(sum: __m512, left: __m512, right: __m512) -> __m512 {
        _mm512_fmadd_ps(left, right, sum)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn halves(sum: __m512, left: __m512i, right: __m512i) -> __m512 {
        let [left, right] = [left, right].map(|words| {
            // SAFETY: both types are 64 bytes, of which every pattern is allowed.
            unsafe { std::mem::transmute::<__m512i, __m512bh>(words) }
        });
        _mm512_dpbf16_ps(sum, left, right)
    }

    pub(super) fn main() {
        if !is_x86_feature_detected!("avx512f") {
            return println!("this processor has no AVX-512, which is what is measured");
        }
        // SAFETY: it was asked for.
        unsafe { f32s() };
        if is_x86_feature_detected!("avx512bf16") {
            // SAFETY: it was asked for.
            unsafe { bf16() };
        }
        if is_x86_feature_detected!("avx512vnni") {
            // SAFETY: it was asked for.
            unsafe { int16() };
            // SAFETY: it was asked for.
            unsafe { int8() };
        }
    }
}
