//! Memory that appears twice, back to back, so that what goes over its end goes on at its beginning.

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::slice;
use std::sync::atomic::{Ordering, compiler_fence};

use bytemuck::Pod;

use super::mapping::Mapping;
use super::memfd;
use super::system::page_size;

/// A ring of elements, of which any stretch up to its length is one slice, wherever it begins.
///
/// ```text
/// addresses   | 0 1 2 3 4 5 | 0 1 2 3 4 5 |      the same pages of one file, mapped twice
///                       [ a window ]
/// ```
pub(crate) struct Mirror<T> {
    /// Both images.
    mapping: Mapping,
    /// Elements in one of them.
    len: usize,
    _elements: PhantomData<T>,
}

impl<T: Pod> Mirror<T> {
    /// A ring of at least `len` elements, all zero.
    ///
    /// # Errors
    /// What the operating system says; `Unsupported` for elements that do not fill whole pages in any reasonable number.
    pub(crate) fn new(len: usize) -> io::Result<Mirror<T>> {
        // Elements go over the end of the image, and must go on where they were cut.
        let unit = common_multiple(page_size(), size_of::<T>()).ok_or(io::ErrorKind::Unsupported)?;
        let fits = align_of::<T>() <= page_size() && unit <= LARGEST_UNIT;
        let bytes = len.max(1).checked_mul(size_of::<T>()).filter(|_| fits);
        let size = bytes.ok_or(io::ErrorKind::Unsupported)?.checked_next_multiple_of(unit);
        let size = size.filter(|size| *size <= isize::MAX as usize / 2).ok_or(io::ErrorKind::OutOfMemory)?;
        let file = memfd::create(size)?;
        let mapping = Mapping::mirrored(file.as_fd(), size)?;
        // A child that the process forks would write into the same pages.
        mapping.keep_from_children()?;
        Ok(Mirror { mapping, len: size / size_of::<T>(), _elements: PhantomData })
    }

    /// Elements in the ring.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `len` elements from `start` on.
    pub(crate) fn slice(&self, start: usize, len: usize) -> &[T] {
        let first = self.at(start, len);
        // SAFETY: `at` has seen that they lie in the mapping, which is as long as two rings, aligned, and stays while it is
        // borrowed; any bits are a `T`; nobody writes while the ring is borrowed, through either image.
        unsafe { slice::from_raw_parts(first, len) }
    }

    /// `len` elements from `start` on, to be written.
    pub(crate) fn slice_mut(&mut self, start: usize, len: usize) -> &mut [T] {
        let first = self.at(start, len);
        // SAFETY: as above; the ring is mutably borrowed, and no more than one length of it is in the slice, so no element
        // is in it twice.
        unsafe { slice::from_raw_parts_mut(first, len) }
    }

    fn at(&self, start: usize, len: usize) -> *mut T {
        assert!(start < self.len && len <= self.len, "{len} elements from {start} of a ring of {}", self.len);
        // What was written through one image is read through the other. The compiler, which takes them for different
        // memory, must not keep a value from before in a register, or put a store off, over the change of the slice.
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the element lies in the first image.
        unsafe { self.mapping.start().cast::<T>().add(start) }.as_ptr()
    }
}

/// Bytes in the largest unit of a ring: an element of which more are needed to fill whole pages is an odd one.
const LARGEST_UNIT: usize = 16 << 20;

/// The smallest multiple of both; none of zero.
fn common_multiple(a: usize, b: usize) -> Option<usize> {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b).filter(|multiple| *multiple > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_over_the_end_is_at_the_beginning() {
        let mut ring = Mirror::<u32>::new(1000).unwrap();
        let len = ring.len();
        assert!(len >= 1000 && (len * 4).is_multiple_of(page_size()));
        ring.slice_mut(len - 2, 4).copy_from_slice(&[1, 2, 3, 4]);
        assert_eq!(ring.slice(0, 3), [3, 4, 0]);
        assert_eq!(ring.slice(len - 2, 4), [1, 2, 3, 4]);
        ring.slice_mut(0, 1)[0] = 9;
        assert_eq!(ring.slice(len - 1, 2), [2, 9]);
        assert_eq!(ring.slice(len - 1, len).len(), len);
    }

    #[test]
    fn elements_of_any_size_are_cut_at_the_border_and_go_on() {
        type Odd = [u8; 12];
        let mut ring = Mirror::<Odd>::new(1).unwrap();
        let len = ring.len();
        assert_eq!(len * 12 % page_size(), 0);
        for at in 0..len {
            ring.slice_mut(at, 1)[0] = [at as u8; 12];
        }
        assert_eq!(ring.slice(len - 1, 2), [[(len - 1) as u8; 12], [0; 12]]);
    }

    #[test]
    fn elements_that_make_no_ring_are_refused() {
        assert!(Mirror::<()>::new(10).is_err());
        type Unwieldy = [[[u8; 17]; 17]; 17];
        assert!(Mirror::<Unwieldy>::new(1).is_err());
        assert!(Mirror::<u64>::new(usize::MAX).is_err());
    }
}
