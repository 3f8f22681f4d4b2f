//! The ends of a pipe, and the reader of a sequence, as streams of `futures-io`.
//!
//! Each is a type around the one it is named after, which is the public field; the errors are those of the pipe, as
//! `std::io::Error`.

use std::io::{self, BufRead, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use leasehold::{PipeReader, PipeWriter, Sequence, SequenceReader};

/// A [`PipeReader`] as `AsyncRead` and `AsyncBufRead`. The latter shows a segment of the pipe as it is.
///
/// # Examples
/// ```
/// use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, executor::block_on};
/// use leasehold_interop::futures::{AsyncPipeReader, AsyncPipeWriter};
///
/// let (writer, reader) = leasehold::pipe();
/// let (mut writer, mut reader) = (AsyncPipeWriter(writer), AsyncPipeReader(reader));
/// block_on(async {
///     writer.write_all(b"to be\nor not").await?;
///     writer.close().await?;
///     let (mut line, mut rest) = (String::new(), String::new());
///     reader.read_line(&mut line).await?;
///     reader.read_to_string(&mut rest).await?;
///     assert_eq!((&line[..], &rest[..]), ("to be\n", "or not"));
///     Ok::<_, std::io::Error>(())
/// })?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AsyncPipeReader(pub PipeReader<u8>);

impl AsyncPipeReader {
    /// What is in the pipe, as soon as there is something. Nothing when all was consumed and nothing more will come.
    fn poll_buffer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&Sequence<u8>>> {
        if self.0.buffer().is_empty() {
            ready!(self.0.poll_read(context))?;
        }
        Poll::Ready(Ok(self.0.buffer()))
    }
}

impl AsyncRead for AsyncPipeReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if target.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let buffer = ready!(self.poll_buffer(context))?;
        let copied = Read::read(&mut buffer.reader(), target)?;
        self.0.advance(copied, copied);
        Poll::Ready(Ok(copied))
    }
}

impl AsyncBufRead for AsyncPipeReader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().poll_buffer(context).map_ok(Sequence::first_segment)
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        self.0.advance(len, len);
    }
}

/// A [`PipeWriter`] as `AsyncWrite`. What was written is shown to the reader at once, and a write waits while the pipe is
/// full; `close` completes the pipe.
///
/// # Examples
/// See [`AsyncPipeReader`].
#[derive(Debug)]
pub struct AsyncPipeWriter(pub PipeWriter<u8>);

impl AsyncWrite for AsyncPipeWriter {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.0.poll_reserve(1, context))?;
        let mut copied = 0;
        for slice in slices {
            let len = slice.len().min(room.len() - copied);
            room[copied..copied + len].copy_from_slice(&slice[..len]);
            copied += len;
        }
        self.0.commit(copied);
        self.0.try_flush()?;
        Poll::Ready(Ok(copied))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.unflushed() > 0 {
            self.0.try_flush()?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.close(Ok(()));
        Poll::Ready(Ok(()))
    }
}

/// A [`SequenceReader`] as `AsyncRead` and `AsyncBufRead`. It never waits.
///
/// # Examples
/// ```
/// use futures::{AsyncBufReadExt, executor::block_on};
/// use leasehold::Sequence;
/// use leasehold_interop::futures::AsyncSequenceReader;
///
/// let sequence = Sequence::from_iter([b"to b".to_vec(), b"e\nor".to_vec()]);
/// let mut reader = AsyncSequenceReader(sequence.reader());
/// let mut line = String::new();
/// block_on(reader.read_line(&mut line))?;
/// assert_eq!((&line[..], reader.0.remaining_len()), ("to be\n", 2));
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AsyncSequenceReader<'a>(pub SequenceReader<'a, u8>);

impl AsyncRead for AsyncSequenceReader<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Read::read(&mut self.0, target))
    }
}

impl AsyncBufRead for AsyncSequenceReader<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(self.get_mut().0.fill_buf())
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        BufRead::consume(&mut self.0, len);
    }
}
