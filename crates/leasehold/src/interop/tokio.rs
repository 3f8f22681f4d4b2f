//! Reading into rented blocks and writing sequences, with tokio.
//!
//! Besides the functions here, the feature `tokio` makes [`PipeReader<u8>`] and [`SequenceReader`] an `AsyncBufRead` and
//! [`PipeWriter<u8>`] an `AsyncWrite`, so that code for tokio's streams works with them. It brings no runtime.

use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::pipe::{PipeReader, PipeWriter};
use crate::sequence::{Sequence, SequenceReader};
use crate::writer::{Growth, MemoryWriter};

/// Bytes of room that a read has at least: a few bytes at the end of a block are not worth a call.
const LEAST_ROOM: usize = 64;

/// Segments that are written with one call.
const SLICES: usize = 64;

/// Reads once, straight into the writer's block. Returns how many bytes came; none means that the source is at its end.
///
/// [`MemoryWriter::block_len`] sets how much is read at once.
///
/// # Errors
/// What the source says; `OutOfMemory` when there is no block to be had. Nothing was read then.
///
/// # Cancel safety
/// A future that is dropped has read nothing.
///
/// # Examples
/// ```
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let mut reading = std::pin::pin!(async {
/// use leasehold::{MemoryPool, MemoryWriter, tokio::read_into};
///
/// let mut socket = &b"GET /index"[..];
/// let mut writer = MemoryWriter::contiguous(MemoryPool::shared());
/// while read_into(&mut socket, &mut writer).await? > 0 {}
/// assert_eq!(writer.freeze(), b"GET /index"[..]);
/// # Ok::<_, std::io::Error>(())
/// # });
/// # assert!(matches!(reading.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
/// ```
pub async fn read_into<R, L>(source: &mut R, writer: &mut MemoryWriter<u8, L>) -> io::Result<usize>
where
    R: AsyncRead + Unpin + ?Sized,
    L: Growth<u8>,
{
    poll_fn(|context| {
        let room = writer.try_reserve(LEAST_ROOM);
        let room = room.map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
        let read = ready!(poll_read(source, room, context))?;
        writer.commit(read);
        Poll::Ready(Ok(read))
    })
    .await
}

/// Reads once, straight into the pipe's block, and shows the reader what came. Returns how many bytes; none means that the
/// source is at its end.
///
/// Waits for room in the pipe first, so what a slow reader leaves there is what holds the source back. That the reader has
/// gone is noticed when something came, or before the wait.
///
/// # Errors
/// What the source says, and what [`PipeWriter::reserve`] and [`PipeWriter::flush`] say.
///
/// # Cancel safety
/// A future that is dropped has read nothing.
///
/// # Examples
/// ```
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let mut reading = std::pin::pin!(async {
/// use leasehold::{pipe, tokio::{read_into_pipe, write_from_pipe}};
///
/// let (mut socket, mut peer) = (&b"GET /index"[..], Vec::new());
/// let (mut writer, mut reader) = pipe();
/// while read_into_pipe(&mut socket, &mut writer).await? > 0 {}
/// writer.complete(Ok(()));
/// while write_from_pipe(&mut reader, &mut peer).await? > 0 {}
/// assert_eq!(peer, b"GET /index");
/// # Ok::<_, std::io::Error>(())
/// # });
/// # assert!(matches!(reading.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
/// ```
pub async fn read_into_pipe<R>(source: &mut R, writer: &mut PipeWriter<u8>) -> io::Result<usize>
where
    R: AsyncRead + Unpin + ?Sized,
{
    poll_fn(|context| {
        let room = ready!(writer.poll_reserve(1, context))?;
        let read = ready!(poll_read(source, room, context))?;
        writer.commit(read);
        writer.try_flush()?;
        Poll::Ready(Ok(read))
    })
    .await
}

/// Writes once what is in the pipe, without copying it, and consumes what was written. Waits until there is something.
/// Returns how many bytes were written; none means that the writer of the pipe has completed and all was written.
///
/// # Errors
/// What the target says, `WriteZero` when it takes nothing, and what [`PipeReader::read`] says.
///
/// # Cancel safety
/// A future that is dropped has written nothing.
///
/// # Examples
/// See [`read_into_pipe`].
pub async fn write_from_pipe<W>(reader: &mut PipeReader<u8>, target: &mut W) -> io::Result<usize>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    poll_fn(|context| {
        let buffer = ready!(poll_buffer(reader, context))?;
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = ready!(poll_write(target, buffer, context))?;
        reader.advance(written, written);
        Poll::Ready(Ok(written))
    })
    .await
}

/// Writes a sequence without copying it, many segments with one call where the target can. What was written is taken from
/// the sequence, and its blocks are let go of.
///
/// # Errors
/// What the target says; `WriteZero` when it takes nothing more. The sequence is what was not written.
///
/// # Cancel safety
/// When the future is dropped, the sequence is what was not written: go on with that.
///
/// # Examples
/// ```
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let mut writing = std::pin::pin!(async {
/// use leasehold::{Sequence, tokio::write_all_sequence};
///
/// let mut sequence = Sequence::from_iter([b"to be ".to_vec(), b"or not".to_vec()]);
/// let mut socket = Vec::new();
/// write_all_sequence(&mut socket, &mut sequence).await?;
/// assert_eq!(socket, b"to be or not");
/// assert!(sequence.is_empty());
/// # Ok::<_, std::io::Error>(())
/// # });
/// # assert!(matches!(writing.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
/// ```
pub async fn write_all_sequence<W>(target: &mut W, sequence: &mut Sequence<u8>) -> io::Result<()>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    while !sequence.is_empty() {
        let written = poll_fn(|context| poll_write(target, sequence, context)).await?;
        sequence.advance(written);
    }
    Ok(())
}

/// One read of `source` into initialised memory.
fn poll_read<R>(source: &mut R, room: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<usize>>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut target = ReadBuf::new(room);
    ready!(Pin::new(source).poll_read(context, &mut target))?;
    Poll::Ready(Ok(target.filled().len()))
}

/// One write of a sequence that is not empty. At least a byte is written.
fn poll_write<W>(
    target: &mut W,
    sequence: &Sequence<u8>,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let target = Pin::new(target);
    let written = if target.is_write_vectored() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let segments = slices.iter_mut().zip(sequence.segments());
        let count = segments.map(|(slice, segment)| *slice = IoSlice::new(segment)).count();
        ready!(target.poll_write_vectored(context, &slices[..count]))?
    } else {
        ready!(target.poll_write(context, sequence.first_segment()))?
    };
    Poll::Ready(if written > 0 { Ok(written) } else { Err(io::ErrorKind::WriteZero.into()) })
}

/// What is in the pipe, as soon as there is something. Nothing when all was consumed and nothing more will come.
fn poll_buffer<'a>(
    reader: &'a mut PipeReader<u8>,
    context: &mut Context<'_>,
) -> Poll<io::Result<&'a Sequence<u8>>> {
    if reader.buffer().is_empty() {
        ready!(PipeReader::poll_read(reader, context))?;
    }
    Poll::Ready(Ok(reader.buffer()))
}

/// Copies out of the pipe and consumes what was copied. To write it elsewhere without a copy, see [`write_from_pipe`].
impl AsyncRead for PipeReader<u8> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reader = self.get_mut();
        if target.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut copied = 0;
        for segment in ready!(poll_buffer(reader, context))?.segments() {
            let part = &segment[..segment.len().min(target.remaining())];
            target.put_slice(part);
            copied += part.len();
        }
        reader.advance(copied, copied);
        Poll::Ready(Ok(()))
    }
}

/// Shows a segment of the pipe as it is.
impl AsyncBufRead for PipeReader<u8> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        poll_buffer(self.get_mut(), context).map_ok(Sequence::first_segment)
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        self.get_mut().advance(len, len);
    }
}

/// Copies into the pipe's blocks. What was written is shown to the reader at once, and a write waits while the pipe is
/// full; so there is nothing for `flush` to wait for. `shutdown` completes the pipe.
///
/// [`flush`](PipeWriter::flush) of the writer itself, which goes before that of `AsyncWriteExt`, does wait.
impl AsyncWrite for PipeWriter<u8> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let writer = self.get_mut();
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(writer.poll_reserve(1, context))?;
        let mut copied = 0;
        for slice in slices {
            let len = slice.len().min(room.len() - copied);
            room[copied..copied + len].copy_from_slice(&slice[..len]);
            copied += len;
        }
        writer.commit(copied);
        writer.try_flush()?;
        Poll::Ready(Ok(copied))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let writer = self.get_mut();
        if writer.unflushed() > 0 {
            writer.try_flush()?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().close(Ok(()));
        Poll::Ready(Ok(()))
    }
}

/// Never waits.
impl AsyncRead for SequenceReader<'_, u8> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Read::read(self.get_mut(), target.initialize_unfilled())?;
        target.advance(read);
        Poll::Ready(Ok(()))
    }
}

/// Never waits.
impl AsyncBufRead for SequenceReader<'_, u8> {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(self.get_mut().fill_buf())
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        BufRead::consume(self.get_mut(), len);
    }
}
