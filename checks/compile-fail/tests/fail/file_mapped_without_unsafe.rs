fn main() {
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let text = leasehold::FileMapping::open(&file).unwrap();
    drop(text);
}
