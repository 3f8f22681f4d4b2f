//! Summaries through the program.

use std::fs;

use crate::support::Place;

const TEXT: &str = "# Owls\n\nOwls are birds of prey\nthat hunt at night. They eat mice, voles and insects.\n\n\
    ```\nlet owl = Owl::new();\n```\n\nMost owls live alone. An owl turns its head by 270 degrees.\n\n\
    The stock market has nothing to do with owls. Owls lay their eggs in hollow trees.\n";

#[test]
fn sentences_come_in_the_order_of_the_text_on_one_line_each() {
    let place = Place::new();
    place.file("a.md", TEXT);
    let run = place.run(&["summarize", "a.md", "-n", "3"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let whole = TEXT.replace('\n', " ");
    let places: Vec<usize> = run.out.lines().map(|line| whole.find(line).unwrap()).collect();
    assert_eq!(places.len(), 3);
    assert!(places.is_sorted());
    assert!(run.out.starts_with("Owls are birds of prey that hunt at night.\n"), "{}", run.out);
    let stream = place.run_with_input(&["summarize", "-", "-n", "3"], TEXT.as_bytes());
    assert_eq!(stream.out, run.out);
}

#[test]
fn json_has_the_bytes_that_a_sentence_stands_at() {
    let place = Place::new();
    let path = place.file("a.md", TEXT.replace("Owls are", "Owls\u{e9} are"));
    let bytes = fs::read(path).unwrap();
    let sentences = place.run(&["summarize", "a.md", "--words", "40", "--json"]).records();
    assert!(!sentences.is_empty());
    let mut words = 0;
    for sentence in sentences {
        let (start, end) = (sentence["start"].as_u64().unwrap(), sentence["end"].as_u64().unwrap());
        let slice = std::str::from_utf8(&bytes[start as usize..end as usize]).unwrap();
        assert_eq!(slice.split_whitespace().collect::<Vec<_>>().join(" "), sentence["sentence"]);
        let before = &bytes[..start as usize];
        assert_eq!(
            sentence["line"].as_u64().unwrap(),
            1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
        );
        assert_eq!(sentence["path"], "a.md");
        words += slice.split_whitespace().count();
    }
    assert!(words <= 40);
}

#[test]
fn words_that_a_line_end_has_cut_are_whole_and_their_places_are_those_of_the_input() {
    let place = Place::new();
    let text = "OWL(1)\n\nNAME\n       owl - count owls\n\nDESCRIPTION\n       Owl counts the owls that are in rela\u{2010}\n       \
                tionships with well-\n       known mice.\n";
    place.file("owl.1.txt", text);
    let run = place.run(&["summarize", "owl.1.txt", "-n", "1"]);
    assert_eq!(run.out, "Owl counts the owls that are in relationships with well-known mice.\n");
    let sentence = &place.run(&["summarize", "owl.1.txt", "-n", "1", "--json"]).records()[0];
    let (start, end) = (sentence["start"].as_u64().unwrap(), sentence["end"].as_u64().unwrap());
    assert_eq!(&text[start as usize..end as usize], text[text.find("Owl counts").unwrap()..].trim_end());
}

#[test]
fn a_text_without_sentences_has_an_empty_summary() {
    let place = Place::new();
    place.file("a.txt", "\n---\n \n");
    let run = place.run(&["summarize", "a.txt"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
}

#[test]
fn what_cannot_be_summarized_says_what_to_do() {
    let place = Place::new();
    place.file("a.txt", "There is one sentence of seven words here.\n");
    let run = place.run(&["summarize", "a.txt", "--words", "3"]);
    run.fails(1, "no sentence has 3 words or fewer; the shortest has 8, so ask for more with --words");
    place.run(&["summarize", "missing.txt"]).fails(1, "cannot open missing.txt");
    place.run(&["summarize", "a.txt", "--words", "3", "-n", "1"]).fails(2, "cannot be used with");
    place.run(&["summarize", "a.txt", "-n", "0"]).fails(2, "--sentences");
    place.run(&["summarize"]).fails(2, "FILE");
}
