//! The writing end.

use std::fmt;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytemuck::Pod;

use super::channel::Sender;
use super::error::{BoxError, WriteError};
use crate::error::RentError;
use crate::owner::MemoryOwner;
use crate::pool::{AnyPool, Rent};
use crate::raw::{self, Queued, Rest, Site};

/// The end of a [`pipe`](crate::pipe()) that is written to.
///
/// [`reserve`](Self::reserve) gives room in a block of the pool, [`commit`](Self::commit) says how much of it was used, and
/// [`flush`](Self::flush) shows it to the reader. What was committed also gets there when the writer goes on to another
/// block or waits for room. It ends with [`complete`](Self::complete).
///
/// # Examples
/// See [`pipe`](crate::pipe()).
#[doc(alias = "IBufferWriter")]
pub struct PipeWriter<T> {
    sender: Sender<T>,
    pool: AnyPool,
    tail: Tail<T>,
    block_len: usize,
    /// The place in the queue of a pool with a budget that [`poll_reserve`](Self::poll_reserve) keeps.
    queued: Option<Queued<T>>,
}

/// The block that is being written.
struct Tail<T> {
    block: Option<Rest<T>>,
    /// Elements at its front that are committed and not published.
    committed: usize,
    /// Elements that the pipe has room for, beyond what is committed, as far as is known without a look.
    room: usize,
    /// Whether [`poll_reserve`](PipeWriter::poll_reserve) has left in the channel that it waits for room.
    waits: bool,
}

impl<T: Pod + Send + Sync> PipeWriter<T> {
    pub(super) fn new(sender: Sender<T>, pool: AnyPool, block_len: usize) -> Self {
        let tail = Tail { block: None, committed: 0, room: sender.capacity(), waits: false };
        PipeWriter { sender, pool, tail, block_len, queued: None }
    }

    /// Room for `len` elements, or more: at least one. Waits until the pipe has room for them, and a pool with a budget a
    /// block. The elements are initialised, with what a former tenant left.
    ///
    /// # Errors
    /// [`WriteError`]: the reader has gone, the pipe is never that large, or there is no memory. The writer is as it was, and
    /// what it had committed is in the pipe, or lost with the reader.
    ///
    /// # Cancel safety
    /// A future that is dropped has changed nothing but that what was committed may be in the pipe already, and that a block
    /// in which too little was left was given up.
    ///
    /// # Examples
    /// ```
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # let mut writing = std::pin::pin!(async {
    /// let (mut writer, reader) = leasehold::pipe::<u32>();
    /// writer.reserve(3).await?[..3].copy_from_slice(&[1, 2, 3]);
    /// writer.commit(3);
    /// writer.flush().await
    /// # });
    /// # assert!(matches!(writing.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
    /// ```
    #[doc(alias = "GetMemory")]
    #[track_caller]
    pub fn reserve(&mut self, len: usize) -> Reserve<'_, T> {
        self.reserve_at(len, Location::caller())
    }

    /// As [`reserve`](Self::reserve), for those who write a `poll` method on top of it. The task of the latest call is
    /// woken.
    ///
    /// What waits for a pool with a budget keeps its place in the queue from one call to the next, unless that asks for more;
    /// a writer that is not asked again keeps it until it is dropped, and the block that it is given.
    ///
    /// What waits for room in the pipe is given up, and its task woken, when something else is reserved or flushed; until
    /// then a reader that can do nothing with what there is learns that the pipe is [full](crate::ReadError::Full).
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    ///
    /// # Examples
    /// ```
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (mut writer, reader) = leasehold::PipeBuilder::new().capacity(2).build::<u8>();
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(matches!(writer.poll_reserve(2, &mut context), Poll::Ready(Ok([_, _]))));
    /// writer.commit(1);
    /// assert!(writer.poll_reserve(2, &mut context).is_pending());
    /// ```
    #[track_caller]
    pub fn poll_reserve(
        &mut self,
        len: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<&mut [T], WriteError>> {
        let mut reserve = self.reserve_at(len, Location::caller());
        let found = reserve.poll_tail(context);
        if found.is_pending() {
            // The task goes on waiting when the future is gone.
            let waits = std::mem::take(&mut reserve.waits);
            let queued = reserve.rent.take().and_then(Rent::suspend);
            drop(reserve);
            self.queued = queued;
            self.tail.waits |= waits;
            return Poll::Pending;
        }
        drop(reserve);
        found.map_ok(|()| self.tail.room())
    }

    /// As [`reserve`](Self::reserve), blocking this thread.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    #[track_caller]
    pub fn reserve_blocking(&mut self, len: usize) -> Result<&mut [T], WriteError> {
        let (site, wanted) = (Location::caller(), self.check(len)?);
        // Most often there is room, and nothing to wait for.
        if self.tail.has_room(wanted) && self.tail.has_block(wanted) {
            self.tail.go_on(&self.sender);
            return Ok(self.tail.room());
        }
        raw::block_on(pin!(self.reserve_at(len, site)))
    }

    /// As [`reserve`](Self::reserve), without waiting: `None` when the pipe has no room now.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); also when a pool with a budget has no memory now.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, reader) = leasehold::PipeBuilder::new().capacity(2).build::<u8>();
    /// assert!(writer.try_reserve(2)?.is_some());
    /// writer.commit(1);
    /// assert!(writer.try_reserve(2)?.is_none());
    /// # Ok::<_, leasehold::WriteError>(())
    /// ```
    #[track_caller]
    pub fn try_reserve(&mut self, len: usize) -> Result<Option<&mut [T]>, WriteError> {
        let len = self.check(len)?;
        if !self.tail.has_room(len) {
            self.publish()?;
            match self.sender.try_room(len)? {
                Some(room) => self.tail.room = room,
                None => return Ok(None),
            }
        }
        if !self.tail.has_block(len) {
            self.publish()?;
        }
        if !self.tail.has_block_again(len, &self.sender) {
            // Not behind ourselves.
            self.queued = None;
            let block = self.pool.try_rent_at(len.max(self.block_len), Location::caller())?;
            self.tail.start(block);
        }
        self.tail.go_on(&self.sender);
        Ok(Some(self.tail.room()))
    }

    /// Makes the first `len` elements of what was reserved part of what is written.
    ///
    /// # Panics
    /// When there is not that much room.
    #[doc(alias = "Advance")]
    #[track_caller]
    pub fn commit(&mut self, len: usize) {
        let room = self.tail.room_len();
        assert!(len <= room, "{len} elements committed where there was room for {room}");
        self.tail.committed += len;
        self.tail.room -= len;
    }

    /// Shows what was committed to the reader, then waits while the pipe is full. It goes on when the reader has consumed
    /// half of what the pipe holds, so writer and reader do not wait for each other in turns.
    ///
    /// # Errors
    /// [`WriteError::ReaderGone`] or [`WriteError::ReaderFailed`] when nobody will read it.
    ///
    /// # Cancel safety
    /// What was committed is in the pipe as soon as the future was polled once; one that is dropped later has only stopped
    /// waiting.
    ///
    /// # Examples
    /// See [`reserve`](Self::reserve).
    #[doc(alias = "FlushAsync")]
    pub fn flush(&mut self) -> Flush<'_, T> {
        Flush { writer: self, waits: false }
    }

    /// As [`flush`](Self::flush), blocking this thread.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn flush_blocking(&mut self) -> Result<(), WriteError> {
        // Most often there is room, and nothing to wait for.
        if self.try_flush()? > 0 { Ok(()) } else { raw::block_on(pin!(self.flush())) }
    }

    /// As [`flush`](Self::flush), without waiting. Returns how many elements the pipe has room for.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn try_flush(&mut self) -> Result<usize, WriteError> {
        if self.tail.committed > 0 {
            self.publish()?;
        } else if let Some(room) = self.sender.try_room(0)? {
            self.tail.room = room;
        }
        Ok(self.tail.room)
    }

    /// Ends the writing: shows what was committed to the reader, and then that it was all, or the error.
    ///
    /// A writer that is dropped without this is an error for the reader, and what it had not flushed is lost.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{ReadError, pipe};
    ///
    /// let (mut writer, mut reader) = pipe::<u8>();
    /// writer.try_reserve(1)?;
    /// writer.commit(1);
    /// writer.complete(Err("the connection was reset".into()));
    ///
    /// assert_eq!(reader.read_blocking()?.buffer().len(), 1, "the data comes first");
    /// reader.advance(1, 1);
    /// let Err(ReadError::Failed(error)) = reader.read_blocking() else { panic!() };
    /// assert_eq!(error.to_string(), "the connection was reset");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn complete(mut self, result: Result<(), BoxError>) {
        self.close(result);
    }

    /// As [`complete`](Self::complete), for a writer that is only borrowed. Nothing can be written afterwards.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{WriteError, pipe};
    ///
    /// let (mut writer, mut reader) = pipe::<u8>();
    /// writer.close(Ok(()));
    /// assert!(matches!(writer.try_reserve(1), Err(WriteError::Completed)));
    /// assert!(reader.read_blocking()?.is_completed());
    /// # Ok::<_, leasehold::ReadError>(())
    /// ```
    pub fn close(&mut self, result: Result<(), BoxError>) {
        // A reader that has gone misses nothing.
        let _ = self.publish();
        self.sender.complete(result);
        self.tail = Tail { block: None, committed: 0, room: 0, waits: false };
        self.queued = None;
    }

    /// Elements that were committed and not shown to the reader yet.
    pub fn unflushed(&self) -> usize {
        self.tail.committed
    }

    fn reserve_at(&mut self, len: usize, site: Site) -> Reserve<'_, T> {
        let PipeWriter { sender, pool, tail, block_len, queued } = self;
        let rent = match (&*pool, queued.take()) {
            // A place for less than is wanted now is given up.
            (AnyPool::Bounded(pool), Some(queued)) if queued.asked().0 >= len => {
                Some(Rent::resume(pool, queued))
            }
            _ => None,
        };
        Reserve { sender, pool, tail: Some(tail), block_len: *block_len, len, site, rent, waits: false }
    }

    fn check(&self, len: usize) -> Result<usize, WriteError> {
        check(len, &self.sender)
    }

    fn publish(&mut self) -> Result<(), WriteError> {
        self.tail.publish(&self.sender)
    }
}

fn check<T: Send + 'static>(asked: usize, sender: &Sender<T>) -> Result<usize, WriteError> {
    let capacity = sender.capacity();
    if asked <= capacity { Ok(asked.max(1)) } else { Err(WriteError::TooLarge { asked, capacity }) }
}

impl<T: Send + 'static> Tail<T> {
    fn has_room(&self, len: usize) -> bool {
        self.room >= len
    }

    fn has_block(&self, len: usize) -> bool {
        self.block.as_ref().is_some_and(|block| block.len() - self.committed >= len)
    }

    /// As [`has_block`](Self::has_block), using the block from its beginning again if the reader is done with it. Otherwise
    /// the block is to be replaced.
    fn has_block_again(&mut self, len: usize, sender: &Sender<T>) -> bool {
        if self.has_block(len) {
            return true;
        }
        let Some(block) = self.block.as_mut().filter(|_| self.committed == 0) else { return false };
        if block.len() > 0 {
            sender.leave_block();
        }
        block.whole_len() >= len && block.reclaim()
    }

    /// What may be written.
    fn room(&mut self) -> &mut [T] {
        let len = self.room_len();
        match &mut self.block {
            Some(block) => &mut block.as_mut_slice()[self.committed..][..len],
            None => &mut [],
        }
    }

    fn room_len(&self) -> usize {
        self.block.as_ref().map_or(0, |block| self.room.min(block.len() - self.committed))
    }

    fn start(&mut self, block: MemoryOwner<T>) {
        self.block = Some(Rest::new(block.0));
    }

    fn publish(&mut self, sender: &Sender<T>) -> Result<(), WriteError> {
        let committed = std::mem::take(&mut self.committed);
        if let Some(block) = self.block.as_mut().filter(|_| committed > 0) {
            self.room = sender.publish(block, committed)?;
            self.go_on(sender);
        }
        Ok(())
    }

    /// The writer has no use any more for the room that it waited for: the reader must not take the pipe for full.
    fn go_on(&mut self, sender: &Sender<T>) {
        if std::mem::take(&mut self.waits) {
            sender.give_up_waiting();
        }
    }
}

/// Says how much was committed, never what.
impl<T> fmt::Debug for PipeWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeWriter").field("unflushed", &self.tail.committed).finish_non_exhaustive()
    }
}

/// Room in the pipe, as soon as there is; see [`PipeWriter::reserve`].
#[must_use = "nothing is reserved until it is awaited"]
pub struct Reserve<'a, T: Pod + Send + Sync> {
    sender: &'a Sender<T>,
    pool: &'a AnyPool,
    /// None when it was given away.
    tail: Option<&'a mut Tail<T>>,
    block_len: usize,
    len: usize,
    site: Site,
    rent: Option<Rent<'a, T>>,
    /// Whether the reader knows that we wait.
    waits: bool,
}

impl<T: Pod + Send + Sync> Reserve<'_, T> {
    /// Sees to it that the tail has what was asked for.
    fn poll_tail(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        let Some(tail) = self.tail.as_deref_mut() else { return Poll::Pending };
        let len = check(self.len, self.sender)?;
        if !tail.has_room(len) {
            tail.publish(self.sender)?;
            let room = self.sender.poll_room(len, context.waker());
            self.waits = room.is_pending();
            match room? {
                Poll::Ready(room) => tail.room = room,
                Poll::Pending => return Poll::Pending,
            }
        }
        if std::mem::take(&mut tail.waits) {
            self.sender.stop_waiting();
        }
        if !tail.has_block(len) {
            // Before a pool makes us wait: the reader may be who has the memory.
            tail.publish(self.sender)?;
        }
        if !tail.has_block_again(len, self.sender) {
            let (pool, len, site) = (self.pool, len.max(self.block_len), self.site);
            match poll_rent(pool, len, site, &mut self.rent, context)? {
                Poll::Ready(block) => tail.start(block),
                Poll::Pending => {
                    // Too little is left in it for us, and it may be what the pool lacks: it goes back when it was read.
                    tail.block = None;
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A block from either kind of pool. `rent` keeps the place in the queue of one with a budget.
fn poll_rent<'a, T: Pod + Send>(
    pool: &'a AnyPool,
    len: usize,
    site: Site,
    rent: &mut Option<Rent<'a, T>>,
    context: &mut Context<'_>,
) -> Poll<Result<MemoryOwner<T>, RentError>> {
    match pool {
        AnyPool::Unbounded(pool) => Poll::Ready(pool.try_rent_at(len, site)),
        AnyPool::Bounded(pool) => {
            let turn = Pin::new(rent.get_or_insert_with(|| pool.rent_at(len, site))).poll(context);
            if turn.is_ready() {
                *rent = None;
            }
            turn
        }
    }
}

impl<'a, T: Pod + Send + Sync> Future for Reserve<'a, T> {
    type Output = Result<&'a mut [T], WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_tail(context)? {
            Poll::Ready(()) => {
                let tail = self.tail.take().expect("the tail is there when it has what was asked for");
                Poll::Ready(Ok(tail.room()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: Pod + Send + Sync> Drop for Reserve<'_, T> {
    fn drop(&mut self) {
        if self.waits {
            self.sender.stop_waiting();
        }
    }
}

impl<T: Pod + Send + Sync> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("len", &self.len).finish_non_exhaustive()
    }
}

/// What was committed on its way to the reader; see [`PipeWriter::flush`].
#[must_use = "nothing is flushed until it is awaited"]
pub struct Flush<'a, T: Pod + Send + Sync> {
    writer: &'a mut PipeWriter<T>,
    /// Whether the reader knows that we wait.
    waits: bool,
}

impl<T: Pod + Send + Sync> Future for Flush<'_, T> {
    type Output = Result<(), WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.writer.try_flush()? > 0 {
            return Poll::Ready(Ok(()));
        }
        let room = self.writer.sender.poll_room(1, context.waker());
        self.waits = room.is_pending();
        room.map_ok(|room| self.writer.tail.room = room)
    }
}

impl<T: Pod + Send + Sync> Drop for Flush<'_, T> {
    fn drop(&mut self) {
        if self.waits {
            self.writer.sender.stop_waiting();
        }
    }
}

impl<T: Pod + Send + Sync> fmt::Debug for Flush<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flush").field("unflushed", &self.writer.tail.committed).finish()
    }
}
