//! Which tests depend on how threads meet, or on which addresses are given out again, and hence on the seed that miri makes
//! both from. Read from their source, so that none is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

/// In a function that starts threads.
const THREADS: [&str; 3] = ["thread::spawn", "thread::scope", ".spawn("];
/// In a test that compares addresses.
const ADDRESSES: [&str; 1] = [".addr()"];
/// Has helpers that run whole tests in threads, where nobody meets anybody.
const SHARED: &str = "support.rs";

/// The names of such tests, or what their names contain, by the module that they are in.
pub(crate) fn by_module(folder: &Path) -> Result<BTreeMap<String, BTreeSet<String>>, Box<dyn Error>> {
    let mut modules = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = by_module(&path)?.into_values().flatten().collect::<BTreeSet<_>>();
            if !inner.is_empty() {
                modules.insert(name, inner);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with(SHARED) {
            let tests = of_source(&fs::read_to_string(&path)?);
            if !tests.is_empty() {
                modules.insert(name, tests);
            }
        }
    }
    Ok(modules)
}

struct Function<'a> {
    name: &'a str,
    is_test: bool,
    body: Vec<&'a str>,
}

fn of_source(source: &str) -> BTreeSet<String> {
    let (functions, outside) = divide(source);
    let mentions =
        |body: &[&str], what: &[&str]| body.iter().any(|line| what.iter().any(|what| line.contains(what)));
    let starts_threads = |function: &&Function<'_>| mentions(&function.body, &THREADS);
    let helpers: Vec<String> = functions
        .iter()
        .filter(|function| !function.is_test)
        .filter(starts_threads)
        .map(|function| format!("{}(", function.name))
        .collect();
    let helpers: Vec<&str> = helpers.iter().map(String::as_str).collect();
    let depends = |function: &&Function<'_>| {
        starts_threads(function)
            || function.is_test
                && (mentions(&function.body, &helpers) || mentions(&function.body, &ADDRESSES))
    };
    let names = functions.iter().filter(depends).map(|function| function.name);
    // Macros make tests of helpers and of closures, which give them their names.
    names.chain(threaded_closures(&outside)).map(str::to_owned).collect()
}

/// The functions of a source that is formatted as usual, and the lines that are in none.
fn divide(source: &str) -> (Vec<Function<'_>>, Vec<&str>) {
    let (mut functions, mut outside) = (Vec::new(), Vec::new());
    let mut lines = source.lines();
    let mut is_test = false;
    while let Some(line) = lines.next() {
        is_test |= line.trim() == "#[test]";
        let Some(name) = function_name(line) else {
            outside.push(line);
            continue;
        };
        let indentation = line.len() - line.trim_start().len();
        let is_end = |line: &str| line.trim_end() == format!("{:indentation$}}}", "");
        let mut body = vec![line];
        while !body.last().is_some_and(|last| is_end(last) || body.len() == 1 && last.ends_with('}')) {
            let Some(line) = lines.next() else { break };
            body.push(line);
        }
        functions.push(Function { name, is_test, body });
        is_test = false;
    }
    (functions, outside)
}

fn function_name(line: &str) -> Option<&str> {
    let declaration = line.trim_start().trim_start_matches("pub ").trim_start_matches("unsafe ");
    declaration.strip_prefix("fn ")?.split(['(', '<']).next().filter(|name| !name.starts_with('$'))
}

/// `name: |arguments| body` with a thread in its body.
fn threaded_closures<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let mut names = Vec::new();
    let mut name = None;
    for line in lines {
        if let Some((before, _)) = line.split_once(": |") {
            name = Some(before.trim());
        }
        if THREADS.iter().any(|thread| line.contains(thread)) {
            names.extend(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
use std::thread;

fn race() {
    thread::spawn(|| ());
}

#[test]
fn alone() {
    assert!(true);
}

mod inner {
    #[test]
    fn at_once() {
        thread::scope(|scope| {
            scope.spawn(|| ());
        });
    }

    #[test]
    fn by_a_helper() {
        race();
    }
}

#[test]
fn the_address_is_the_same() {
    assert_eq!(a.addr(), b.addr());
}

make_tests! {
    here: |x| x;
    elsewhere: |x| {
        thread::spawn(move || x).join();
    };
}
";

    #[test]
    fn tests_with_threads_are_found_however_they_come_by_them() {
        let found: Vec<String> = of_source(SOURCE).into_iter().collect();
        assert_eq!(found, ["at_once", "by_a_helper", "elsewhere", "race", "the_address_is_the_same"]);
    }

    #[test]
    fn no_file_of_the_core_with_threads_is_without_such_tests() {
        let folder = crate::root().join("crates/leasehold/tests/it");
        let modules = by_module(&folder).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() || path.ends_with(SHARED) {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let module = path.file_stem().unwrap().to_string_lossy().into_owned();
            let threads: usize = THREADS[..2].iter().map(|thread| source.matches(thread).count()).sum();
            assert!(threads == 0 || modules.contains_key(&module), "{module}");
        }
    }
}
