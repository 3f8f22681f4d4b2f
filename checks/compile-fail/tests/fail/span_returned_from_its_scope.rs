use leasehold::{MemoryOwner, Span};

fn span<'a>() -> Span<'a, i32> {
    let (_lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    memory.span().unwrap()
}

fn main() {
    assert_eq!(span()[0], 1);
}
