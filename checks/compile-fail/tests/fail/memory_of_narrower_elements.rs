//! A handle to elements of one type is no handle to elements of a narrower one: what is written through it is read through
//! others, which mean the wider type.

use leasehold::{Memory, MemoryOwner};

type Any = for<'a> fn(&'a u8);
type Static = fn(&'static u8);

fn nothing(_: &u8) {}
fn kept_for_ever(_: &'static u8) {}

fn main() {
    let (lessor, memory) = MemoryOwner::from(vec![nothing as Any]).lease();
    let mut memory: Memory<Static> = memory;
    memory.span_mut().unwrap()[0] = kept_for_ever;
    drop(memory);
    let owner = lessor.try_reclaim().unwrap();
    owner[0](&5);
}
