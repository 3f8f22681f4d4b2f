//! What a pipe is made from.

use bytemuck::Pod;

use super::channel::channel;
use super::{PipeReader, PipeWriter};
use crate::pool::{AnyPool, MemoryPool};

/// Bytes that a pipe holds at most, and bytes in a block, unless it is told otherwise.
const CAPACITY_BYTES: usize = 256 << 10;
const BLOCK_BYTES: usize = 16 << 10;

/// Makes pipes of other sizes, and over other pools, than [`pipe`](crate::pipe()) does.
///
/// # Examples
/// ```
/// use leasehold::{MemoryPool, PipeBuilder};
///
/// let pool = MemoryPool::builder().build_bounded(1 << 20);
/// let (mut writer, reader) = PipeBuilder::new().pool(&pool).capacity(1000).block_len(100).build::<f32>();
/// assert_eq!(writer.try_reserve(10)?.unwrap().len(), 100);
/// # Ok::<_, leasehold::WriteError>(())
/// ```
#[doc(alias = "PipeOptions")]
#[derive(Clone, Debug, Default)]
pub struct PipeBuilder {
    pool: Option<AnyPool>,
    capacity: Option<usize>,
    block_len: Option<usize>,
}

impl PipeBuilder {
    /// As [`pipe`](crate::pipe()) makes it: 256 KiB, in blocks of 16 KiB, of the shared pool.
    pub fn new() -> PipeBuilder {
        PipeBuilder::default()
    }

    /// Sets where blocks are rented. From a pool with a budget, [`PipeWriter::reserve`] waits for its turn.
    ///
    /// A budget should have room for what the pipe holds, and two blocks more: a writer that waits for memory which the pipe
    /// itself holds waits until the reader has consumed a block of it.
    #[must_use]
    pub fn pool(mut self, pool: impl Into<AnyPool>) -> PipeBuilder {
        self.pool = Some(pool.into());
        self
    }

    /// Sets how many elements the pipe holds at most: what was committed and not consumed. At least one.
    #[must_use]
    pub fn capacity(mut self, elements: usize) -> PipeBuilder {
        self.capacity = Some(elements.max(1));
        self
    }

    /// Sets how many elements a block has at least.
    #[must_use]
    pub fn block_len(mut self, elements: usize) -> PipeBuilder {
        self.block_len = Some(elements.max(1));
        self
    }

    /// Makes a pipe. Rents nothing before something is written.
    pub fn build<T: Pod + Send + Sync>(&self) -> (PipeWriter<T>, PipeReader<T>) {
        let of_bytes = |bytes: usize| bytes / size_of::<T>().clamp(1, bytes);
        let pool = self.pool.clone().unwrap_or_else(|| MemoryPool::shared().into());
        let capacity = self.capacity.unwrap_or(of_bytes(CAPACITY_BYTES));
        let block_len = self.block_len.unwrap_or(of_bytes(BLOCK_BYTES)).min(capacity);
        let (sender, receiver) = channel(capacity);
        (PipeWriter::new(sender, pool, block_len), PipeReader::new(receiver))
    }
}
