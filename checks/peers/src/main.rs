//! Cuts running text into passages of 5 to 250 tokens, one per line, the same ones every time.
//!
//! Usage: `check-peers COUNT < text > passages`

use std::{
    env,
    error::Error,
    io::{self, BufWriter, Read, Write},
};

use leasehold_pipeline::{Cache, Tokenizer};

fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = env::args().nth(1).ok_or("usage: check-peers COUNT < text > passages")?.parse()?;
    let directory = Cache::of_user()?.model(&mut |_| {})?;
    let tokenizer = Tokenizer::open(&directory.join("tokenizer.json"), 256)?;
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let mut out = BufWriter::new(io::stdout());
    let mut lengths = Lengths { state: 1 };
    let mut words = text.split_whitespace();
    for made in 0..count {
        let (wanted, mut tokens) = (lengths.next(), 2);
        let mut passage: Vec<&str> = Vec::new();
        while tokens < wanted {
            let word = words.next().ok_or_else(|| format!("the text is enough for {made} passages only"))?;
            let length = tokenizer.encode(word)?.ids().len() - 2;
            // Rules of dashes and the like are no words.
            if length <= 20 && tokens + length <= 250 {
                tokens += length;
                passage.push(word);
            }
        }
        writeln!(out, "{}", passage.join(" "))?;
    }
    Ok(out.flush()?)
}

/// Lengths from 5 to 250, evenly spread, in no order.
struct Lengths {
    state: u64,
}

impl Lengths {
    fn next(&mut self) -> usize {
        // Knuth's multiplier; the high bits are the good ones.
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        5 + (self.state >> 33) as usize % 240
    }
}
