fn main() {
    let text = String::from("to be");
    let owner = leasehold::MemoryOwner::from(vec![text[..2].to_owned()]);
    let (_lessor, memory) = owner.lease_read_only();
    drop(text);
    drop(memory);
}
