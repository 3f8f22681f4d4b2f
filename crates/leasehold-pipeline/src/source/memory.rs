//! The blocks that a source reads into.

use std::path::Path;

use leasehold::{BoundedPool, MemoryOwner, RentError};

use crate::error::SourceError;

/// Size of the blocks that a stream is read in, unless a record is longer.
pub(super) const BLOCK: usize = 64 * 1024;

/// The longest record, however large the budget is.
const LONGEST: usize = 256 * 1024 * 1024;

/// A budget, and the longest record that it has room for.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pool: BoundedPool,
    most: usize,
}

impl Memory {
    /// A record is at most a quarter of the budget, and a block twice that: while one is filled, its beginning still lies in
    /// the last one, which is half as long. So a source never waits for memory that it holds itself.
    pub(super) fn new(pool: &BoundedPool) -> Self {
        let budget = pool.stats().budget.unwrap_or(usize::MAX);
        Self { pool: pool.clone(), most: (budget / 4).min(LONGEST) }
    }

    /// The longest record.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A block to read into, for a record that begins at that line; waits until others have given back what they hold.
    pub(super) fn rent(&self, length: usize, path: &Path, line: u64) -> Result<MemoryOwner<u8>, SourceError> {
        self.rent_at_most(self.most.saturating_mul(2), length, path, line)
    }

    /// A block for the text of a record that cannot stay where it is. It is rented while the record lies in a block, so both
    /// together must fit.
    pub(super) fn rent_text(
        &self,
        length: usize,
        path: &Path,
        line: u64,
    ) -> Result<MemoryOwner<u8>, SourceError> {
        self.rent_at_most(self.most, length, path, line)
    }

    fn rent_at_most(
        &self,
        most: usize,
        length: usize,
        path: &Path,
        line: u64,
    ) -> Result<MemoryOwner<u8>, SourceError> {
        if length > most {
            return Err(self.too_long(path, line));
        }
        self.pool.rent_blocking(length).map_err(|source| match source {
            RentError::OverBudget { .. } => self.too_long(path, line),
            source => SourceError::Memory { path: path.to_owned(), source },
        })
    }

    pub(super) fn too_long(&self, path: &Path, line: u64) -> SourceError {
        SourceError::TooLong { path: path.to_owned(), line, most: self.most }
    }
}
