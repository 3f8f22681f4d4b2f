//! The reading end.

use std::collections::VecDeque;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::channel::{Found, Receiver};
use super::error::{BoxError, ReadError};
use crate::raw::{self, Shared};
use crate::sequence::Sequence;
use crate::shared::SharedOwner;

/// The end of a [`pipe`](crate::pipe()) that is read from.
///
/// [`read`](Self::read) waits for something new and lends everything that is there; [`advance`](Self::advance) says how
/// much of it was used up, and how much was looked at.
///
/// # Examples
/// See [`pipe`](crate::pipe()).
pub struct PipeReader<T> {
    receiver: Receiver<T>,
    /// What was taken out of the channel and is not consumed.
    buffer: Sequence<T>,
    /// Empty but for a moment: its memory is exchanged with the channel's.
    incoming: VecDeque<Shared<T>>,
    /// Elements of the buffer that need not be shown again before there are more.
    examined: usize,
}

impl<T: Send + 'static> PipeReader<T> {
    pub(super) fn new(receiver: Receiver<T>) -> Self {
        PipeReader { receiver, buffer: Sequence::new(), incoming: VecDeque::new(), examined: 0 }
    }

    /// Waits until there is something that was not examined, or the end, and lends all that was not consumed.
    ///
    /// # Errors
    /// [`ReadError`] when everything was examined and nothing will come: the writer has failed or gone, or the pipe is full.
    /// What was not consumed stays in [`buffer`](Self::buffer).
    ///
    /// # Cancel safety
    /// A future that is dropped has changed nothing.
    ///
    /// # Examples
    /// ```
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # let mut reading = std::pin::pin!(async {
    /// let (mut writer, mut reader) = leasehold::pipe::<u32>();
    /// writer.reserve(3).await?[..3].copy_from_slice(&[1, 2, 3]);
    /// writer.commit(3);
    /// writer.flush().await?;
    ///
    /// let result = reader.read().await?;
    /// assert_eq!(*result.buffer(), [1, 2, 3][..]);
    /// reader.advance(2, 3); // two used up, three looked at
    /// # assert_eq!(*reader.buffer(), [3][..]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # });
    /// # assert!(matches!(reading.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
    /// ```
    #[doc(alias = "ReadAsync")]
    pub fn read(&mut self) -> Read<'_, T> {
        Read { reader: Some(self), waits: false }
    }

    /// As [`read`](Self::read), blocking this thread.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_blocking(&mut self) -> Result<ReadResult<'_, T>, ReadError> {
        // Most often there is something, and nothing to wait for.
        match self.try_take()? {
            Some(found) => Ok(self.result(found)),
            None => raw::block_on(pin!(self.read())),
        }
    }

    /// As [`read`](Self::read), without waiting: `None` when there is nothing that was not examined.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// # Examples
    /// ```
    /// let (writer, mut reader) = leasehold::pipe::<u8>();
    /// assert!(reader.try_read()?.is_none());
    /// drop(writer);
    /// assert!(reader.try_read().is_err());
    /// # Ok::<_, leasehold::ReadError>(())
    /// ```
    pub fn try_read(&mut self) -> Result<Option<ReadResult<'_, T>>, ReadError> {
        Ok(self.try_take()?.map(|found| self.result(found)))
    }

    /// As [`read`](Self::read), for who writes a future by hand. Wakes the task when it is worth another look.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<ReadResult<'_, T>, ReadError>> {
        match self.poll_take(context.waker())? {
            Poll::Ready(found) => Poll::Ready(Ok(self.result(found))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Uses up the first `consumed` elements of the buffer, which makes room for the writer, and says that the first
    /// `examined` were looked at, so that the next read waits for more than those.
    ///
    /// A parser that needs more passes `(what it parsed, all there was)`. One that merely stopped early passes the same
    /// position twice, and the next read returns at once.
    ///
    /// # Panics
    /// When `consumed` is beyond `examined`, or `examined` beyond the end of the buffer.
    ///
    /// # Examples
    /// See [`read`](Self::read).
    #[doc(alias = "AdvanceTo")]
    #[track_caller]
    pub fn advance(&mut self, consumed: usize, examined: usize) {
        let len = self.buffer.len();
        assert!(
            consumed <= examined && examined <= len,
            "{consumed} elements consumed and {examined} examined of {len}"
        );
        self.examined = examined - consumed;
        if consumed == 0 {
            return;
        }
        let mut last = None;
        if consumed == len {
            last = self.buffer.take_last();
        } else {
            self.buffer.advance(consumed);
        }
        self.receiver.consume(consumed, last);
    }

    /// What was read and not consumed.
    pub fn buffer(&self) -> &Sequence<T> {
        &self.buffer
    }

    /// Ends the reading. The writer is told so by its next flush, with the error if there is one; dropping the reader does
    /// the same without an error.
    ///
    /// # Examples
    /// ```
    /// use leasehold::{WriteError, pipe};
    ///
    /// let (mut writer, reader) = pipe::<u8>();
    /// reader.complete(Err("not a picture".into()));
    /// let Err(WriteError::ReaderFailed(error)) = writer.flush_blocking() else { panic!() };
    /// assert_eq!(error.to_string(), "not a picture");
    /// ```
    pub fn complete(self, result: Result<(), BoxError>) {
        self.receiver.complete(result);
    }

    fn try_take(&mut self) -> Result<Option<Found>, ReadError> {
        let unexamined = self.has_unexamined();
        let found = self.receiver.try_take(&mut self.incoming, unexamined)?;
        self.store();
        Ok(found)
    }

    fn poll_take(&mut self, waker: &Waker) -> Poll<Result<Found, ReadError>> {
        let unexamined = self.has_unexamined();
        let found = self.receiver.poll_take(&mut self.incoming, unexamined, waker)?;
        self.store();
        found.map(Ok)
    }

    fn has_unexamined(&self) -> bool {
        self.examined < self.buffer.len()
    }

    fn store(&mut self) {
        let incoming = &mut self.incoming;
        self.buffer.push_all(std::iter::from_fn(|| incoming.pop_front().map(SharedOwner)));
    }

    fn result(&self, found: Found) -> ReadResult<'_, T> {
        ReadResult { buffer: &self.buffer, is_completed: matches!(found, Found::End) }
    }
}

/// Says how much is held, never what.
impl<T> fmt::Debug for PipeReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReader")
            .field("buffer", &self.buffer)
            .field("examined", &self.examined)
            .finish_non_exhaustive()
    }
}

/// What a read found. It borrows the reader, so it cannot be used any more once the reader has advanced; clones and slices
/// of the buffer can.
pub struct ReadResult<'a, T> {
    buffer: &'a Sequence<T>,
    is_completed: bool,
}

impl<'a, T> ReadResult<'a, T> {
    /// All that was not consumed, what was examined before included.
    pub fn buffer(&self) -> &'a Sequence<T> {
        self.buffer
    }

    /// Whether this is all: the writer has completed.
    pub fn is_completed(&self) -> bool {
        self.is_completed
    }
}

/// Says how much there is, never what.
impl<T> fmt::Debug for ReadResult<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadResult")
            .field("buffer", self.buffer)
            .field("is_completed", &self.is_completed)
            .finish()
    }
}

/// A read that may have to wait; see [`PipeReader::read`].
#[must_use = "nothing is read until it is awaited"]
pub struct Read<'a, T> {
    /// None when it was given away.
    reader: Option<&'a mut PipeReader<T>>,
    /// Whether our waker is in the channel.
    waits: bool,
}

impl<'a, T: Send + 'static> Future for Read<'a, T> {
    type Output = Result<ReadResult<'a, T>, ReadError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(reader) = &mut self.reader else { return Poll::Pending };
        let found = reader.poll_take(context.waker());
        self.waits = found.is_pending();
        match found? {
            Poll::Ready(found) => {
                let reader = self.reader.take().expect("it was there above");
                Poll::Ready(Ok(reader.result(found)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Read<'_, T> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.as_deref().filter(|_| self.waits) {
            reader.receiver.stop_waiting();
        }
    }
}

impl<T> fmt::Debug for Read<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("waits", &self.waits).finish()
    }
}
