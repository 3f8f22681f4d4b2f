//! What can be done with buffers of a pool, or of an allocator: one at a time, many at a time, given back in another thread.

use std::hint::black_box;

use crate::channel::item_by_item;
use crate::ring::handover;
use crate::table::Sample;

/// Buffers that are out at the same time in [`at_once`].
pub const MANY: usize = 64;

/// Makes the compiler believe that a buffer at `ptr` is used.
#[inline(always)]
pub fn seen(ptr: *const u8) -> u64 {
    u64::from(!black_box(ptr).is_null())
}

/// Takes one out and puts it back.
pub fn at_a_time<T>(mut take: impl FnMut() -> T, ptr: impl Fn(&mut T) -> *const u8) -> impl FnMut() -> u64 {
    #[inline(always)]
    move || seen(ptr(&mut take()))
}

/// Takes 64 out, then puts them back in the order in which they came. Counts each.
pub fn at_once<T>(mut take: impl FnMut() -> T, ptr: impl Fn(&mut T) -> *const u8) -> impl FnMut() -> u64 {
    let mut out = Vec::with_capacity(MANY);
    move || {
        let mut counted = 0;
        for _ in 0..MANY {
            let mut taken = take();
            counted += seen(ptr(&mut taken));
            out.push(taken);
        }
        out.clear();
        counted
    }
}

/// Takes them in this thread and gives them back in another, in batches.
pub fn elsewhere<T: Send>(
    take: impl FnMut() -> T,
    ptr: impl Fn(&mut T) -> *const u8 + Send,
) -> Option<Sample> {
    handover(take, move |mut taken| seen(ptr(&mut taken)))
}

/// Takes them in this thread and gives them back in another, one by one.
pub fn through_a_channel<T: Send>(
    take: impl FnMut() -> T,
    ptr: impl Fn(&mut T) -> *const u8 + Send,
) -> Option<Sample> {
    item_by_item(take, move |mut taken| seen(ptr(&mut taken)))
}
