// A handle to elements of one type takes elements of that type: what is written through it is read through
// others, which mean the same.

use leasehold::{Memory, MemoryOwner};

type Any = for<'a> fn(&'a u8);

fn nothing(_: &u8) {}

fn main() {
    let (lessor, memory) = MemoryOwner::from(vec![nothing as Any]).lease();
    let mut memory: Memory<Any> = memory;
    memory.span_mut().unwrap()[0] = nothing;
    drop(memory);
    let owner = lessor.try_reclaim().unwrap();
    owner[0](&5);
}
