//! A driver of `io_uring` that keeps what the kernel works on.

mod builder;
mod driver;
mod error;
mod kernel;
mod operation;
mod queue;
mod registered;

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

pub use builder::RingBuilder;
pub use error::{Failed, SetupError};
pub use operation::Operation;
pub use registered::RegisteredBuffer;

use crate::stable::{Stable, StableMut, StableSegments};
use error::Task;
use kernel::{Gathering, Reading, Scattering, Transfer, Writing};
use operation::Slot;
use queue::Queue;
use registered::Home;

/// Reads and writes files, pipes and sockets with memory that it owns meanwhile.
///
/// An operation takes the memory, and gives it back when the kernel has done with it: with the number of bytes, or with
/// the error. An [`Operation`] is a future for any runtime, and can be waited for without one.
///
/// **A dropped future frees nothing that the kernel still writes.** The ring asks the kernel to cancel, keeps the memory until the
/// kernel says that the operation is over, and only then lets go of it. A ring that is dropped does so for all of its
/// operations, and waits.
///
/// A thread of the ring talks to the kernel, so operations do not end with the thread that began them. It costs a switch of
/// threads each way where the ring is idle, and next to nothing where many operations are under way.
///
/// # Examples
/// ```
/// use std::fs::File;
/// use std::sync::Arc;
/// use leasehold::MemoryPool;
/// use leasehold_io::Ring;
///
/// # fn main() -> std::io::Result<()> {
/// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
/// let ring = Ring::new()?;
/// let manifest = Arc::new(File::open("Cargo.toml")?);
///
/// let memory = MemoryPool::shared().rent::<u8>(9);
/// let address = memory.as_ptr();
/// let (memory, len) = ring.read_at(&manifest, memory, 0).wait()?; // or `.await?`
/// assert_eq!((len, &memory[..], memory.as_ptr()), (9, &b"[package]"[..], address));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "io_uring")]
pub struct Ring {
    queue: Arc<Queue>,
    home: Arc<Home>,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Ring {
    /// A ring of 64 entries without registered buffers.
    ///
    /// # Errors
    /// [`SetupError`] when the system has no `io_uring`, or does not allow it.
    ///
    /// # Examples
    /// See [`Ring`].
    pub fn new() -> Result<Ring, SetupError> {
        Ring::builder().build()
    }

    /// Makes a ring of another size, or with registered buffers.
    ///
    /// # Examples
    /// See [`RingBuilder`].
    pub fn builder() -> RingBuilder {
        RingBuilder::new()
    }

    /// Reads from `file` at `offset` into the front of `memory`. As with the system call, fewer bytes may come than there
    /// is room for, and at the end of the file none.
    ///
    /// Allocates what the operation needs to be kept apart from its future. More than 2 GiB - 4 KiB come in several calls.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the memory.
    ///
    /// # Cancel safety
    /// Dropping the future cancels; the memory is let go of when the kernel has done with it. To have it back, see
    /// [`Operation::cancel`].
    ///
    /// # Examples
    /// See [`Ring`].
    pub fn read_at<F, B>(&self, file: &Arc<F>, memory: B, offset: u64) -> Operation<B>
    where
        F: AsFd + Send + Sync + 'static,
        B: StableMut,
    {
        self.read_from(file, memory, Some(offset))
    }

    /// As [`read_at`](Self::read_at), at the file's own position, which moves on. For pipes, sockets and terminals.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the memory.
    ///
    /// # Examples
    /// ```
    /// use std::io::Write;
    /// use std::sync::Arc;
    /// use leasehold::MemoryOwner;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::new()?;
    /// let (from, mut to) = std::io::pipe()?;
    /// let reading = ring.read(&Arc::new(from), MemoryOwner::from(vec![0; 100]));
    /// to.write_all(b"hello")?;
    /// let (memory, len) = reading.wait()?;
    /// assert_eq!(memory[..len], *b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn read<F, B>(&self, file: &Arc<F>, memory: B) -> Operation<B>
    where
        F: AsFd + Send + Sync + 'static,
        B: StableMut,
    {
        self.read_from(file, memory, None)
    }

    /// Writes `memory` to `file` at `offset`. As with the system call, fewer bytes may be written than there are.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the memory.
    ///
    /// # Cancel safety
    /// Dropping the future cancels, and does not say how much was written before.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use leasehold::SharedOwner;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::new()?;
    /// let file = Arc::new(tempfile::tempfile()?);
    /// let text = SharedOwner::from(b"hello world".to_vec());
    /// let (_text, len) = ring.write_at(&file, text.slice(6..), 0).wait()?;
    /// assert_eq!(len, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn write_at<F, B>(&self, file: &Arc<F>, memory: B, offset: u64) -> Operation<B>
    where
        F: AsFd + Send + Sync + 'static,
        B: Stable,
    {
        self.write_to(file, memory, Some(offset))
    }

    /// As [`write_at`](Self::write_at), at the file's own position, which moves on.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the memory.
    pub fn write<F, B>(&self, file: &Arc<F>, memory: B) -> Operation<B>
    where
        F: AsFd + Send + Sync + 'static,
        B: Stable,
    {
        self.write_to(file, memory, None)
    }

    /// Reads from `file` at `offset` into several memories, one after the other, with one operation: each is full before
    /// the next one is begun. As with the system call, fewer bytes may come than there is room for, and at the end of the file none.
    ///
    /// The first 1024 memories that are not empty are read into.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the memories.
    ///
    /// # Cancel safety
    /// As [`read_at`](Self::read_at): all of them are kept until the kernel has done with them.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use leasehold::MemoryPool;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::new()?;
    /// let manifest = Arc::new(std::fs::File::open("Cargo.toml")?);
    /// let pool = MemoryPool::shared();
    /// let (parts, len) = ring.read_vectored_at(&manifest, vec![pool.rent::<u8>(1), pool.rent(7)], 0).wait()?;
    /// assert_eq!((&parts[0][..], &parts[1][..], len), (&b"["[..], &b"package"[..], 8));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "preadv")]
    pub fn read_vectored_at<F, B>(&self, file: &Arc<F>, memories: Vec<B>, offset: u64) -> Operation<Vec<B>>
    where
        F: AsFd + Send + Sync + 'static,
        B: StableMut,
    {
        self.scatter_from(file, memories, Some(offset))
    }

    /// As [`read_vectored_at`](Self::read_vectored_at), at the file's own position, which moves on.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the memories.
    #[doc(alias = "readv")]
    pub fn read_vectored<F, B>(&self, file: &Arc<F>, memories: Vec<B>) -> Operation<Vec<B>>
    where
        F: AsFd + Send + Sync + 'static,
        B: StableMut,
    {
        self.scatter_from(file, memories, None)
    }

    /// Writes the segments of a sequence, or several memories, to `file` at `offset`, one after the other, with one operation.
    /// As with the system call, fewer bytes may be written than there are: [`Sequence::advance`](leasehold::Sequence::advance)
    /// past them, and write the rest.
    ///
    /// The first 1024 segments that are not empty are written, at most 2 GiB - 4 KiB.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the segments.
    ///
    /// # Cancel safety
    /// As [`write_at`](Self::write_at): all of them are kept until the kernel has done with them.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use leasehold::Sequence;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::new()?;
    /// let file = Arc::new(tempfile::tempfile()?);
    /// let text = Sequence::from_iter([b"hello ".to_vec(), b"world".to_vec()]);
    /// let (text, len) = ring.write_vectored_at(&file, text, 0).wait()?;
    /// assert_eq!(len, text.len());
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "pwritev")]
    pub fn write_vectored_at<F, S>(&self, file: &Arc<F>, segments: S, offset: u64) -> Operation<S>
    where
        F: AsFd + Send + Sync + 'static,
        S: StableSegments,
    {
        self.gather_to(file, segments, Some(offset))
    }

    /// As [`write_vectored_at`](Self::write_vectored_at), at the file's own position, which moves on. For pipes, sockets and
    /// terminals.
    ///
    /// # Errors
    /// The future yields [`Failed`] with the segments.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// use std::sync::Arc;
    /// use leasehold::Sequence;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # if leasehold_io::Ring::builder().build().is_err_and(|error| error.is_forbidden()) { return Ok(()) }
    /// let ring = leasehold_io::Ring::new()?;
    /// let (mut from, to) = std::io::pipe()?;
    /// let to = Arc::new(to);
    /// let mut text = Sequence::from_iter([b"hello ".to_vec(), b"world".to_vec()]);
    /// while !text.is_empty() {
    ///     let (rest, len) = ring.write_vectored(&to, text).wait()?;
    ///     text = rest;
    ///     text.advance(len);
    /// }
    /// let mut read = [0; 11];
    /// from.read_exact(&mut read)?;
    /// assert_eq!(&read, b"hello world");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "writev")]
    pub fn write_vectored<F, S>(&self, file: &Arc<F>, segments: S) -> Operation<S>
    where
        F: AsFd + Send + Sync + 'static,
        S: StableSegments,
    {
        self.gather_to(file, segments, None)
    }

    /// One of the [registered](RingBuilder::register) buffers, or `None` while all are in use. It comes back when it is dropped.
    ///
    /// # Examples
    /// See [`RegisteredBuffer`].
    pub fn rent_registered(&self) -> Option<RegisteredBuffer> {
        Home::rent(&self.home)
    }

    fn read_from<F, B>(&self, file: &Arc<F>, memory: B, offset: Option<u64>) -> Operation<B>
    where
        F: AsFd + Send + Sync + 'static,
        B: StableMut,
    {
        let task = Task { verb: "read", len: memory.bytes().len(), offset };
        self.start(|slot| Box::new(Reading::new(file, memory, offset, slot)), task)
    }

    fn write_to<F, B>(&self, file: &Arc<F>, memory: B, offset: Option<u64>) -> Operation<B>
    where
        F: AsFd + Send + Sync + 'static,
        B: Stable,
    {
        let task = Task { verb: "write", len: memory.bytes().len(), offset };
        self.start(|slot| Box::new(Writing::new(file, memory, offset, slot)), task)
    }

    fn scatter_from<F, B>(&self, file: &Arc<F>, memories: Vec<B>, offset: Option<u64>) -> Operation<Vec<B>>
    where
        F: AsFd + Send + Sync + 'static,
        B: StableMut,
    {
        let task = Task { verb: "read", len: total(&memories), offset };
        self.start(|slot| Box::new(Scattering::new(file, memories, offset, slot)), task)
    }

    fn gather_to<F, S>(&self, file: &Arc<F>, segments: S, offset: Option<u64>) -> Operation<S>
    where
        F: AsFd + Send + Sync + 'static,
        S: StableSegments,
    {
        let task = Task { verb: "write", len: total(&segments), offset };
        self.start(|slot| Box::new(Gathering::new(file, segments, offset, slot)), task)
    }

    fn start<B>(&self, transfer: impl FnOnce(Arc<Slot<B>>) -> Box<dyn Transfer>, task: Task) -> Operation<B> {
        let slot = Arc::new(Slot::new(task));
        // Relaxed: a number that differs from all others.
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.queue.start(id, transfer(Arc::clone(&slot)));
        Operation::new(slot, Arc::clone(&self.queue), id)
    }
}

/// Bytes of all segments. The same memory may be there many times, so that they are more than a number holds.
fn total(segments: &impl StableSegments) -> usize {
    segments.segments().map(<[u8]>::len).fold(0, usize::saturating_add)
}

/// Cancels what is under way, and waits until the kernel has let go of all memory. A ring that is dropped by a waker, on its own
/// thread, leaves the waiting to that thread.
impl Drop for Ring {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // The thread catches what others' code panics with, and has none to panic with itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("registered", &self.home.count()).finish_non_exhaustive()
    }
}
