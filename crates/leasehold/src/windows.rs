//! Overlapping windows over a stream.

use std::error::Error;
use std::fmt;
use std::io;

use bytemuck::Pod;

#[cfg(all(target_os = "linux", not(miri)))]
use crate::backing::mirror::Mirror;
use crate::error::RentError;
use crate::owner::MemoryOwner;
use crate::pool::MemoryPool;

/// Windows of `size` elements over a stream, each `stride` elements behind the one before, none of them a copy.
///
/// ```text
/// stream    a b c d e f g h i ..         size 4, stride 3
/// windows   a b c d
///                 d e f g
///                       g h i ..
/// ```
/// The stream is written into a ring whose memory is mapped twice, back to back, so that a window, and the room for what
/// comes next, is one slice also where it goes over the end. That takes Linux and a file in memory. Elsewhere, and for
/// elements that do not fill whole pages, the ring is a rented buffer, and when its end is reached what the next
/// windows need is copied to its front; [`copied`](Self::copied) says how much that was.
///
/// A window is a borrow of the ring: the compiler sees to it that it is gone before more is written.
///
/// # Examples
/// ```
/// use leasehold::Windows;
///
/// let mut windows = Windows::<u32>::new(4, 3)?;
/// let (mut stream, mut sums) = (1..=10, Vec::new());
/// while !stream.is_empty() {
///     let room = windows.reserve();
///     let written = room.iter_mut().zip(stream.by_ref().take(5)).map(|(slot, token)| *slot = token).count();
///     windows.commit(written);
///     while let Some(window) = windows.next_window() {
///         sums.push(window.iter().sum::<u32>());
///     }
/// }
/// assert_eq!(sums, [1 + 2 + 3 + 4, 4 + 5 + 6 + 7, 7 + 8 + 9 + 10]);
/// assert_eq!(windows.remainder(), [10], "what no full window has begun with");
/// # Ok::<_, leasehold::WindowsError>(())
/// ```
pub struct Windows<T> {
    ring: Ring<T>,
    size: usize,
    stride: usize,
    /// Where the next window begins in the ring.
    start: usize,
    /// Elements from there on that were written.
    filled: usize,
    /// Elements that come before the next window and were not written yet: with strides that leave gaps.
    gap: usize,
    copied: u64,
}

enum Ring<T> {
    #[cfg(all(target_os = "linux", not(miri)))]
    Mirrored(Mirror<T>),
    Rented(MemoryOwner<T>),
}

/// Bytes in the smallest ring, and how many windows fit into a larger one.
const RING_BYTES: usize = 64 << 10;
const RING_WINDOWS: usize = 4;

impl<T: Pod + Send> Windows<T> {
    /// Windows of `size` elements, one every `stride`. A stride beyond the size leaves gaps.
    ///
    /// # Errors
    /// [`WindowsError`] when one of them is zero, or the memory is not to be had.
    ///
    /// # Examples
    /// See [`Windows`].
    pub fn new(size: usize, stride: usize) -> Result<Windows<T>, WindowsError> {
        let at_least = RING_BYTES / size_of::<T>().max(1);
        Windows::with_capacity(size, stride, size.saturating_mul(RING_WINDOWS).max(at_least))
    }

    /// As [`new`](Self::new), with room for at least `capacity` elements, and one window.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_capacity(size: usize, stride: usize, capacity: usize) -> Result<Windows<T>, WindowsError> {
        let capacity = capacity.max(size);
        Windows::over(size, stride, || match Ring::mirrored(capacity) {
            Some(ring) => Ok(ring),
            None => Ring::rented(capacity),
        })
    }

    /// As [`with_capacity`](Self::with_capacity), over a rented buffer also where memory can be mapped twice.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn without_mirror(size: usize, stride: usize, capacity: usize) -> Result<Windows<T>, WindowsError> {
        Windows::over(size, stride, || Ring::rented(capacity.max(size)))
    }

    fn over(
        size: usize,
        stride: usize,
        ring: impl FnOnce() -> Result<Ring<T>, WindowsError>,
    ) -> Result<Windows<T>, WindowsError> {
        if size == 0 || stride == 0 {
            return Err(WindowsError::Empty { size, stride });
        }
        Ok(Windows { ring: ring()?, size, stride, start: 0, filled: 0, gap: 0, copied: 0 })
    }

    /// All the room there is for what comes next, as one slice: empty when there are windows to be taken first. It is
    /// initialised, with what was there before.
    ///
    /// # Examples
    /// See [`Windows`].
    pub fn reserve(&mut self) -> &mut [T] {
        let (start, filled) = (self.start, self.filled);
        match &mut self.ring {
            #[cfg(all(target_os = "linux", not(miri)))]
            Ring::Mirrored(mirror) => {
                let len = mirror.len();
                mirror.slice_mut((start + filled) % len, len - filled)
            }
            Ring::Rented(owner) => {
                if start + filled == owner.len() && start > 0 {
                    owner.copy_within(start.., 0);
                    self.copied += filled as u64;
                    self.start = 0;
                }
                &mut owner[self.start + filled..]
            }
        }
    }

    /// Makes the first `len` elements of what was reserved part of the stream.
    ///
    /// # Panics
    /// When there is not that much room.
    #[track_caller]
    pub fn commit(&mut self, len: usize) {
        let room = self.reserve().len();
        assert!(len <= room, "{len} elements committed where there was room for {room}");
        self.filled += len;
        let skipped = self.gap.min(self.filled);
        self.gap -= skipped;
        self.skip(skipped);
    }

    /// Appends as much of a slice as there is room for. Returns how much.
    ///
    /// # Examples
    /// ```
    /// let mut windows = leasehold::Windows::new(2, 1)?;
    /// assert_eq!(windows.push_slice(b"abc"), 3);
    /// assert_eq!(windows.next_window(), Some(&b"ab"[..]));
    /// assert_eq!(windows.next_window(), Some(&b"bc"[..]));
    /// assert_eq!(windows.next_window(), None);
    /// # Ok::<_, leasehold::WindowsError>(())
    /// ```
    pub fn push_slice(&mut self, slice: &[T]) -> usize {
        let room = self.reserve();
        let len = room.len().min(slice.len());
        room[..len].copy_from_slice(&slice[..len]);
        self.commit(len);
        len
    }

    /// The next window, if all of it was written. The one after it begins a stride behind.
    ///
    /// # Examples
    /// See [`Windows`].
    pub fn next_window(&mut self) -> Option<&[T]> {
        if self.filled < self.size {
            return None;
        }
        let start = self.start;
        let skipped = self.stride.min(self.filled);
        self.gap = self.stride - skipped;
        self.skip(skipped);
        Some(self.ring.slice(start, self.size))
    }

    /// What was written and no full window has begun with: at the end of a stream, the last window, which is incomplete.
    ///
    /// # Examples
    /// See [`Windows`].
    pub fn remainder(&self) -> &[T] {
        self.ring.slice(self.start, self.filled)
    }

    /// Elements that were copied to the front of the ring; always zero when it [is mirrored](Self::is_mirrored).
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Whether the ring's memory is mapped twice, so that nothing is ever copied.
    pub fn is_mirrored(&self) -> bool {
        !matches!(self.ring, Ring::Rented(_))
    }

    /// Elements that the ring has room for.
    pub fn capacity(&self) -> usize {
        self.ring.len()
    }

    fn skip(&mut self, len: usize) {
        self.filled -= len;
        self.start = match &self.ring {
            #[cfg(all(target_os = "linux", not(miri)))]
            Ring::Mirrored(mirror) => (self.start + len) % mirror.len(),
            Ring::Rented(_) => self.start + len,
        };
    }
}

impl Windows<u8> {
    /// Reads once, as much as there is room for. Returns how much that was: nothing at the end, and when there are windows
    /// to be taken first.
    ///
    /// # Errors
    /// What the reader says; nothing was added.
    ///
    /// # Examples
    /// ```
    /// let mut windows = leasehold::Windows::new(16, 8)?;
    /// let (mut source, mut counted) = (&[7u8; 100][..], 0);
    /// while windows.fill_from(&mut source)? > 0 {
    ///     while windows.next_window().is_some() {
    ///         counted += 1;
    ///     }
    /// }
    /// assert_eq!((counted, windows.remainder().len()), (11, 12));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill_from(&mut self, source: &mut impl io::Read) -> io::Result<usize> {
        let room = self.reserve();
        let (read, room) = (source.read(room)?, room.len());
        if read > room {
            return Err(io::Error::other("the reader says that it read more than there was room for"));
        }
        self.commit(read);
        Ok(read)
    }
}

impl<T: Pod + Send> Ring<T> {
    #[cfg(all(target_os = "linux", not(miri)))]
    fn mirrored(capacity: usize) -> Option<Ring<T>> {
        // Whatever the reason, the other ring does the same.
        Mirror::new(capacity).ok().map(Ring::Mirrored)
    }

    #[cfg(not(all(target_os = "linux", not(miri))))]
    fn mirrored(_: usize) -> Option<Ring<T>> {
        None
    }

    fn rented(capacity: usize) -> Result<Ring<T>, WindowsError> {
        MemoryPool::shared().try_rent(capacity).map(Ring::Rented).map_err(WindowsError::Memory)
    }

    fn len(&self) -> usize {
        match self {
            #[cfg(all(target_os = "linux", not(miri)))]
            Ring::Mirrored(mirror) => mirror.len(),
            Ring::Rented(owner) => owner.len(),
        }
    }

    fn slice(&self, start: usize, len: usize) -> &[T] {
        match self {
            #[cfg(all(target_os = "linux", not(miri)))]
            Ring::Mirrored(mirror) => mirror.slice(start, len),
            Ring::Rented(owner) => &owner[start..start + len],
        }
    }
}

/// Says how the windows are cut, never what is in them.
impl<T> fmt::Debug for Windows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows")
            .field("size", &self.size)
            .field("stride", &self.stride)
            .field("filled", &self.filled)
            .field("copied", &self.copied)
            .finish_non_exhaustive()
    }
}

/// There are no such windows.
#[derive(Debug)]
#[non_exhaustive]
pub enum WindowsError {
    /// A window has at least one element, and so has a stride.
    Empty {
        /// Elements in a window.
        size: usize,
        /// Elements from the beginning of a window to that of the next.
        stride: usize,
    },
    /// The memory for the ring is not to be had.
    Memory(RentError),
}

impl fmt::Display for WindowsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WindowsError::Empty { size, stride } => {
                write!(f, "no windows of {size} elements every {stride}: both must be at least one")
            }
            WindowsError::Memory(_) => f.write_str("no memory for the ring of the windows"),
        }
    }
}

impl Error for WindowsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            WindowsError::Memory(error) => Some(error),
            WindowsError::Empty { .. } => None,
        }
    }
}
