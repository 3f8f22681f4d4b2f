//! Passages of so many tokens.

use std::{path::Path, sync::Arc};

use leasehold::{MemoryOwner, SharedOwner};
use leasehold_pipeline::{
    Cancel, Document, EmbedError, Place, SourceError, Text, Windows,
    flow::{Flow, Run},
};

use crate::support::small_encoder;

fn document(block: &SharedOwner<u8>) -> Document {
    let path: Arc<Path> = Path::new("book.txt").into();
    let text = Text::new(block.clone()).unwrap();
    Document { text, place: Place { path, line: 10, offset: 1000 }, consumed: 5000 + block.len() as u64 }
}

fn start(block: &SharedOwner<u8>, windows: Windows) -> Run<Document> {
    let documents = std::iter::once(Ok::<_, SourceError>(document(block)));
    Flow::source("text", documents).stage("window", windows).start(&Cancel::new()).unwrap()
}

fn passages(text: &str, tokens: usize, overlap: usize) -> (SharedOwner<u8>, Vec<Document>) {
    let block = MemoryOwner::from(text.to_owned()).into_shared();
    let windows = Windows::new(small_encoder(), tokens, overlap).unwrap();
    let found = start(&block, windows).collect::<Result<_, _>>().unwrap();
    (block, found)
}

/// Tokens of a text, without the special ones.
fn tokens(text: &str) -> usize {
    small_encoder().tokenizer().encode(text).unwrap().ids().len() - 2
}

/// Words, punctuation, line breaks and other alphabets in no order.
fn babble(seed: u64, count: usize) -> String {
    const WORDS: [&str; 14] = [
        "a",
        "lease",
        "unrevoked",
        "handles,",
        "don't",
        "naïve",
        "猫が好き",
        "x1y2z3",
        "\n",
        "(yes)",
        "…",
        "  ",
        "Ωμέγα",
        "internationalization",
    ];
    let mut state = seed;
    let mut text = String::new();
    for _ in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push(if state >> 60 == 0 { '\n' } else { ' ' });
    }
    text
}

#[test]
fn the_last_word_of_a_passage_keeps_its_accent() {
    // The tokenizer takes accents that stand by themselves away, so no token has them.
    let text = "cafe\u{301} ".repeat(40);
    let (_, found) = passages(&text, 10, 0);
    assert!(found.len() > 3);
    for passage in &found {
        assert!(passage.text().unwrap().ends_with("e\u{301}"), "{passage:?}");
    }
}

#[test]
fn passages_cover_the_text_in_order_and_keep_to_their_size_and_overlap() {
    for (seed, count, window, overlap) in [
        (1, 3000, 32, 8),
        (2, 500, 10, 0),
        (3, 500, 9, 6),
        (4, 9000, 128, 32),
        (5, 400, 9, 0),
        (6, 600, 64, 61),
    ] {
        let text = babble(seed, count);
        let (block, found) = passages(&text, window, overlap);
        assert!(found.len() > 3, "{}", found.len());
        let mut before = 0..0;
        for (index, passage) in found.iter().enumerate() {
            let slice = passage.text().unwrap();
            // A slice of the block, not a copy.
            let start = slice.as_ptr().addr() - block.as_ptr().addr();
            let range = start..start + slice.len();
            assert_eq!(&text[range.clone()], slice);
            let most = window - 2;
            assert!((1..=most).contains(&tokens(slice)), "{} tokens in {slice:?}", tokens(slice));
            if index > 0 {
                assert!(range.start > before.start && range.end > before.end, "{range:?} after {before:?}");
                let gap = text.get(before.end..range.start).unwrap_or_default();
                assert!(gap.trim().is_empty(), "{gap:?} is in no passage");
                let shared = text.get(range.start..before.end).unwrap_or_default();
                assert!(tokens(shared) <= overlap, "{shared:?} is in two");
                // The passage before was as long as it could be: with what follows up to the next space it is too long.
                let rest = &text[before.end..];
                let word = rest.len() - rest.trim_start().len();
                let word = rest[word..].find(char::is_whitespace).map_or(rest.len(), |end| word + end);
                let longer = &text[before.start..before.end + word];
                assert!(tokens(longer) > most, "{longer:?} would have fit");
            }
            let lines = text[..range.start].matches('\n').count() as u64;
            assert_eq!(passage.place.line, 10 + lines);
            assert_eq!(passage.place.offset, 1000 + range.start as u64);
            assert_eq!(passage.consumed, 5000 + range.end as u64);
            before = range;
        }
        assert!(text[before.end..].trim().is_empty(), "the end is in the last passage");
    }
}

#[test]
fn a_text_that_fits_stays_as_it_is() {
    for text in ["  a few words \n", "", " \n", "\u{200b}"] {
        let (_, found) = passages(text, 16, 4);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text().unwrap(), text);
        assert_eq!(found[0].place.line, 10);
    }
}

#[test]
fn lines_are_followed_only_where_the_text_is_as_the_file_has_it() {
    let block = MemoryOwner::from(babble(7, 300)).into_shared();
    let windows = Windows::new(small_encoder(), 16, 4).unwrap();
    let windows = windows.lines_where(|place| place.path.as_ref() != Path::new("book.txt"));
    for passage in start(&block, windows) {
        let place = passage.unwrap().place;
        assert_eq!((place.line, place.offset), (10, 1000));
    }
}

#[test]
fn text_without_white_space_is_cut_all_the_same() {
    // One word of the tokenizer each, and as many as there are characters.
    let (_, found) = passages(&"猫".repeat(40_000), 102, 0);
    assert_eq!(found.len(), 400);
    assert!(found.iter().all(|passage| passage.text().unwrap() == "猫".repeat(100)));
    // One word that no model knows.
    let (_, found) = passages(&"x".repeat(300_000), 16, 4);
    let whole: usize = found.iter().map(|passage| passage.text.len()).sum();
    assert!(whole >= 300_000);
}

#[test]
fn the_first_passages_of_a_long_text_come_before_its_last_ones_are_found() {
    // Hours of work, were it all done.
    let text = "one two three four five six seven eight nine ten\n".repeat(1 << 20);
    let block = MemoryOwner::from(text).into_shared();
    let mut run = start(&block, Windows::new(small_encoder(), 18, 0).unwrap());
    for line in 0..100 {
        let passage = run.next().unwrap().unwrap();
        let words = passage.text().unwrap().split_whitespace().count();
        assert_eq!((words, passage.place.line), (16, 10 + (line * 16) / 10));
    }
    run.join();
    assert_eq!(block.owners(), 1);
}

#[test]
fn impossible_passages_are_refused_with_the_reason() {
    let cases = [
        (257, 0, "the model takes at most 256 tokens"),
        (2, 0, "the window needs at least 3 tokens"),
        (10, 8, "the window needs at least 11 tokens"),
        (10, usize::MAX, "leave no room"),
        (0, 0, "leave no room"),
    ];
    for (tokens, overlap, said) in cases {
        let error = Windows::new(small_encoder(), tokens, overlap).unwrap_err();
        assert!(matches!(error, EmbedError::Window { .. }));
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(Windows::new(small_encoder(), 10, 7).is_ok());
}

#[test]
fn parts_of_a_word_that_is_longer_than_a_passage_fit_too() {
    // The rest of a word has other tokens than it has in the word.
    let text = "pneumonoultramicroscopicsilicovolcanoconiosis unrevokability ".repeat(30);
    for window in 3..14 {
        let (_, found) = passages(&text, window, 0);
        let mut whole = String::new();
        for passage in &found {
            let slice = passage.text().unwrap();
            assert!(tokens(slice) <= window - 2, "{} tokens, not {}: {slice:?}", tokens(slice), window - 2);
            whole.extend(slice.split_whitespace());
        }
        assert_eq!(whole, text.split_whitespace().collect::<String>());
    }
}
