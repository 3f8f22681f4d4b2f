//! Size classes: whole cache lines, four classes per doubling.

/// Alignment of every pooled block, unless the pool asks for more: a cache line, and what the widest vector loads ask for.
pub(crate) const ALIGNMENT: usize = 64;
/// The largest class; rents beyond it fail. Models have only a few, and fewer where every step is dear.
pub(super) const LARGEST: usize = if cfg!(leasehold_loom) {
    128
} else if cfg!(miri) {
    1 << 24
} else {
    1 << (usize::BITS - 2)
};
pub(super) const CLASSES: usize = class_of(LARGEST) + 1;

/// The class whose blocks are the smallest that hold `bytes`, in whole cache lines: four classes per doubling, from 256
/// bytes up. On sizes that are spread evenly over a doubling, a block is larger than the rent by 7.7 % in the mean, and by
/// a quarter, or 63 bytes, at most.
///
/// Total, for the fast paths: what is too large, and zero, gives a number beyond every class.
#[inline(always)]
pub(super) const fn class_of(bytes: usize) -> usize {
    let last = bytes.wrapping_sub(1) | (ALIGNMENT - 1);
    // Bits below the three leading ones, of which the first is always set.
    let below = (usize::BITS - 3 - last.leading_zeros()) as usize;
    (last >> below).wrapping_add(4 * below).wrapping_sub(CLASS_OF_SMALLEST)
}

/// What the formula in `class_of` gives for 64 bytes before it is moved to zero.
const CLASS_OF_SMALLEST: usize = 7 + 4 * 3;

/// Bytes in a block of `class`.
pub(super) const fn bytes_of(class: usize) -> usize {
    // Of the last size of a class one less than its leading bits are set.
    let raw = class + CLASS_OF_SMALLEST - 4;
    (5 + raw % 4) << (raw / 4)
}

#[cfg(all(test, not(any(leasehold_loom, miri))))]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_the_smallest_that_fits() {
        let mut bytes = 1;
        while bytes < 1 << 40 {
            let class = class_of(bytes);
            assert!(bytes_of(class) >= bytes, "{bytes} bytes in class {class}");
            let lines = bytes.next_multiple_of(ALIGNMENT);
            assert!(class == 0 || bytes_of(class - 1) < lines, "{bytes} bytes in class {class}");
            bytes += 1 + bytes / 37;
        }
    }

    #[test]
    fn nothing_and_too_much_are_beyond_every_class() {
        assert!(class_of(0) >= CLASSES);
        assert!(class_of(LARGEST + 1) >= CLASSES);
        assert!(class_of(usize::MAX) >= CLASSES);
    }

    #[test]
    fn a_class_wastes_at_most_a_quarter() {
        for class in 1..CLASSES {
            assert!(bytes_of(class) / 5 <= bytes_of(class - 1) / 4);
        }
    }

    #[test]
    fn the_mean_waste_on_uniform_sizes_is_below_eight_percent() {
        let (mut asked, mut given) = (0, 0);
        for bytes in 4097..=65536 {
            asked += bytes;
            given += bytes_of(class_of(bytes));
        }
        assert!((given - asked) * 100 < 8 * given, "{given} given for {asked}");
    }
}
