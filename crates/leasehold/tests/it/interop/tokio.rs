//! `tokio`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use leasehold::tokio::{read_into, read_into_pipe, write_all_sequence, write_from_pipe};
use leasehold::{MemoryPool, MemoryWriter, PipeBuilder, Sequence, pipe};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};

use crate::support::{Bell, block_on, poll_once};

/// Reads and writes a few bytes at a time, and remembers where from and where to.
#[derive(Default)]
struct Peer {
    to_read: VecDeque<io::Result<Vec<u8>>>,
    written: Vec<u8>,
    addresses: Vec<*const u8>,
    calls: usize,
    takes: usize,
    vectored: bool,
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.to_read.pop_front() {
            Some(piece) => {
                self.addresses.push(target.initialize_unfilled().as_ptr());
                target.put_slice(&piece?);
                Poll::Ready(Ok(()))
            }
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.calls += 1;
        self.addresses.extend(slices.iter().map(|slice| slice.as_ptr()));
        let before = self.written.len();
        let takes = self.takes;
        self.written.extend(slices.iter().flat_map(|slice| slice.iter()).take(takes));
        Poll::Ready(Ok(self.written.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn sends(pieces: &[&[u8]]) -> Peer {
    Peer { to_read: pieces.iter().map(|piece| Ok(piece.to_vec())).collect(), ..Peer::default() }
}

#[test]
fn a_source_reads_straight_into_the_writers_block() {
    let pool = MemoryPool::new();
    let mut writer = MemoryWriter::contiguous(&pool);
    let mut peer = sends(&[b"to ", b"be", b""]);
    for len in [3, 2, 0] {
        assert_eq!(block_on(read_into(&mut peer, &mut writer)).unwrap(), len);
    }
    let shared = writer.freeze();
    assert_eq!(shared, b"to be"[..]);
    assert_eq!(peer.addresses[..2], [shared.as_ptr(), shared[3..].as_ptr()]);
    drop(shared);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_read_that_fails_or_is_given_up_has_read_nothing() {
    let mut writer = MemoryWriter::segmented(MemoryPool::shared());
    let mut peer = sends(&[b"a"]);
    peer.to_read.push_back(Err(ErrorKind::ConnectionReset.into()));
    assert_eq!(block_on(read_into(&mut peer, &mut writer)).unwrap(), 1);
    let error = block_on(read_into(&mut peer, &mut writer)).unwrap_err();
    assert_eq!((error.kind(), writer.len()), (ErrorKind::ConnectionReset, 1));
    assert!(poll_once(&mut pin!(read_into(&mut peer, &mut writer))).is_pending());
    peer.to_read.push_back(Ok(b"b".to_vec()));
    assert_eq!(block_on(read_into(&mut peer, &mut writer)).unwrap(), 1);
    assert_eq!(writer.freeze(), b"ab"[..]);
    let pool = MemoryPool::builder().build_bounded(4096);
    let _all = pool.try_rent::<u8>(4096).unwrap();
    let error = block_on(read_into(&mut peer, &mut MemoryWriter::contiguous(&pool))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
}

#[test]
fn a_sequence_is_written_with_one_call_and_without_a_copy() {
    let pool = MemoryPool::new();
    let parts = [&b"to "[..], b"be ", b"or"].map(|part| {
        let mut owner = pool.rent::<u8>(part.len());
        owner.copy_from_slice(part);
        owner
    });
    let mut sequence = Sequence::from_iter(parts);
    let addresses: Vec<_> = sequence.segments().map(<[u8]>::as_ptr).collect();
    let mut peer = Peer { takes: 100, vectored: true, ..Peer::default() };
    block_on(write_all_sequence(&mut peer, &mut sequence)).unwrap();
    assert_eq!((peer.calls, &peer.written[..], peer.addresses), (1, &b"to be or"[..], addresses));
    assert!(sequence.is_empty() && pool.outstanding().is_empty());
}

#[test]
fn a_target_that_takes_little_gets_all_of_a_sequence() {
    for vectored in [false, true] {
        let text: Vec<u8> = (0..64).collect();
        let mut sequence = Sequence::from_iter(text.chunks(3).map(<[u8]>::to_vec));
        let mut peer = Peer { takes: 2, vectored, ..Peer::default() };
        block_on(write_all_sequence(&mut peer, &mut sequence)).unwrap();
        assert_eq!(peer.written, text);
    }
}

#[test]
fn a_target_that_takes_nothing_leaves_the_rest() {
    let mut sequence = Sequence::from_iter([b"to be".to_vec(), b" or".to_vec()]);
    let (mut near, mut far) = duplex(6);
    assert!(poll_once(&mut pin!(write_all_sequence(&mut near, &mut sequence))).is_pending());
    assert_eq!(sequence, b"or"[..], "what was written is gone, what was not is left");
    let mut read = [0; 6];
    block_on(far.read_exact(&mut read)).unwrap();
    assert_eq!(&read, b"to be ");
    let error = block_on(write_all_sequence(&mut Peer::default(), &mut sequence)).unwrap_err();
    assert_eq!((error.kind(), &sequence), (ErrorKind::WriteZero, &Sequence::from(b"or".to_vec())));
}

#[test]
fn a_pipe_passes_what_is_read_on_without_a_copy() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).capacity(8).block_len(8).build();
    let mut source = sends(&[b"to be", b" or", b""]);
    assert_eq!(block_on(read_into_pipe(&mut source, &mut writer)).unwrap(), 5);
    assert_eq!(block_on(read_into_pipe(&mut source, &mut writer)).unwrap(), 3);
    assert!(poll_once(&mut pin!(read_into_pipe(&mut source, &mut writer))).is_pending(), "the pipe is full");
    let mut target = Peer { takes: 6, vectored: true, ..Peer::default() };
    assert_eq!(block_on(write_from_pipe(&mut reader, &mut target)).unwrap(), 6);
    assert_eq!(target.addresses[0], source.addresses[0]);
    assert_eq!(block_on(read_into_pipe(&mut source, &mut writer)).unwrap(), 0);
    writer.complete(Ok(()));
    assert_eq!(block_on(write_from_pipe(&mut reader, &mut target)).unwrap(), 2);
    assert_eq!(block_on(write_from_pipe(&mut reader, &mut target)).unwrap(), 0);
    assert_eq!(target.written, b"to be or");
    assert!(pool.outstanding().is_empty());
}

#[test]
fn the_ends_of_a_pipe_are_streams() {
    let (mut writer, mut reader) =
        PipeBuilder::new().pool(MemoryPool::new()).capacity(100).block_len(8).build();
    block_on(async {
        writer.write_all(b"one\ntwo\nthree and no more").await.unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        reader.read_line(&mut line).await.unwrap();
        assert_eq!(line, "one\ntwo\n");
        let mut word = [0; 5];
        reader.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"three");
        let slices = [IoSlice::new(b"!"), IoSlice::new(b""), IoSlice::new(b"?")];
        assert_eq!(writer.write_vectored(&slices).await.unwrap(), 2);
        assert_eq!(writer.write(b"").await.unwrap(), 0);
        AsyncWriteExt::flush(&mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
        writer.shutdown().await.unwrap();
        let error = writer.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, " and no more!?");
    });
}

#[test]
fn a_stream_fails_with_the_error_of_the_other_end() {
    let (mut writer, mut reader) = pipe::<u8>();
    block_on(writer.write_all(b"a")).unwrap();
    writer.complete(Err(io::Error::from(ErrorKind::TimedOut).into()));
    let mut bytes = Vec::new();
    let error = block_on(reader.read_to_end(&mut bytes)).unwrap_err();
    assert_eq!((error.kind(), &bytes[..]), (ErrorKind::TimedOut, &b"a"[..]));

    let (writer, mut reader) = pipe::<u8>();
    drop(writer);
    assert_eq!(block_on(reader.read_to_end(&mut bytes)).unwrap_err().kind(), ErrorKind::UnexpectedEof);

    let (mut writer, reader) = pipe::<u8>();
    reader.complete(Err(io::Error::from(ErrorKind::InvalidData).into()));
    assert_eq!(block_on(writer.write_all(b"a")).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn a_stream_waits_while_the_pipe_is_full_and_is_woken() {
    let (mut writer, mut reader) =
        PipeBuilder::new().pool(MemoryPool::new()).capacity(4).block_len(4).build();
    let bell = Arc::new(Bell::default());
    block_on(writer.write_all(b"full")).unwrap();
    {
        let mut write = pin!(writer.write_all(b"more"));
        assert!(bell.poll(&mut write).is_pending());
        assert_eq!(block_on(reader.read_u32()).unwrap(), u32::from_be_bytes(*b"full"));
        assert_eq!(bell.rings(), 1);
        assert!(bell.poll(&mut write).is_ready());
    }
    let mut read = [0; 5];
    let mut exact = pin!(reader.read_exact(&mut read));
    assert!(bell.poll(&mut exact).is_pending());
    block_on(writer.write_all(b"!")).unwrap();
    assert_eq!(bell.rings(), 2);
    assert!(bell.poll(&mut exact).is_ready());
    assert_eq!(&read, b"more!");
}

#[test]
fn a_stream_waits_for_its_turn_in_a_pool_with_a_budget() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let all = pool.try_rent::<u8>(4096).unwrap();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).capacity(4096).block_len(4096).build();
    let bell = Arc::new(Bell::default());
    let mut write = pin!(writer.write_all(b"more"));
    assert!(bell.poll(&mut write).is_pending());
    assert!(bell.poll(&mut write).is_pending());
    assert_eq!(pool.stats().waiting, 1, "it keeps its place");
    drop(all);
    assert_eq!(bell.rings(), 1);
    assert!(bell.poll(&mut write).is_ready());
    assert_eq!(block_on(reader.read_u32()).unwrap(), u32::from_be_bytes(*b"more"));
}

#[test]
fn a_sequence_reader_is_a_stream() {
    let sequence = Sequence::from_iter([b"to b".to_vec(), b"e\nor".to_vec()]);
    let mut reader = sequence.reader();
    let mut line = String::new();
    block_on(reader.read_line(&mut line)).unwrap();
    let mut rest = Vec::new();
    block_on(AsyncReadExt::read_to_end(&mut reader, &mut rest)).unwrap();
    assert_eq!((&line[..], &rest[..]), ("to be\n", &b"or"[..]));
}
