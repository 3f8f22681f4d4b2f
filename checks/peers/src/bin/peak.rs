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
                __m512bh, _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_fmadd_ps,
                _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
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
        ($name:ident, $features:literal, $what:literal, $operations:literal, $start:expr, $sum:ident, $step:expr) => {
            #[target_feature(enable = $features)]
            fn $name() {
                let mut sums = [$start; SUMS];
                let started = Instant::now();
                for _ in 0..ROUNDS {
                    for $sum in &mut sums {
                        *$sum = $step;
                    }
                }
                black_box(&sums);
                let operations = f64::from(ROUNDS) * SUMS as f64 * f64::from($operations);
                println!(
                    "{}: {:.0} billion operations a second",
                    $what,
                    operations / started.elapsed().as_secs_f64() / 1e9
                );
            }
        };
    }

    measure!(f32s, "avx512f", "f32", 32, _mm512_set1_ps(1.0), sum, {
        _mm512_fmadd_ps(*sum, constant(0.999), constant(0.001))
    });
    measure!(bf16, "avx512f,avx512bf16", "bf16", 64, _mm512_set1_ps(1.0), sum, {
        _mm512_dpbf16_ps(*sum, halves(), halves())
    });
    measure!(int16, "avx512f,avx512vnni", "int16", 64, _mm512_setzero_si512(), sum, {
        _mm512_dpwssd_epi32(*sum, _mm512_set1_epi32(0x0001_0001), _mm512_set1_epi32(0x0001_0001))
    });
    measure!(int8, "avx512f,avx512vnni", "int8", 128, _mm512_setzero_si512(), sum, {
        _mm512_dpbusd_epi32(*sum, _mm512_set1_epi32(0x0101_0101), _mm512_set1_epi32(0x0101_0101))
    });

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn constant(value: f32) -> std::arch::x86_64::__m512 {
        _mm512_set1_ps(value)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn halves() -> __m512bh {
        let ones = _mm512_set1_epi32(0x3f80_3f80);
        // SAFETY: both types are 64 bytes, of which every pattern is allowed.
        unsafe { std::mem::transmute(ones) }
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
