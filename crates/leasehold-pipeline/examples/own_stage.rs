//! Puts a stage of one's own before the embedding: one that drops what it has seen before.
//!
//! ```console
//! $ cargo run --release --example own_stage -- notes.txt more.txt
//! ```

use std::{collections::HashSet, env, error::Error, num::NonZeroUsize, path::Path};

use leasehold::MemoryPool;
use leasehold_pipeline::{
    Cache, Cancel, Document, Encoder, Format, Input, Pipeline, Precision, Source, Split,
    flow::{Emit, Flow, Stage, StageError},
};

/// Drops passages that differ from an earlier one by case, punctuation and spacing only, or have less than three words.
#[derive(Default)]
struct Fresh {
    seen: HashSet<String>,
}

impl Stage for Fresh {
    type Input = Document;
    type Output = Document;

    fn process(&mut self, document: Document, output: &mut Emit<'_, Document>) -> Result<(), StageError> {
        let text = document.text()?.to_lowercase();
        let words: Vec<_> =
            text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        if words.len() >= 3 && self.seen.insert(words.join(" ")) {
            output.send(document)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Cache::of_user()?.model(&mut |_| {})?;
    let inputs: Vec<_> = env::args_os().skip(1).map(|path| Input::File(path.into())).collect();
    embed(&model, inputs, &mut |text, vector| println!("{:?} .. {text}", &vector[..3]))
}

/// Embeds what is fresh of every line, in 256 MiB.
pub fn embed(
    model: &Path,
    inputs: Vec<Input>,
    each: &mut dyn FnMut(&str, &[f32]),
) -> Result<(), Box<dyn Error>> {
    let pool = MemoryPool::builder().build_bounded(256 << 20);
    let encoder = Encoder::open(model, Precision::F32, &pool)?;
    let pipeline = Pipeline::new(&encoder, NonZeroUsize::MIN, &pool)?;
    let inputs = inputs.into_iter().map(|input| (input, Format::Text(Split::Line))).collect();
    let source = Source::open(inputs, pipeline.source_pool())?;
    let documents = Flow::source("source", source).stage("fresh", Fresh::default());
    let mut run = pipeline.embed(documents)?.start(&Cancel::new())?;
    for embedded in &mut run {
        let embedded = embedded?;
        for (document, vector) in embedded.documents.iter().zip(embedded.vectors.chunks(encoder.width())) {
            each(document.text()?, vector);
        }
    }
    for stage in run.metrics() {
        eprintln!("{}: {} in, {} out, busy for {:?}", stage.name, stage.taken, stage.given, stage.busy);
    }
    Ok(())
}
