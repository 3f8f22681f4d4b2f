//! The best few, against sorting everything.

use leasehold_pipeline::{Top, dot};

use crate::support::Random;

fn kept(most: usize, scores: &[f32]) -> Vec<(f32, usize)> {
    let mut top = Top::new(most);
    for (place, score) in scores.iter().enumerate() {
        let before = top.len();
        let kept = top.offer(*score, || place);
        assert!(kept || top.len() == before);
    }
    top.into_sorted()
}

#[test]
fn what_is_kept_is_the_beginning_of_everything_sorted() {
    // Few values, so that most of them are equal to another.
    const SCORES: [f32; 8] = [-2.0, -0.5, -0.0, 0.0, 0.25, 0.5, 1.0, f32::INFINITY];
    let mut random = Random::new(1);
    for _ in 0..2000 {
        let most = random.below(12);
        let scores: Vec<f32> = (0..random.below(60)).map(|_| SCORES[random.below(SCORES.len())]).collect();
        let mut sorted: Vec<(f32, usize)> = scores.iter().copied().zip(0..).collect();
        // Stable, so that equal scores stay in the order of the input.
        sorted.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap());
        sorted.truncate(most);
        assert_eq!(kept(most, &scores), sorted, "the best {most} of {scores:?}");
    }
}

#[test]
fn a_score_that_is_not_a_number_never_wins() {
    assert_eq!(kept(2, &[f32::NAN, 0.5, -f32::NAN]), [(0.5, 1)]);
}

#[test]
fn only_what_is_kept_is_made() {
    let mut made = 0;
    let mut top = Top::new(1);
    for score in [3.0, 2.0, 3.0, 1.0, 4.0] {
        top.offer(score, || made += 1);
    }
    drop(top);
    assert_eq!(made, 2);
}

#[test]
fn a_dot_product_is_what_exact_arithmetic_says() {
    for length in [0, 1, 31, 32, 33, 384, 1000] {
        let vector = |step: usize| -> Vec<f32> {
            (0..length).map(|i| ((i * step) % 17) as f32 / 17.0 - 0.4).collect()
        };
        let (a, b) = (vector(5), vector(11));
        let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4, "{length} values");
    }
}
