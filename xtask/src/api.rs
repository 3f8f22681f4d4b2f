//! What users of the libraries see, compared with checked-in lists, and with an earlier revision.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::assembly::output;
use crate::verify::{self, Outcome, succeed};
use crate::{LIBRARIES, root};

/// Of rustdoc's JSON, which the version of public-api in `checks/api` reads.
const FORMAT: &str = "57";

/// `cargo xtask api [--bless] [--if-available]`
pub fn run(arguments: &[String]) -> Outcome {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if !cfg!(target_os = "linux") {
        println!("skipped: the lists are of what Linux has");
        return Ok(());
    }
    let mut faults = String::new();
    for library in LIBRARIES {
        let json = document(library)?;
        if let Some(reason) = unreadable(&json) {
            println!("NOT RUN: {reason}");
            return if has("--if-available") { Ok(()) } else { Err(reason.into()) };
        }
        let now = items(&json)?;
        let file = root().join(format!("checks/api/{library}.txt"));
        if has("--bless") {
            fs::write(&file, &now)?;
            println!("{library}: {} public items", now.lines().count());
            continue;
        }
        let then = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let difference = difference(&then, &now);
        let said = if difference.is_empty() { "as before" } else { "changed" };
        println!("{library}: {} public items, {said}", now.lines().count());
        faults.push_str(&difference);
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("the public items have changed:\n{faults}If this is meant, run cargo xtask api --bless")
        .into())
}

/// `cargo xtask semver REVISION`
pub fn semver(arguments: &[String]) -> Outcome {
    let [revision] = arguments else { return Err("which revision? cargo xtask semver REVISION".into()) };
    let is_there = Command::new("cargo-semver-checks").arg("--version").output();
    if is_there.is_err() {
        return Err("cargo-semver-checks is missing; cargo install --locked cargo-semver-checks".into());
    }
    let mut check = verify::cargo("semver", "semver-checks --all-features");
    check.args(["--baseline-rev", revision]);
    for library in LIBRARIES {
        check.args(["-p", library]);
    }
    succeed(&mut check)
}

/// What rustdoc has to say of a library with all features, in a file.
fn document(library: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut document = Command::new("cargo");
    document.args(["rustdoc", "--quiet", "--lib", "--all-features", "-p", library]).current_dir(root());
    document.args(["--", "-Zunstable-options", "--output-format", "json"]);
    document.env("RUSTDOC", root().join("checks/api/rustdoc.sh"));
    succeed(&mut document)?;
    Ok(root().join(format!("target/doc/{}.json", library.replace('-', "_"))))
}

/// Why the file cannot be read, if it cannot. Other formats may look alike and mean something else.
fn unreadable(json: &Path) -> Option<String> {
    let text = fs::read_to_string(json).unwrap_or_default();
    let (_, format) = text.rsplit_once("\"format_version\":")?;
    let format = format.trim_end_matches('}');
    (format != FORMAT).then(|| {
        format!(
            "rustdoc writes format {format}, and the lists are made from format {FORMAT}; \
             take the version of public-api that reads it in checks/api, and bless"
        )
    })
}

/// The public items, one a line.
fn items(json: &Path) -> Result<String, Box<dyn Error>> {
    let mut list = Command::new("cargo");
    list.args(["run", "--quiet", "-p", "check-api", "--"]).arg(json).current_dir(root());
    Ok(lasting(&output(&mut list)?))
}

/// Without the marks that are the compiler's own business.
fn lasting(items: &str) -> String {
    let is_internal =
        |item: &&str| ["marker::Freeze ", "marker::UnsafeUnpin "].iter().any(|mark| item.contains(mark));
    let wanted = items.lines().filter(|item| !is_internal(item));
    wanted.flat_map(|item| [item, "\n"]).collect()
}

/// The items that only one of the lists has.
fn difference(then: &str, now: &str) -> String {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (then.lines().collect(), now.lines().collect());
    let mut report = String::new();
    for (mark, items) in [('-', before.difference(&after)), ('+', after.difference(&before))] {
        for item in items {
            // Writing to a string does not fail.
            let _ = writeln!(report, "  {mark} {item}");
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_that_came_and_went_are_named() {
        assert_eq!(difference("a\nb\nc\n", "a\nc\nd\n"), "  - b\n  + d\n");
        assert_eq!(difference("a\nb\n", "b\na\n"), "");
    }

    #[test]
    fn marks_of_the_compiler_are_left_out() {
        let items =
            "impl<B> core::marker::Freeze for leasehold_io::Buffer<B>\nimpl<B> core::marker::Send for X\n";
        assert_eq!(lasting(items), "impl<B> core::marker::Send for X\n");
    }
}
