//! The model against its reference.

use leasehold_pipeline::{Encoder, Precision};

use crate::support::{cosine, embed, encoder, model_directory, pool};

const TEXTS: &str = include_str!("../golden/texts.json");
const VECTORS: &[u8] = include_bytes!("../golden/vectors.npy");

fn golden() -> (Vec<String>, Vec<f32>) {
    let texts: Vec<String> = serde_json::from_str(TEXTS).unwrap();
    let header = usize::from(u16::from_le_bytes([VECTORS[8], VECTORS[9]])) + 10;
    let vectors: Vec<f32> =
        VECTORS[header..].as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    assert_eq!(vectors.len(), texts.len() * 384);
    (texts, vectors)
}

#[test]
fn vectors_are_those_of_the_reference_within_a_hundred_thousandth() {
    let (texts, expected) = golden();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embed(&texts);
    let mut worst: f64 = 1.0;
    for (text, (vector, expected)) in
        texts.iter().zip(vectors.chunks_exact(384).zip(expected.chunks_exact(384)))
    {
        let cosine = cosine(vector, expected);
        let length = vector.iter().map(|value| value * value).sum::<f32>();
        assert!(1.0 - cosine < 1e-5, "cosine {cosine} for {text:?}");
        assert!((length - 1.0).abs() < 1e-5, "squared length {length} for {text:?}");
        worst = worst.min(cosine);
    }
    println!("worst cosine {worst:.9}");
}

#[test]
fn fewer_bits_keep_the_direction_that_they_promise() {
    let (texts, expected) = golden();
    for (precision, least) in
        [(Precision::Bf16, 0.9999), (Precision::Int16, 0.9999), (Precision::Int8, 0.998)]
    {
        let encoder = Encoder::open(&model_directory(), precision, pool()).unwrap();
        let mut worker = encoder.worker(pool()).unwrap();
        let vectors = worker.embed(texts.iter().map(|text| Ok(text.as_str()))).unwrap();
        for (text, (vector, expected)) in
            texts.iter().zip(vectors.chunks_exact(384).zip(expected.chunks_exact(384)))
        {
            let cosine = cosine(vector, expected);
            assert!(cosine >= least, "{precision:?}: cosine {cosine} for {text:?}");
        }
    }
}

#[test]
fn a_vector_does_not_depend_on_the_batch_it_was_computed_in() {
    let (texts, _) = golden();
    let short: Vec<&str> = texts.iter().map(String::as_str).filter(|text| text.len() < 60).collect();
    let together = embed(&short);
    for (text, vector) in short.iter().zip(together.chunks_exact(384)) {
        let alone = embed(&[text]);
        assert!(1.0 - cosine(&alone, vector) < 1e-6, "for {text:?}");
    }
}

#[test]
fn a_long_text_is_cut_at_256_tokens_with_the_special_ones_counted() {
    let long = "lease ".repeat(100_000);
    let tokens = encoder().tokenizer().encode(&long).unwrap();
    assert_eq!(tokens.ids().len(), 256);
    assert_eq!((tokens.ids()[0], tokens.ids()[255]), (101, 102));
    let cut = "lease ".repeat(254);
    assert_eq!(tokens.ids(), encoder().tokenizer().encode(&cut).unwrap().ids());
}

#[test]
fn a_text_whose_first_page_is_white_space_is_read_on() {
    let padded = format!("{}late words", " ".repeat(70_000));
    let tokens = encoder().tokenizer().encode(&padded).unwrap();
    assert_eq!(tokens.ids(), encoder().tokenizer().encode("late words").unwrap().ids());
}
