use std::rc::Rc;

fn main() {
    let owner = leasehold::MemoryOwner::from(vec![Rc::new(1)]);
    drop(owner.lease());
}
