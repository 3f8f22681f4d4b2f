use std::sync::Arc;

fn main() {
    let owner = leasehold::MemoryOwner::from(vec![Arc::new(1)]);
    drop(owner.lease());
}
