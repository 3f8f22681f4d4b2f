//! What can go wrong: one small type for each way, with what was given handed back.

use std::fmt;
use std::io;
use std::panic::Location;

use crate::backing::BackingError;
use crate::raw::{self, Origin, Sites};

/// The lease of a handle is over: the handle gives no more access.
///
/// Names the call sites that matter. They are kept with the block, for its latest few leases, and looked up when they are
/// asked for: an error that is kept long while its block is leased again and again forgets them.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// drop(lessor);
/// let revoked = memory.span().unwrap_err();
/// assert!(revoked.leased_at().unwrap().file().ends_with(".rs"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    origin: Origin,
}

impl Revoked {
    #[inline(always)]
    pub(crate) fn new(origin: Origin) -> Revoked {
        Revoked { origin }
    }

    /// Where the buffer was rented or its owner made.
    pub fn created_at(&self) -> Option<&'static Location<'static>> {
        self.origin.sites().created
    }

    /// Where the lease of this handle began.
    pub fn leased_at(&self) -> Option<&'static Location<'static>> {
        self.origin.sites().leased
    }

    /// Where the lease was ended by a call; `None` when it ended because its lessor was dropped.
    pub fn revoked_at(&self) -> Option<&'static Location<'static>> {
        self.origin.sites().revoked
    }
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sites { created, leased: Some(leased), revoked } = self.origin.sites() else {
            return fmt_forgotten(self.origin, f);
        };
        f.write_str("the lease is over: ")?;
        match revoked {
            Some(revoked) => write!(f, "revoked at {revoked}")?,
            None => f.write_str("its lessor was dropped")?,
        }
        write!(f, "; leased at {leased}")?;
        created.map_or(Ok(()), |created| write!(f, "; created at {created}"))
    }
}

/// The block has had more leases since than it remembers.
fn fmt_forgotten(origin: Origin, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (successors, latest) = origin.successors();
    write!(f, "the lease is over, and its buffer has been leased {successors} times since")?;
    latest.map_or(Ok(()), |latest| write!(f, ", last at {latest}"))
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revoked({self})")
    }
}

impl std::error::Error for Revoked {}

/// A range does not lie within the buffer, is decreasing, or has a bound that overflows.
///
/// # Examples
/// ```
/// use leasehold::SharedOwner;
///
/// let error = SharedOwner::from(vec![0; 10]).try_slice(4..12).unwrap_err();
/// assert_eq!(error.to_string(), "range 4..12 out of bounds of a buffer of 10 elements");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfRange {
    range: raw::OutOfRange,
}

impl OutOfRange {
    pub(crate) fn new(range: raw::OutOfRange) -> OutOfRange {
        OutOfRange { range }
    }

    #[cold]
    #[track_caller]
    pub(crate) fn panic(range: raw::OutOfRange) -> ! {
        panic!("{}", OutOfRange { range })
    }

    /// Elements in the buffer that was to be sliced.
    pub fn buffer_len(&self) -> usize {
        self.range.len
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw::OutOfRange { start, end, len } = self.range;
        let bound = |bound: Option<usize>| bound.map_or("(overflow)".to_owned(), |bound| bound.to_string());
        write!(f, "range {}..{} out of bounds of a buffer of {len} elements", bound(start), bound(end))
    }
}

impl std::error::Error for OutOfRange {}

/// The buffer cannot be reclaimed without revoking, because consumers use it now. Nothing has changed.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// let span = memory.span().unwrap();
/// let in_use = lessor.try_reclaim().unwrap_err();
/// assert_eq!((in_use.spans, in_use.pins), (1, 0));
/// drop(span);
/// let owner = in_use.lessor.try_reclaim().unwrap();
/// assert!(memory.span().is_err());
/// # drop(owner);
/// ```
pub struct InUse<L> {
    /// The lessor, as it was.
    pub lessor: L,
    /// Spans that were alive.
    pub spans: usize,
    /// Pins that were alive.
    pub pins: usize,
}

impl<L> fmt::Display for InUse<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is in use: {} spans and {} pins are left", self.spans, self.pins)
    }
}

impl<L> fmt::Debug for InUse<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InUse").field("spans", &self.spans).field("pins", &self.pins).finish_non_exhaustive()
    }
}

impl<L> std::error::Error for InUse<L> {}

/// This thread waits for a buffer of which it holds a span itself, so the wait could never end.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
/// let span = memory.span().unwrap();
/// let held = lessor.revoke().wait().unwrap_err();
/// drop(span);
/// let owner = held.waiting.wait().unwrap();
/// assert_eq!(owner[..], [1, 2, 3]);
/// ```
pub struct HeldByThisThread<W> {
    /// What was waited for, to wait again when the span is dropped.
    pub waiting: W,
    /// Spans of the buffer that this thread holds.
    pub spans: usize,
}

impl<W> fmt::Display for HeldByThisThread<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this thread waits for a buffer of which it holds {} spans itself", self.spans)
    }
}

impl<W> fmt::Debug for HeldByThisThread<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldByThisThread").field("spans", &self.spans).finish_non_exhaustive()
    }
}

impl<W> std::error::Error for HeldByThisThread<W> {}

/// A shared owner cannot become what needs it to be the only one, or writable.
///
/// # Examples
/// ```
/// use leasehold::{NotExclusive, SharedOwner};
///
/// let one = SharedOwner::from(vec![1, 2, 3]);
/// let two = one.clone();
/// let error = one.try_into_owner().unwrap_err();
/// assert!(matches!(error, NotExclusive::Shared(_)));
/// drop(error);
/// assert!(two.try_into_owner().is_ok());
/// ```
pub enum NotExclusive<S> {
    /// There are other shared owners of the buffer.
    Shared(S),
    /// The buffer's memory is read-only.
    ReadOnly(S),
}

impl<S> NotExclusive<S> {
    /// The shared owner, as it was.
    pub fn into_shared(self) -> S {
        match self {
            NotExclusive::Shared(shared) | NotExclusive::ReadOnly(shared) => shared,
        }
    }
}

impl<S> fmt::Display for NotExclusive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotExclusive::Shared(_) => "the buffer has other shared owners",
            NotExclusive::ReadOnly(_) => "the buffer's memory is read-only",
        })
    }
}

impl<S> fmt::Debug for NotExclusive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotExclusive({self})")
    }
}

impl<S> std::error::Error for NotExclusive<S> {}

/// Two memories, or shared owners, cannot be joined: they are not parts of one lease, or of one block, or the second does
/// not begin where the first ends.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (_lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
/// let (left, right) = memory.split_at(1).unwrap();
/// let error = right.join(left).unwrap_err();
/// assert_eq!(error.second.join(error.first).unwrap().len(), 3);
/// ```
pub struct NotAdjacent<M> {
    /// What was to be joined to.
    pub first: M,
    /// What was to follow it.
    pub second: M,
}

impl<M> fmt::Display for NotAdjacent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two are not adjacent parts of one lease or block")
    }
}

impl<M> fmt::Debug for NotAdjacent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotAdjacent({self})")
    }
}

impl<M> std::error::Error for NotAdjacent<M> {}

/// An operation on an exclusive memory failed; the memory comes back with the reason.
///
/// # Examples
/// ```
/// use leasehold::MemoryOwner;
///
/// let (_lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
/// let refused = memory.split_at(4).unwrap_err();
/// assert_eq!(refused.memory.len(), 3);
/// ```
pub struct Refused<M, E> {
    /// The memory, as it was.
    pub memory: M,
    /// Why.
    pub reason: E,
}

impl<M, E: fmt::Display> fmt::Display for Refused<M, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<M, E: fmt::Display> fmt::Debug for Refused<M, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({})", self.reason)
    }
}

impl<M, E: fmt::Display> std::error::Error for Refused<M, E> {}

/// A sequence, or what is left of it, has fewer elements than were asked for. Nothing was read.
///
/// # Examples
/// ```
/// let sequence = leasehold::Sequence::from(vec![1, 2, 3]);
/// let error = sequence.reader().read_be::<u32>().unwrap_err();
/// assert_eq!(error.to_string(), "4 elements wanted and 3 left");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooShort {
    /// Elements asked for.
    pub wanted: usize,
    /// Elements that are left.
    pub remaining: usize,
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements wanted and {} left", self.wanted, self.remaining)
    }
}

impl std::error::Error for TooShort {}

/// As the end of input that came too early.
impl From<TooShort> for io::Error {
    fn from(error: TooShort) -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, error)
    }
}

/// A buffer cannot be seen as one of another element type; the buffer comes back with the reason.
///
/// # Examples
/// ```
/// use leasehold::{CastReason, MemoryPool};
///
/// let owner = MemoryPool::shared().rent::<u8>(10);
/// let error = owner.cast::<u32>().unwrap_err();
/// assert_eq!(error.reason, CastReason::Partial { bytes: 10, element_size: 4 });
/// assert_eq!(error.owner.len(), 10);
/// ```
pub struct CastError<O> {
    /// The owner, as it was.
    pub owner: O,
    /// Why.
    pub reason: CastReason,
}

/// Why a buffer cannot be seen as one of another element type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CastReason {
    /// It does not begin where such an element may lie. Rented buffers do; slices of them, and collections, need not.
    Misaligned {
        /// Where it begins.
        address: usize,
        /// What the address must be a multiple of.
        alignment: usize,
    },
    /// It is not a whole number of such elements.
    Partial {
        /// Bytes in the buffer.
        bytes: usize,
        /// Bytes in an element.
        element_size: usize,
    },
}

impl CastReason {
    pub(crate) fn of<U>(miscast: raw::Miscast) -> CastReason {
        match miscast {
            raw::Miscast::Misaligned { address } => {
                CastReason::Misaligned { address, alignment: align_of::<U>() }
            }
            raw::Miscast::Partial { bytes } => CastReason::Partial { bytes, element_size: size_of::<U>() },
        }
    }
}

impl fmt::Display for CastReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CastReason::Misaligned { address, alignment } => {
                write!(f, "a buffer at {address:#x} is not aligned for elements that need {alignment} bytes")
            }
            CastReason::Partial { bytes, element_size } => {
                write!(f, "{bytes} bytes are not a whole number of elements of {element_size} bytes")
            }
        }
    }
}

impl<O> fmt::Display for CastError<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<O> fmt::Debug for CastError<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CastError({})", self.reason)
    }
}

impl<O> std::error::Error for CastError<O> {}

/// The memory for a rent is not to be had.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, RentError};
///
/// let error = MemoryPool::shared().try_rent::<u64>(usize::MAX).unwrap_err();
/// assert!(matches!(error, RentError::TooLarge { len: usize::MAX, element_size: 8 }));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RentError {
    /// No buffer of any pool is that large.
    TooLarge {
        /// Elements asked for.
        len: usize,
        /// Bytes in an element.
        element_size: usize,
    },
    /// The buffer would be larger than the whole budget, so no wait would help.
    OverBudget {
        /// Bytes in the buffer.
        asked: usize,
        /// Bytes that the pool may hold.
        budget: usize,
    },
    /// The budget is used up.
    Exhausted(Exhausted),
    /// The backing has no memory.
    Backing(BackingError),
}

/// How a budget stands that is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Exhausted {
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes that the pool may hold.
    pub budget: usize,
    /// Bytes of buffers that are rented, revoked and still in use, or promised to those who wait.
    pub used: usize,
    /// Bytes of buffers that nobody uses, and that were not enough.
    pub idle: usize,
    /// Rents that wait.
    pub waiting: usize,
}

impl fmt::Display for RentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RentError::TooLarge { len, element_size } => {
                write!(f, "no memory for {len} elements of {element_size} bytes")
            }
            RentError::OverBudget { asked, budget } => {
                write!(f, "a buffer of {asked} bytes is larger than the whole budget of {budget} bytes")
            }
            RentError::Exhausted(state) => state.fmt(f),
            RentError::Backing(_) => f.write_str("the backing of the pool has no memory"),
        }
    }
}

impl std::error::Error for RentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RentError::Backing(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exhausted { asked, budget, used, idle, waiting } = self;
        write!(
            f,
            "no room for {asked} bytes: of a budget of {budget} bytes {used} are used and {idle} idle, and \
             {waiting} rents wait"
        )
    }
}

/// A row, or several at a time, do not fit into a ragged batch. Nothing was added.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, Ragged};
///
/// let mut batch = Ragged::<u32>::rent(MemoryPool::shared(), 8, 4);
/// let full = batch.push_row(&[1, 2, 3, 4, 5]).unwrap_err();
/// assert_eq!((full.row_len, full.spare_values, full.spare_rows), (5, 4, 8));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RaggedFull {
    /// Values in the row, or in all rows that were to be added.
    pub row_len: usize,
    /// Values that the batch still has room for.
    pub spare_values: usize,
    /// Rows that the batch still has room for.
    pub spare_rows: usize,
}

impl fmt::Display for RaggedFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RaggedFull { row_len, spare_values, spare_rows } = self;
        write!(
            f,
            "a row of {row_len} values does not fit: {spare_values} values and {spare_rows} rows are left"
        )
    }
}

impl std::error::Error for RaggedFull {}

/// Offsets that do not say where the rows of a batch are.
///
/// # Examples
/// ```
/// use leasehold::RaggedRows;
///
/// let error = RaggedRows::new(&[1, 2, 3], &[0, 2, 1]).unwrap_err();
/// assert_eq!(error.to_string(), "offset 2 is smaller than the one before it");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BadOffsets {
    /// There is none; of no rows there is one.
    Missing,
    /// The first row of a whole batch does not begin with the first value.
    First {
        /// Where it begins.
        offset: usize,
    },
    /// One is smaller than the one before it.
    Decreasing {
        /// Which.
        index: usize,
    },
    /// The last is beyond the values.
    Beyond {
        /// The last.
        offset: usize,
        /// Values that there are.
        values: usize,
    },
}

impl fmt::Display for BadOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadOffsets::Missing => f.write_str("no offsets, where no rows have one"),
            BadOffsets::First { offset } => write!(f, "the first row begins at {offset} and not at 0"),
            BadOffsets::Decreasing { index } => {
                write!(f, "offset {index} is smaller than the one before it")
            }
            BadOffsets::Beyond { offset, values } => {
                write!(f, "the last row ends at {offset} of {values} values")
            }
        }
    }
}

impl std::error::Error for BadOffsets {}
