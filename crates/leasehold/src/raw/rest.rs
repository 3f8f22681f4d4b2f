//! The writable rest of a block whose beginning others read already.

use super::owned::{Owned, Shared};
use super::window::Window;

/// The one writer of a block that has shares: it alone has the elements from some place on (R6).
pub struct Rest<T> {
    /// A share of the whole block, which keeps it. Never read through: its window reaches into the elements of the rest.
    whole: Shared<T>,
    /// Where the rest begins, counted from the start of the block. Shares lie before it.
    start: usize,
}

impl<T: Send + 'static> Rest<T> {
    /// All of a buffer. Costs one plain store.
    pub(crate) fn new(owned: Owned<T>) -> Rest<T> {
        Rest { whole: owned.into_shared(), start: 0 }
    }

    /// Cuts the first `len` elements off, to be read and not written any more. Costs one atomic addition.
    pub(crate) fn split_to(&mut self, len: usize) -> Shared<T> {
        let mut share = self.whole.clone();
        share.window = self.cut(len);
        share
    }

    /// As [`split_to`](Self::split_to), joined to a share that ends where the rest begins. Costs nothing.
    ///
    /// Does nothing and returns false when it does not end there.
    pub(crate) fn append_to(&mut self, share: &mut Shared<T>, len: usize) -> bool {
        let follows = share.is_followed_by(self.whole.block, self.window());
        if follows {
            let cut = self.cut(len);
            // SAFETY: both are parts of the block's memory, and the second begins where the first ends.
            share.window = unsafe { share.window.joined(cut) };
        }
        follows
    }

    /// Gives the first `len` elements to be read, and gives the others up.
    pub(crate) fn into_shared(mut self, len: usize) -> Shared<T> {
        self.whole.window = self.cut(len);
        self.whole
    }

    /// Takes back what was cut off, if all shares of it are gone. Says whether the rest is the whole block now.
    pub(crate) fn reclaim(&mut self) -> bool {
        // Nobody can make another share: ours is the only one, and mutably borrowed.
        let unique = self.whole.is_unique();
        if unique {
            self.start = 0;
        }
        unique
    }

    /// Moves the beginning behind `len` elements.
    fn cut(&mut self, len: usize) -> Window<T> {
        let cut = self.window().narrow(..len).expect("who cuts has looked how many elements there are");
        self.start += len;
        cut
    }

    /// Where all of the block's elements are, those that were cut off included.
    pub(crate) fn whole_len(&self) -> usize {
        self.whole.window.len()
    }
}

impl<T> Rest<T> {
    pub(crate) fn len(&self) -> usize {
        self.whole.window.len() - self.start
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: our share keeps the block, and only we write these elements (R6), which takes a mutable borrow.
        unsafe { self.window().as_slice() }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: our share keeps the block, which was an owner's, hence writable; nobody else has these elements (R6).
        unsafe { self.window().as_mut_slice() }
    }

    fn window(&self) -> Window<T> {
        self.whole.window.narrow(self.start..).expect("the rest begins within the block")
    }
}
