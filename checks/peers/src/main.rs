//! Cuts running text into passages of 5 to 250 tokens, one per line, the same ones every time: paragraphs as the text has
//! them, most of them short and some long, or passages whose lengths are evenly spread.
//!
//! Usage: `check-peers COUNT [even] < text > passages`

use std::{
    env,
    error::Error,
    io::{self, BufWriter, Read, Write},
};

use leasehold_pipeline::{Cache, Tokenizer};

const USAGE: &str = "usage: check-peers COUNT [even] < text > passages";
/// Tokens of a passage; two of them stand for its beginning and its end.
const LEAST: usize = 5;
const MOST: usize = 250;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let count: usize = arguments.first().ok_or(USAGE)?.parse()?;
    let directory = Cache::of_user()?.model(&mut |_| {})?;
    let tokenizer = Tokenizer::open(&directory.join("tokenizer.json"), 256)?;
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let passages = match arguments.get(1).map(String::as_str) {
        None => paragraphs(&text, &tokenizer, count)?,
        Some("even") => of_even_lengths(&text, &tokenizer, count)?,
        Some(_) => return Err(USAGE.into()),
    };
    let mut out = BufWriter::new(io::stdout());
    for passage in passages {
        writeln!(out, "{passage}")?;
    }
    Ok(out.flush()?)
}

/// Paragraphs from all over the text, in its order. Those that are too long end early, those that are too short are left out.
fn paragraphs(text: &str, tokenizer: &Tokenizer, count: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut all = Vec::new();
    for paragraph in text.split("\n\n") {
        let (passage, tokens) = take(&mut paragraph.split_whitespace(), tokenizer, MOST)?;
        if tokens >= LEAST {
            all.push(passage);
        }
    }
    if all.len() < count {
        return Err(format!("the text is enough for {} passages only", all.len()).into());
    }
    let step = all.len() / count;
    Ok(all.into_iter().step_by(step).take(count).collect())
}

fn of_even_lengths(text: &str, tokenizer: &Tokenizer, count: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lengths = Lengths { state: 1 };
    let mut words = text.split_whitespace();
    let mut passages = Vec::new();
    while passages.len() < count {
        let wanted = lengths.next();
        let (passage, tokens) = take(&mut words, tokenizer, wanted)?;
        if tokens < wanted {
            return Err(format!("the text is enough for {} passages only", passages.len()).into());
        }
        passages.push(passage);
    }
    Ok(passages)
}

/// Words until there are so many tokens, as long as there are words; and how many tokens there are.
fn take<'a>(
    words: &mut impl Iterator<Item = &'a str>,
    tokenizer: &Tokenizer,
    wanted: usize,
) -> Result<(String, usize), Box<dyn Error>> {
    let mut tokens = 2;
    let mut passage: Vec<&str> = Vec::new();
    while tokens < wanted {
        let Some(word) = words.next() else { break };
        let length = tokenizer.encode(word)?.ids().len() - 2;
        // Rules of dashes and the like are no words.
        if length <= 20 && tokens + length <= MOST {
            tokens += length;
            passage.push(word);
        }
    }
    Ok((passage.join(" "), tokens))
}

/// Lengths from 5 to 244, evenly spread, in no order.
struct Lengths {
    state: u64,
}

impl Lengths {
    fn next(&mut self) -> usize {
        // Knuth's multiplier; the high bits are the good ones.
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LEAST + (self.state >> 33) as usize % 240
    }
}
