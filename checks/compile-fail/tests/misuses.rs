//! Runs the compiler on every misuse and on its twin.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

fn programs(folder: &str) -> BTreeSet<OsString> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let paths =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| path.file_name().map(OsString::from))
        .collect()
}

#[test]
fn every_misuse_has_a_twin() {
    assert_eq!(programs("fail"), programs("pass"));
}

#[test]
fn misuses_do_not_compile_and_their_twins_do() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/pass/*.rs");
    cases.compile_fail("tests/fail/*.rs");
}
