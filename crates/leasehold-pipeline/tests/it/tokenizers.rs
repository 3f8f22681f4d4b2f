//! Tokenizers unlike BERT's, made small: byte-level BPE as RoBERTa has it, and Unigram as XLM-R has it.

use std::{fs, path::Path, sync::Arc};

use leasehold::{MemoryOwner, SharedOwner};
use leasehold_pipeline::{
    Cancel, Document, Encoder, Place, Precision, SourceError, Text, Windows, flow::Flow,
};
use tokenizers::Tokenizer;

use crate::{
    family::{Made, make, shape},
    support::{cosine, pool},
};

const TEXTS: &str = include_str!("../golden/texts.json");
const PAGE: &str = include_str!("../../../../docs/ffi.md");

/// A tokenizer as it is here, and as its own library has it.
struct Kind {
    made: Made,
    encoder: Encoder,
    reference: Tokenizer,
}

/// Both kinds, each with a model of its family that takes 96 tokens.
fn kinds() -> [Kind; 2] {
    let byte_level = include_bytes!("../golden/tokenizers/byte_level.json");
    let unigram = include_bytes!("../golden/tokenizers/unigram.json");
    [kind("roberta", "mean", byte_level), kind("xlm-roberta", "cls", unigram)]
}

fn kind(model_type: &str, pooling: &'static str, tokenizer: &[u8]) -> Kind {
    let mut config = shape(model_type, 16, 2, 24, "gelu");
    config["vocab_size"] = 520.into();
    config["max_position_embeddings"] = 98.into();
    let made = make(&config, "", pooling);
    let path = made.directory.path().join("tokenizer.json");
    fs::write(&path, tokenizer).unwrap();
    let encoder = Encoder::open(made.directory.path(), Precision::F32, pool()).unwrap();
    Kind { made, encoder, reference: Tokenizer::from_file(path).unwrap() }
}

impl Kind {
    /// What the library makes of a text by itself, not cut off.
    fn ids(&self, text: &str) -> Vec<u32> {
        self.reference.encode(text, true).unwrap().get_ids().to_vec()
    }

    /// The passages of a text, and where each is.
    fn passages(&self, text: &str, tokens: usize, overlap: usize) -> Vec<(usize, String)> {
        let block = MemoryOwner::from(text.to_owned()).into_shared();
        let windows = Windows::new(&self.encoder, tokens, overlap).unwrap();
        let documents = std::iter::once(Ok::<_, SourceError>(document(&block)));
        let run = Flow::source("text", documents).stage("window", windows).start(&Cancel::new()).unwrap();
        let found = run.map(|passage| {
            let passage = passage.unwrap();
            let text = passage.text().unwrap();
            (text.as_ptr().addr() - block.as_ptr().addr(), text.to_owned())
        });
        found.collect()
    }

    /// Asserts that the passages of a text have the size they may, in order, and leave out nothing but white space.
    fn check(&self, text: &str, tokens: usize, overlap: usize) {
        let mut before = 0..0;
        for (start, passage) in self.passages(text, tokens, overlap) {
            let range = start..start + passage.len();
            assert_eq!(&text[range.clone()], passage);
            let length = self.ids(&passage).len();
            assert!(
                length <= tokens || passage.chars().count() == 1,
                "{length} tokens, not {tokens}: {passage:?}"
            );
            assert!(range.end > before.end, "{passage:?} has nothing new");
            assert!(before.is_empty() || range.start > before.start, "{passage:?} begins as the one before");
            assert!(overlap > 0 || range.start >= before.end, "{passage:?} overlaps");
            let gap = text.get(before.end..range.start).unwrap_or_default();
            assert!(gap.trim().is_empty(), "{gap:?} is in no passage");
            before = range;
        }
        assert!(text[before.end..].trim().is_empty(), "the end of {text:?} is in no passage");
    }
}

fn document(block: &SharedOwner<u8>) -> Document {
    let path: Arc<Path> = Path::new("page.md").into();
    let text = Text::new(block.clone()).unwrap();
    Document { text, place: Place { path, line: 1, offset: 0 }, consumed: block.len() as u64 }
}

fn golden() -> Vec<String> {
    serde_json::from_str(TEXTS).unwrap()
}

#[test]
fn vectors_of_passages_are_those_of_their_ids_in_the_library_of_tokenizers() {
    for kind in kinds() {
        let mut worker = kind.encoder.worker(pool()).unwrap();
        let width = kind.encoder.width();
        for text in golden() {
            let passages = kind.passages(&text, 24, 6);
            let texts = passages.iter().map(|(_, passage)| passage.as_str());
            let vectors = worker.embed(texts.clone().map(Ok)).unwrap();
            for (passage, vector) in texts.zip(vectors.chunks_exact(width)) {
                let ids = kind.ids(passage);
                assert_eq!(kind.encoder.tokenizer().encode(passage).unwrap().ids(), ids, "{passage:?}");
                let expected: Vec<f32> = kind.made.embed(&ids).iter().map(|value| *value as f32).collect();
                let cosine = cosine(vector, &expected);
                assert!(1.0 - cosine < 1e-6, "cosine {cosine} for {passage:?}");
            }
        }
    }
}

#[test]
fn no_passage_has_more_tokens_than_it_may_and_no_text_is_lost() {
    let texts = golden().join("\n\n  ");
    for kind in kinds() {
        for tokens in 3..=48 {
            kind.check(&PAGE[..3000], tokens, 0);
            kind.check(&texts, tokens, (tokens - 3) / 3);
        }
        for tokens in [4, 7, 16, 96] {
            kind.check(PAGE, tokens, tokens - 3);
            for text in golden() {
                kind.check(&text, tokens, 0);
            }
        }
    }
}

#[test]
fn white_space_around_a_text_that_would_fit_is_left_out_where_it_has_tokens() {
    let [kind, _] = kinds();
    for text in ["\n \n \n one word \n \t \n \n", "one\n \n \n \n \n \n \n", " \n \n \n \n \n \n \n \n"] {
        kind.check(text, 8, 0);
    }
    let (start, passage) = kind.passages("\n \n \n word \n \t \n \n", 8, 0).remove(0);
    assert_eq!((start, passage.as_str()), (6, "word"));
    assert_eq!(kind.passages(" \n word ", 32, 0), [(0, " \n word ".to_owned())]);
}

#[test]
fn a_text_without_white_space_gives_full_passages() {
    for kind in kinds() {
        let text = "leasesandownersandpools".repeat(1000);
        let passages = kind.passages(&text, 32, 0);
        let whole: usize = passages.iter().map(|(_, passage)| passage.len()).sum();
        assert_eq!(whole, text.len());
        for (_, passage) in &passages[..passages.len() - 1] {
            let length = kind.ids(passage).len();
            assert!((26..=32).contains(&length), "{length} tokens in {passage:?}");
        }
    }
}

#[test]
fn a_padding_token_in_a_text_has_a_position_of_its_own_and_does_not_move_the_others() {
    let texts =
        ["use <pad> tokens to fill", "<pad><pad>", "plain", "the <mask> and </s> <pad>", "<pad> first"];
    for kind in kinds() {
        let mut worker = kind.encoder.worker(pool()).unwrap();
        let vectors = worker.embed(texts.iter().map(|text| Ok(*text))).unwrap();
        for (text, vector) in texts.iter().zip(vectors.chunks_exact(kind.encoder.width())) {
            let ids = kind.ids(text);
            assert_eq!(ids.contains(&1), text.contains("<pad>"));
            let expected: Vec<f32> = kind.made.embed(&ids).iter().map(|value| *value as f32).collect();
            assert!(1.0 - cosine(vector, &expected) < 1e-6, "{text:?}");
        }
    }
}
