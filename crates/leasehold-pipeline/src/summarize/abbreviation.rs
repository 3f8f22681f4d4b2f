//! Full stops that end no sentence.
//!
//! Unicode's rules see that "e.g. this" goes on, because what follows is in lower case. That "Dr. Reed" goes on they
//! cannot know.

/// Abbreviations that a name or anything else follows.
const BEFORE_ANYTHING: [&str; 42] = [
    "adm", "al", "approx", "assoc", "brig", "ca", "capt", "cf", "cmdr", "col", "comdr", "cpl", "dr", "e.g",
    "esp", "gen", "gov", "hon", "i.e", "ing", "lt", "maj", "messrs", "mlle", "mme", "mr", "mrs", "ms", "mt",
    "pres", "prof", "rep", "resp", "rev", "rt", "sen", "sgt", "st", "supt", "ven", "viz", "vs",
];

/// Abbreviations that a number follows; "No." is a sentence elsewhere.
const BEFORE_NUMBERS: [&str; 24] = [
    "app", "art", "ch", "chap", "cl", "eq", "eqs", "fig", "figs", "fn", "lit", "no", "nos", "nr", "op", "p",
    "par", "pp", "ref", "refs", "sec", "sect", "vol", "vols",
];

/// Abbreviations behind which a sentence may end or go on with a name.
const BEFORE_NAMES: [&str; 16] = [
    "bros", "co", "corp", "dept", "est", "etc", "inc", "jan", "jr", "ltd", "nov", "dec", "sept", "sr",
    "univ", "oct",
];

/// Words that begin a sentence far more often than they are part of a name.
const BEGINNERS: [&str; 46] = [
    "a", "after", "all", "also", "although", "an", "and", "another", "as", "at", "because", "but", "by",
    "each", "for", "from", "he", "her", "his", "how", "however", "i", "if", "in", "it", "its", "many", "no",
    "not", "on", "one", "or", "she", "since", "so", "some", "such", "that", "the", "their", "then", "there",
    "these", "they", "this", "we",
];

/// Whether `next` goes on with the sentence that `before`, with the space behind it, seems to end.
pub(super) fn goes_on(before: &str, next: &str) -> bool {
    // As in .NET; scripts without spaces have full stops of their own.
    if before.ends_with(['.', '!', '?']) && !next.starts_with(char::is_whitespace) {
        return true;
    }
    let before = before.trim_end();
    let next = next.trim_start_matches(opens);
    let Some(first) = next.chars().next() else { return true };
    // As in “Go!” she said.
    if first.is_lowercase() {
        return true;
    }
    let Some(before) = before.strip_suffix('.') else { return false };
    let word = before.rsplit(opens).next().unwrap_or(before);
    let lower = word.to_lowercase();
    let is_one_of = |words: &[&str]| words.contains(&lower.as_str());
    if is_one_of(&BEFORE_ANYTHING) {
        return true;
    }
    if is_one_of(&BEFORE_NUMBERS) {
        return first.is_numeric() || is_roman(first_word(next));
    }
    (is_one_of(&BEFORE_NAMES) || is_initials(word)) && !is_beginner(next)
}

/// What may stand before a word.
fn opens(character: char) -> bool {
    character.is_whitespace() || "([{\"'“‘".contains(character)
}

/// A letter by itself, or letters with full stops between them: "J", "U.S".
fn is_initials(word: &str) -> bool {
    // Alone it is the pronoun.
    word != "I"
        && word.split('.').all(|part| {
            let mut letters = part.chars();
            letters.next().is_some_and(char::is_uppercase) && letters.next().is_none()
        })
}

fn is_beginner(text: &str) -> bool {
    BEGINNERS.contains(&first_word(text).to_lowercase().as_str())
}

fn is_roman(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| "IVXLC".contains(letter)) && word != "I"
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_and_initials_are_followed_by_names() {
        for (before, next) in [
            ("by Dr.", "Reed"),
            ("(see Fig.", "3)"),
            ("J.", "R. Tolkien"),
            ("in the U.S.", "Senate"),
            ("Vol.", "XII of it"),
            ("e.g.", "Barn owls"),
            ("Smith et al.", "Counted them"),
            ("of Acme Inc.", "Chicago"),
            ("“Go!”", "she said"),
        ] {
            assert!(goes_on(&format!("{before} "), next), "{before} {next}");
        }
    }

    #[test]
    fn a_full_stop_without_space_behind_it_ends_nothing() {
        assert!(goes_on("what it is to .", "NET"));
        assert!(!goes_on("what it is to us.", " Next"));
        assert!(!goes_on("彼は来た。", "私は行く。"));
    }

    #[test]
    fn what_may_end_a_sentence_does() {
        for (before, next) in [
            ("in the U.S.", "The owls"),
            ("No.", "It was not"),
            ("so did I.", "Owls"),
            ("by Acme Inc.", "They sold"),
            ("the end.", "Begin"),
            ("at the end!", "Reed"),
            ("on the table.", "Vol. 3"),
        ] {
            assert!(!goes_on(&format!("{before} "), next), "{before} {next}");
        }
    }
}
