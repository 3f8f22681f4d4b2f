//! A pointer that the compiler knows nothing about.

/// Hides from the compiler where a reference comes from, and that nothing was written since it was last read.
///
/// As `std::hint::black_box`, which sends the pointer through memory. This keeps it in its register, which matters where
/// the whole operation takes five cycles.
#[inline(always)]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub fn opaque<T>(reference: &T) -> &T {
    let mut pointer = std::ptr::from_ref(reference);
    // SAFETY: there are no instructions. The compiler has to assume that there are, and that they touch memory.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) pointer, options(nostack, preserves_flags)) };
    // SAFETY: the pointer is what it was, made from the reference.
    unsafe { &*pointer }
}

/// As `std::hint::black_box`.
#[inline(always)]
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn opaque<T>(reference: &T) -> &T {
    std::hint::black_box(reference)
}
