//! Sentences, and which of them are chosen.

use std::{fs, num::NonZeroUsize, ops::Range, sync::Arc};

use leasehold::MemoryPool;
use leasehold_pipeline::{
    Cancel, Extract, Format, Input, Length, Pipeline, SentencesOf, Source, SourceError, Split, Summarizer,
    sentences,
};
use tempfile::TempDir;

use crate::support::{Random, encoder, pool};

fn cut(text: &str) -> Vec<&str> {
    sentences(text).map(|range| &text[range]).collect()
}

#[test]
fn sentences_end_where_a_reader_says() {
    let cases: [(&str, &[&str]); 15] = [
        ("What it is to .NET. More of it.", &["What it is to .NET.", "More of it."]),
        ("One. Two! Three?", &["One.", "Two!", "Three?"]),
        ("One goes\nover a line. Two.", &["One goes\nover a line.", "Two."]),
        (
            "Dr. A. B. Reed met Mr. Fox at 3.15 p.m. today.",
            &["Dr. A. B. Reed met Mr. Fox at 3.15 p.m. today."],
        ),
        ("She lives in the U.S. He does not.", &["She lives in the U.S.", "He does not."]),
        ("The U.S. Senate met. No. 5 won.", &["The U.S. Senate met.", "No. 5 won."]),
        ("“Go!” she said. “Now.” He went.", &["“Go!” she said.", "“Now.”", "He went."]),
        ("Wait... what? Yes.", &["Wait... what?", "Yes."]),
        (
            "See pp. 3 and Fig. IV of it (cf. Reed). Done.",
            &["See pp. 3 and Fig. IV of it (cf. Reed).", "Done."],
        ),
        ("彼は来た。私は行く。", &["彼は来た。", "私は行く。"]),
        ("Él vino. ¿Y tú?", &["Él vino.", "¿Y tú?"]),
        ("TITLE\n=====\n\nText is here.\n\n---\n\nMore", &["TITLE", "Text is here.", "More"]),
        ("> quoted over\n> two lines. And\n> more.", &["quoted over\n> two lines.", "And\n> more."]),
        ("Use v1.2.3 of foo.rs. It works.", &["Use v1.2.3 of foo.rs.", "It works."]),
        ("no full stop\r\n\r\nat all\r\n", &["no full stop", "at all"]),
    ];
    for (text, expected) in cases {
        assert_eq!(cut(text), expected, "of {text:?}");
    }
}

#[test]
fn text_without_words_has_no_sentences() {
    for text in ["", " \n\t\n", "---\n...\n***", "\u{2028}", "#\n##"] {
        assert_eq!(cut(text), [""; 0], "of {text:?}");
    }
}

#[test]
fn a_paragraph_of_any_length_gives_what_its_sentences_give() {
    let mut random = Random::new(3);
    let sentence = |random: &mut Random| {
        let words: Vec<String> = (0..3 + random.below(40)).map(|i| format!("w{}é", i * 7 % 13)).collect();
        format!("So {}.", words.join(" "))
    };
    let expected: Vec<String> = (0..3000).map(|_| sentence(&mut random)).collect();
    let text = expected.join(" ");
    assert!(text.len() > 4 * 64 * 1024, "several windows long");
    assert_eq!(cut(&text), expected);
}

#[test]
fn a_sentence_without_an_end_is_cut_between_words_and_loses_nothing() {
    let text = "word ".repeat(100_000);
    let found = cut(&text);
    assert!(found.len() > 1 && found.iter().all(|piece| piece.len() <= 64 * 1024));
    assert_eq!(found.join(" ").len(), text.trim_end().len());
    let line = "é".repeat(200_000);
    assert_eq!(cut(&line).concat(), line);
}

#[test]
fn sentences_lie_in_order_and_cover_every_word() {
    let pieces = [
        "Dr.", "Owls", "fly.", "\n", "\n\n", " ", "é", "1.", "- ", "a)", "\r\n", "# ", "!", "  ", "U.S.",
        "…", "“", "猫。",
    ];
    let mut random = Random::new(4);
    for _ in 0..3000 {
        let text: String = (0..random.below(30)).map(|_| pieces[random.below(pieces.len())]).collect();
        let mut covered = vec![false; text.len()];
        let mut end = 0;
        for range in sentences(&text) {
            assert!(range.start >= end && range.start < range.end, "{range:?} of {text:?}");
            let sentence = &text[range.clone()];
            assert_eq!(sentence, sentence.trim(), "of {text:?}");
            assert!(sentence.contains(char::is_alphanumeric), "{sentence:?} of {text:?}");
            covered[range.clone()].fill(true);
            end = range.end;
        }
        for (at, character) in text.char_indices().filter(|(_, character)| character.is_alphabetic()) {
            // The marker of an item is no word.
            assert!(covered[at] || text[at..].starts_with("a)"), "{character} at {at} of {text:?}");
        }
    }
}

/// A sentence for the oracle: its vector, its words, and whether it is whole.
type Made = (Vec<f32>, usize, bool);

const WIDTH: usize = 6;

fn made(random: &mut Random, most: usize) -> Vec<Made> {
    let length = random.below(most);
    made_exactly(random, length)
}

fn made_exactly(random: &mut Random, length: usize) -> Vec<Made> {
    (0..length)
        .map(|_| {
            let raw: Vec<f64> = (0..WIDTH).map(|_| random.below(2000) as f64 - 700.0).collect();
            let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt();
            let vector = raw.iter().map(|value| (value / length) as f32).collect();
            (vector, 1 + random.below(30), random.below(4) > 0)
        })
        .collect()
}

fn dot(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum()
}

fn dot64(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn wide(vector: &[f32]) -> Vec<f64> {
    vector.iter().copied().map(f64::from).collect()
}

/// Sentences that may be chosen, and the text whose centroid they are measured by.
type Stretch = (Vec<usize>, Range<usize>);

/// The rule word for word, in f64, with nothing remembered from one choice to the next.
fn choose(made: &[Made], stretches: &[Stretch], sentences: usize, words: Option<usize>) -> Vec<usize> {
    let weight = |at: usize| if made[at].2 { 1.0 } else { 0.25 };
    let centroid = |text: &Range<usize>| {
        let mut sum = vec![0.0; made[0].0.len()];
        for at in text.clone() {
            sum.iter_mut().zip(&made[at].0).for_each(|(sum, value)| *sum += weight(at) * f64::from(*value));
        }
        let length = dot64(&sum, &sum).sqrt();
        sum.iter().map(|value| value / length).collect::<Vec<f64>>()
    };
    let centroids: Vec<Vec<f64>> = stretches.iter().map(|(_, text)| centroid(text)).collect();
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    while chosen.len() < sentences {
        let left = words.map(|words| words - chosen.iter().map(|(_, at)| made[*at].1).sum::<usize>());
        let nearest = |at: usize| {
            chosen.iter().map(|(_, other)| dot(&made[at].0, &wide(&made[*other].0))).fold(0.0, f64::max)
        };
        let given = |stretch: usize| {
            let from_it = chosen.iter().filter(|(from, _)| *from == stretch);
            from_it.map(|(_, at)| if words.is_some() { made[*at].1 } else { 1 }).sum::<usize>()
        };
        let value = |stretch: usize, at: usize| {
            let lead = 1.0 + 0.5 * (-(at as f64) / 10.0).exp2();
            0.8 * weight(at) * dot(&made[at].0, &centroids[stretch]) * lead - 0.2 * nearest(at)
        };
        let open = stretches.iter().enumerate().flat_map(|(stretch, (sentences, _))| {
            let fits = |at: &usize| left.is_none_or(|left| made[*at].1 <= left) && nearest(*at) < 0.95;
            let may_be = |at: &usize| !chosen.contains(&(stretch, *at)) && fits(at);
            sentences.iter().copied().filter(may_be).map(move |at| (stretch, at)).collect::<Vec<_>>()
        });
        let valued = open.map(|(stretch, at)| (given(stretch), value(stretch, at), (stretch, at)));
        let better = |a: &(usize, f64, (usize, usize)), b: &(usize, f64, (usize, usize))| {
            a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2))
        };
        let Some((_, _, best)) = valued.min_by(better) else { break };
        chosen.push(best);
    }
    let mut chosen: Vec<usize> = chosen.into_iter().map(|(_, at)| at).collect();
    chosen.sort_unstable();
    chosen
}

/// What is chosen of a short text.
fn oracle(made: &[Made], sentences: usize, words: Option<usize>) -> Vec<usize> {
    if made.is_empty() {
        return Vec::new();
    }
    choose(made, &[((0..made.len()).collect(), 0..made.len())], sentences, words)
}

/// The candidates of some sections side by side, which are as many as a power of two.
fn candidates(made: &[Made], text: Range<usize>, words: Option<usize>) -> Vec<usize> {
    let sentences = match text.len() {
        16 => text.clone().collect(),
        length => {
            let middle = text.start + length / 2;
            let mut both = candidates(made, text.start..middle, words);
            both.extend(candidates(made, middle..text.end, words));
            both
        }
    };
    if sentences.len() <= 8 {
        return sentences;
    }
    let fit = sentences.into_iter().filter(|at| words.is_none_or(|words| made[*at].1 <= words)).collect();
    choose(made, &[(fit, text)], 8, None)
}

/// What is chosen of a long text, level by level, from the whole of it.
fn long_oracle(made: &[Made], sentences: usize, words: Option<usize>) -> Vec<usize> {
    let full = (made.len() - 1) / 16;
    let mut size = 1;
    while full / size >= 256 {
        size *= 2;
    }
    let mut sections: Vec<Stretch> = Vec::new();
    let mut at = 0;
    while at < full {
        while full - at < size {
            size /= 2;
        }
        let text = at * 16..(at + size) * 16;
        sections.push((candidates(made, text.clone(), words), text));
        at += size;
    }
    sections.push(((full * 16..made.len()).collect(), full * 16..made.len()));

    let weight = |text: Range<usize>| made[text].iter().map(|made| if made.2 { 1.0 } else { 0.25 }).sum();
    let whole: f64 = weight(0..made.len());
    let count = words.map_or(sentences, |words| words / 32).clamp(1, 64);
    let mut stretches: Vec<Stretch> = vec![(Vec::new(), 0..0); count];
    for (candidates, text) in sections {
        let middle = weight(0..text.start) + weight(text.clone()) / 2.0;
        let stretch = &mut stretches[((middle * count as f64 / whole) as usize).min(count - 1)];
        stretch.0.extend(candidates);
        stretch.1 = if stretch.1.is_empty() { text } else { stretch.1.start..text.end };
    }
    choose(made, &stretches, sentences, words)
}

fn summary(made: &[Made], length: Length) -> Vec<usize> {
    let width = made.first().map_or(WIDTH, |(vector, ..)| vector.len());
    let mut summarizer = Summarizer::new(width, length);
    for (at, (vector, words, whole)) in made.iter().enumerate() {
        summarizer.add(vector, *words, *whole, || at);
    }
    let chosen = summarizer.finish();
    assert!(chosen.iter().all(|chosen| chosen.order == chosen.sentence as u64));
    chosen.into_iter().map(|chosen| chosen.sentence).collect()
}

#[test]
fn what_is_chosen_is_what_the_rule_says() {
    let mut random = Random::new(5);
    for _ in 0..300 {
        let made = made(&mut random, 60);
        let sentences = random.below(12);
        let words = random.below(150);
        assert_eq!(summary(&made, Length::Sentences(sentences)), oracle(&made, sentences, None));
        assert_eq!(summary(&made, Length::Words(words)), oracle(&made, usize::MAX, Some(words)));
    }
}

#[test]
fn a_text_is_long_from_one_sentence_on_and_short_before() {
    let mut random = Random::new(9);
    let made: Vec<Made> = made_exactly(&mut random, 2049);
    let short = &made[..2048];
    assert_eq!(summary(short, Length::Sentences(9)), oracle(short, 9, None));
    assert_eq!(summary(&made, Length::Sentences(9)), long_oracle(&made, 9, None));
    assert_ne!(oracle(&made, 9, None), long_oracle(&made, 9, None), "it is another rule");
}

#[test]
fn what_is_chosen_of_a_long_text_is_what_the_rule_says_level_by_level() {
    let mut random = Random::new(10);
    // Where sections become full, and where all of them are joined.
    let borders = [16 * 129, 16 * 255, 16 * 256, 16 * 257, 16 * 512, 16 * 513, 16 * 767, 16 * 1024];
    let borders = borders.into_iter().flat_map(|border| [border, border + 1]);
    let between: Vec<usize> = (0..10).map(|_| 2049 + random.below(12_000)).collect();
    for length in borders.chain(between) {
        let made = made_exactly(&mut random, length);
        let sentences = random.below(80);
        assert_eq!(summary(&made, Length::Sentences(sentences)), long_oracle(&made, sentences, None));
        let words = random.below(500);
        assert_eq!(summary(&made, Length::Words(words)), long_oracle(&made, usize::MAX, Some(words)));
    }
}

/// A unit vector that is near to another, the nearer the less noise there is.
fn near(random: &mut Random, direction: &[f32], noise: f32) -> Vec<f32> {
    let raw: Vec<f32> = direction
        .iter()
        .map(|value| {
            value + noise * (random.below(2001) as f32 / 1000.0 - 1.0) / (direction.len() as f32).sqrt()
        })
        .collect();
    let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
    raw.iter().map(|value| value / length).collect()
}

#[test]
fn a_long_text_of_many_topics_is_summarized_by_the_sentence_that_stands_for_each() {
    const TOPICS: usize = 24;
    const SENTENCES: usize = 400;
    let mut random = Random::new(11);
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| near(&mut random, &[0.0; 48], 1.0)).collect();
    let mean: Vec<f32> = (0..48).map(|at| topics.iter().map(|topic| topic[at]).sum()).collect();
    let (mut text, mut planted) = (Vec::new(), Vec::new());
    for topic in &topics {
        let main = random.below(SENTENCES);
        for at in 0..SENTENCES {
            // Every tenth says something that holds for the whole text, and so is near to its centroid.
            let (direction, noise) = match at {
                at if at == main => (topic, 0.3),
                at if at % 10 == 0 => (&mean, 0.3),
                _ => (topic, 2.0),
            };
            planted.extend((at == main).then_some(text.len()));
            text.push((near(&mut random, direction, noise), 20, true));
        }
    }
    let chosen = summary(&text, Length::Sentences(TOPICS));
    let found = planted.iter().filter(|at| chosen.contains(at)).count();
    // Sections end within topics, and the first one has sentences that come early.
    assert!(found >= TOPICS - 2, "{found} of {planted:?} are among {chosen:?}");
}

#[test]
fn every_part_of_a_long_text_has_its_share_of_the_summary() {
    let mut random = Random::new(12);
    for (length, sentences) in [(3000, 2), (9000, 5), (20_000, 20), (30_000, 64), (30_000, 128)] {
        let made: Vec<Made> = (0..length)
            .map(|_| (near(&mut random, &[0.3, 0.2, 0.0, 0.0, 0.0, 0.0], 2.0), 20, true))
            .collect();
        let chosen = summary(&made, Length::Sentences(sentences));
        assert_eq!(chosen.len(), sentences);
        let parts = sentences.min(64);
        for (at, chosen) in chosen.chunks(sentences / parts).enumerate() {
            // A part ends where a section does, and there are at least 128 sections.
            let (start, end) = (at * length / parts, (at + 1) * length / parts);
            let within = start.saturating_sub(length / 128)..end + length / 128;
            assert!(chosen.iter().all(|at| within.contains(at)), "{chosen:?} of {within:?}");
        }
        let words = 20 * sentences;
        let chosen = summary(&made, Length::Words(words));
        assert_eq!(chosen.len(), sentences);
        let parts = (words / 32).clamp(1, 64);
        for at in 0..parts {
            let (start, end) = (at * length / parts, (at + 1) * length / parts);
            let within = start.saturating_sub(length / 128)..end + length / 128;
            assert!(chosen.iter().any(|at| within.contains(at)), "{chosen:?} has none of {within:?}");
        }
    }
}

#[test]
fn what_repeats_a_chosen_sentence_is_passed_over() {
    let repeated = vec![0.6, 0.8, 0.0, 0.0, 0.0, 0.0];
    let other = vec![0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    let made: Vec<Made> =
        [&repeated, &repeated, &other, &repeated, &other].map(|vector| (vector.clone(), 5, true)).into();
    assert_eq!(summary(&made, Length::Sentences(5)), [0, 2]);
}

#[test]
fn no_more_is_kept_of_a_text_of_any_length() {
    let mut random = Random::new(13);
    let alive = Arc::new(());
    let mut summarizer = Summarizer::new(2, Length::Sentences(5));
    for at in 1..=300_000 {
        let angle = random.below(1000) as f32 / 1000.0;
        let keep = || Arc::clone(&alive);
        summarizer.add(&[angle.cos(), angle.sin()], 1 + random.below(30), random.below(3) > 0, keep);
        assert!(summarizer.candidates() <= 2048 + 100, "behind sentence {at}");
        assert_eq!(Arc::strong_count(&alive) - 1, summarizer.candidates());
    }
    assert_eq!(summarizer.seen(), 300_000);
}

#[test]
fn sentences_late_in_a_long_text_are_found() {
    let mut random = Random::new(6);
    let mut summarizer = Summarizer::new(WIDTH, Length::Words(120));
    // Late in the text, and nearer to its centroid than the rest, but for the first sentences.
    let mut planted = Vec::new();
    for at in 0..20_000_usize {
        let mut vector = [0.0; WIDTH];
        if at % 5000 == 4999 {
            vector[..2].copy_from_slice(&[0.8, 0.6]);
            vector[2 + at / 5000] = 0.5;
            planted.push(at);
        } else {
            vector[0] = 0.3 + random.below(100) as f32 / 1000.0;
            vector[1] = 0.2 + random.below(100) as f32 / 1000.0;
            vector[2 + random.below(4)] = if random.below(2) == 0 { 1.0 } else { -1.0 };
        }
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        let unit = vector.map(|value| value / length);
        summarizer.add(&unit, 10, true, || at);
    }
    assert_eq!(summarizer.seen(), 20_000);
    let chosen: Vec<usize> = summarizer.finish().into_iter().map(|chosen| chosen.sentence).collect();
    assert!(chosen.len() <= 12 && chosen.is_sorted());
    for at in planted {
        assert!(chosen.contains(&at), "sentence {at} is not among {chosen:?}");
    }
}

#[test]
fn a_long_summary_of_a_long_text_has_the_length_that_was_asked_for() {
    let mut random = Random::new(7);
    let mut summarizer = Summarizer::new(16, Length::Sentences(700));
    for at in 0..8000 {
        let mut vector: Vec<f32> = (0..16).map(|_| random.below(2000) as f32 - 900.0).collect();
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|value| *value /= length);
        summarizer.add(&vector, 1, true, || at);
    }
    assert_eq!(summarizer.finish().len(), 700);
}

#[test]
fn choosing_ends_when_it_is_asked_to() {
    let mut random = Random::new(8);
    let cancel = Cancel::new();
    let mut summarizer = Summarizer::new(WIDTH, Length::Sentences(1000)).cancelled_by(&cancel);
    let made = made(&mut random, 2000);
    made.iter().for_each(|(vector, words, whole)| summarizer.add(vector, *words, *whole, || ()));
    assert!(!made.is_empty() && summarizer.candidates() > 0);
    cancel.cancel();
    assert!(summarizer.finish().is_empty());
}

#[test]
fn of_nothing_there_is_no_summary() {
    assert!(summary(&[], Length::Sentences(3)).is_empty());
    let zero: Vec<Made> = vec![(vec![0.0; WIDTH], 1, true)];
    assert_eq!(summary(&zero, Length::Sentences(1)), [0]);
    assert!(summary(&zero, Length::Words(0)).is_empty());
}

/// A source of the paragraphs of a file with this text.
fn paragraphs(place: &TempDir, text: &str) -> Source {
    let path = place.path().join("text.txt");
    fs::write(&path, text).unwrap();
    Source::open(vec![(Input::File(path), Format::Text(Split::Paragraph))], pool()).unwrap()
}

#[test]
fn sentences_know_their_places_in_the_file() {
    let place = TempDir::new().unwrap();
    // Several pieces of a mebibyte, and lines that end in the midst of sentences.
    let sentence = |number: usize| format!("Sentence {number} is\nlonger \u{e9} than one line.");
    let mut text = "\u{feff}# Heading\nFirst one. Second\none.\n\n\n- item\n\n".to_owned();
    let many: Vec<String> = (0..60_000).map(sentence).collect();
    text += &many.join(" ");
    let mut count = 0;
    for document in SentencesOf::new(paragraphs(&place, &text)) {
        let document = document.unwrap();
        let (said, start) = (document.text().unwrap(), document.place.offset as usize);
        assert_eq!(&text[start..start + said.len()], said);
        if count % 1000 < 6 {
            assert_eq!(document.place.line as usize, 1 + text[..start].matches('\n').count(), "{said:?}");
        }
        match count {
            0 => assert_eq!(said, "Heading"),
            2 => assert_eq!(said, "Second\none."),
            3 => assert_eq!(said, "item"),
            4.. => assert_eq!(said, many[count - 4]),
            _ => {}
        }
        count += 1;
    }
    assert_eq!(count, 60_004);
}

#[test]
fn sentences_are_looked_at_one_by_one_however_long_their_document_is() {
    use std::io::{Seek, SeekFrom, Write};

    let place = TempDir::new().unwrap();
    let text = "This is a sentence. ".repeat(200_000);
    let documents = paragraphs(&place, &text).collect::<Result<Vec<_>, _>>().unwrap();
    let mut sentences = SentencesOf::new(documents.into_iter().map(Ok));
    assert_eq!(sentences.next().unwrap().unwrap().consumed, "This is a sentence.".len() as u64);
    // Somebody edits the end of the file, which they were asked not to.
    let mut file = fs::OpenOptions::new().write(true).open(place.path().join("text.txt")).unwrap();
    file.seek(SeekFrom::Start(text.len() as u64 / 2)).unwrap();
    file.write_all(b"\xFF").unwrap();
    let (given, error): (Vec<_>, Vec<_>) = sentences.partition(Result::is_ok);
    assert!((90_000..100_000).contains(&given.len()), "{} sentences come before", given.len());
    assert!(matches!(&error[..], [Err(SourceError::Changed { line: 1, .. })]), "{error:?}");
}

#[test]
fn options_and_headings_give_way_to_sentences() {
    let place = TempDir::new().unwrap();
    let text = "OWL(1)\n\nNAME\n\towl - count owls at night\n\nSYNOPSIS\n\towl [OPTION...] [NIGHT...] -c COUNTER...\n\n\
                DESCRIPTION\n\tThis command counts the owls of each night. It reads their calls from a file.\n\n\
                OPTIONS\n\t-c COUNTER\n\t\tCounts with this counter instead.\n";
    let memory = MemoryPool::builder().build_bounded(64 << 20);
    let pipeline = Pipeline::new(encoder(), NonZeroUsize::MIN, &memory).unwrap();
    let extract = Extract { length: Length::Sentences(2) };
    let extracted = extract.run(&pipeline, paragraphs(&place, text), &Cancel::new(), &mut |_| {}).unwrap();
    let texts: Vec<&str> = extracted.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
    assert_eq!(texts[0], "This command counts the owls of each night.");
    assert!(texts[1].ends_with("a file.") || texts[1].ends_with("instead."), "{texts:?}");
}

#[test]
fn a_summary_has_sentences_of_the_text_in_its_order() {
    let place = TempDir::new().unwrap();
    let text = "OWLS\n\nOwls are birds\nof the night. They hunt mice in the dark and in silence.\n\n\
                | a | table |\n\nMost owls hunt alone at night. This has nothing to do with it at all.";
    let memory = MemoryPool::builder().build_bounded(64 << 20);
    let pipeline = Pipeline::new(encoder(), NonZeroUsize::MIN, &memory).unwrap();
    let cancel = Cancel::new();
    let extract = Extract { length: Length::Sentences(2) };
    let extracted = extract.run(&pipeline, paragraphs(&place, text), &cancel, &mut |_| {}).unwrap();
    assert_eq!(extracted.of, 6);
    let texts: Vec<&str> = extracted.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
    assert_eq!(texts[0], "Owls are birds of the night.", "{texts:?}");
    assert_eq!(texts.len(), 2);
    let first = &extracted.sentences[0];
    assert_eq!((first.place.line, first.place.offset, first.end), (3, 6, 34));
    let extract = Extract { length: Length::Words(3) };
    let short = extract.run(&pipeline, paragraphs(&place, text), &cancel, &mut |_| {}).unwrap();
    assert!(
        short.sentences.iter().all(|sentence| sentence.text == "OWLS" || sentence.text == "| a | table |")
    );
    assert_eq!(short.shortest, Some(1));
}
