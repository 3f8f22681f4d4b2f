//! Weakens each memory ordering of the core in turn and requires that a loom model notices.
//!
//! An ordering that can be weakened without any model failing is either too strong or not modelled; both are to be
//! mended. Works on a copy of the crate, so that an interrupted run leaves nothing behind.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::verify::{LOOM, LOOM_TESTS};

/// Not under the models: the kernel's side of the fence, what stands for it in models, and the models themselves.
const NOT_MODELLED: [&str; 3] = ["membarrier.rs", "gates.rs", "models.rs"];

/// One ordering made weaker.
struct Mutant {
    file: PathBuf,
    line: usize,
    text: String,
    weakened: String,
    source: String,
}

pub fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let only = arguments.first().map_or("", String::as_str);
    let copy = crate::root().join("target/orderings");
    let crate_copy = copy.join("leasehold");
    copy_crate(&crate::root().join("crates/leasehold"), &crate_copy)?;
    if !models_pass(&copy)? {
        return Err("the models fail as they are; mend that first".into());
    }
    let mutants = mutants(&crate_copy.join("src"))?;
    println!("{} orderings", mutants.len());
    let mut survivors = 0;
    for (number, mutant) in mutants.iter().enumerate() {
        let place = format!("{}:{}", mutant.file.display(), mutant.line);
        if !place.contains(only) {
            continue;
        }
        let original = fs::read_to_string(&mutant.file)?;
        fs::write(&mutant.file, &mutant.source)?;
        let survived = models_pass(&copy);
        fs::write(&mutant.file, original)?;
        let survived = survived?;
        survivors += usize::from(survived);
        let verdict = if survived { "SURVIVED" } else { "killed" };
        let file = mutant.file.file_name().unwrap_or_default().to_string_lossy();
        println!(
            "{number:3} {verdict:8} {file}:{} {} -> {}",
            mutant.line,
            mutant.text.trim(),
            mutant.weakened
        );
    }
    match survivors {
        0 => Ok(()),
        survivors => Err(format!("{survivors} orderings can be weakened without any model noticing").into()),
    }
}

/// The crate in a workspace of its own, with the lints and package data that it inherits.
fn copy_crate(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let source = to.join("src");
    if source.exists() {
        // Files may have moved since an earlier run.
        fs::remove_dir_all(&source)?;
    }
    copy_tree(&from.join("src"), &source)?;
    fs::copy(from.join("Cargo.toml"), to.join("Cargo.toml"))?;
    fs::copy(from.join("README.md"), to.join("README.md"))?;
    let root = to.parent().ok_or("the copy has a parent")?;
    let manifest = fs::read_to_string(crate::root().join("Cargo.toml"))?;
    let members = manifest.lines().map(|line| match line.split_once(" = ") {
        Some(("members", _)) => "members = [\"leasehold\"]",
        Some(("default-members" | "exclude" | "leasehold" | "leasehold-pipeline", _)) => "",
        _ => line,
    });
    fs::write(root.join("Cargo.toml"), members.collect::<Vec<_>>().join("\n"))?;
    fs::copy(crate::root().join("Cargo.lock"), root.join("Cargo.lock"))?;
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn mutants(source: &Path) -> Result<Vec<Mutant>, Box<dyn Error>> {
    let mut files = vec![source.join("sync.rs")];
    let mut folders = vec![source.join("raw")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !NOT_MODELLED.iter().any(|name| path.ends_with(name)) {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut mutants = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (index, line) in text.lines().enumerate() {
            for weakened in weakenings(line) {
                let lines = text.lines().enumerate();
                let changed = lines.map(|(at, line)| if at == index { weakened.as_str() } else { line });
                mutants.push(Mutant {
                    file: file.clone(),
                    line: index + 1,
                    text: line.to_owned(),
                    source: changed.collect::<Vec<_>>().join("\n"),
                    weakened: weakened.trim().to_owned(),
                });
            }
        }
    }
    Ok(mutants)
}

/// Every way to weaken one ordering of a line.
fn weakenings(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    if code.contains("compiler_fence") {
        return Vec::new();
    }
    if code.contains("fence(Ordering::SeqCst)") {
        return vec![line.replace("SeqCst", "AcqRel")];
    }
    if code.contains("fence(Ordering::") {
        // There is no relaxed fence.
        return vec![String::new()];
    }
    let mut weakened = Vec::new();
    for (strong, weaker) in
        [("AcqRel", ["Acquire", "Release"].as_slice()), ("Acquire", &["Relaxed"]), ("Release", &["Relaxed"])]
    {
        let strong = format!("Ordering::{strong}");
        for (at, _) in code.match_indices(&strong) {
            for weaker in weaker {
                weakened.push(format!("{}Ordering::{weaker}{}", &line[..at], &line[at + strong.len()..]));
            }
        }
    }
    weakened
}

fn models_pass(workspace: &Path) -> Result<bool, Box<dyn Error>> {
    for mode in &LOOM {
        let run = |arguments: &[&str]| -> Result<bool, Box<dyn Error>> {
            let mut models = Command::new("cargo");
            models.args(LOOM_TESTS.split_whitespace()).args(arguments).current_dir(workspace);
            models
                .env("CARGO_TARGET_DIR", workspace.join("loom"))
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            Ok(mode.models(&mut models)?.status()?.success())
        };
        if !run(&["--no-run"])? {
            return Err("the weakened source does not build".into());
        }
        if !run(&[])? {
            return Ok(false);
        }
    }
    Ok(true)
}
