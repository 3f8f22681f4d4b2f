fn main() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    // SAFETY: nobody edits the manifest while the tests run.
    let text = unsafe { leasehold::FileMapping::open(&file) }.unwrap();
    drop(text);
}
