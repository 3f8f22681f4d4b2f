//! `futures-io`.

use std::io::{ErrorKind, IoSlice};

use futures::executor::block_on;
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, future::join};
use leasehold::{MemoryPool, PipeBuilder, Sequence, pipe};
use leasehold_interop::futures::{AsyncPipeReader, AsyncPipeWriter, AsyncSequenceReader};

#[test]
fn a_small_pipe_carries_much_and_gives_its_blocks_back() {
    let pool = MemoryPool::new();
    let (writer, reader) = PipeBuilder::new().pool(&pool).capacity(100).block_len(32).build();
    let (mut writer, mut reader) = (AsyncPipeWriter(writer), AsyncPipeReader(reader));
    // Enough to go around the pipe a few times, or many.
    let len: u32 = if cfg!(miri) { 500 } else { 10_000 };
    let text: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let write = async {
        writer.write_all(&text).await.unwrap();
        writer.flush().await.unwrap();
        writer.close().await.unwrap();
        writer.write_all(b"more").await.unwrap_err().kind()
    };
    let read = async {
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await.unwrap();
        read
    };
    let (error, read) = block_on(join(write, read));
    assert_eq!(error, ErrorKind::BrokenPipe);
    assert_eq!(read, text);
    drop((writer, reader));
    assert!(pool.outstanding().is_empty());
}

#[test]
fn a_look_into_a_pipe_copies_nothing() {
    let (mut writer, reader) = pipe::<u8>();
    let room = writer.try_reserve(8).unwrap().unwrap();
    room[..8].copy_from_slice(b"to be or");
    let address = room.as_ptr();
    writer.commit(8);
    writer.try_flush().unwrap();
    let mut reader = AsyncPipeReader(reader);
    assert_eq!(block_on(reader.fill_buf()).unwrap().as_ptr(), address);
    reader.consume_unpin(3);
    let shown = block_on(reader.fill_buf()).unwrap();
    assert_eq!((shown.as_ptr(), shown), (address.wrapping_add(3), &b"be or"[..]));
    drop(writer);
    let mut rest = Vec::new();
    let error = block_on(reader.read_to_end(&mut rest)).unwrap_err();
    assert_eq!((error.kind(), &rest[..]), (ErrorKind::UnexpectedEof, &b"be or"[..]));
}

#[test]
fn many_slices_are_one_write() {
    let (writer, reader) = pipe::<u8>();
    let (mut writer, mut reader) = (AsyncPipeWriter(writer), AsyncPipeReader(reader));
    let slices = [IoSlice::new(b""), IoSlice::new(b"to "), IoSlice::new(b"be")];
    assert_eq!(block_on(writer.write_vectored(&slices)).unwrap(), 5);
    assert_eq!(block_on(writer.write(b"")).unwrap(), 0);
    let mut read = [0; 5];
    block_on(reader.read_exact(&mut read)).unwrap();
    assert_eq!(&read, b"to be");
}

#[test]
fn a_sequence_is_read_across_its_borders() {
    let sequence = Sequence::from_iter([b"to b".to_vec(), b"e\nor".to_vec()]);
    let mut reader = AsyncSequenceReader(sequence.reader());
    let address = sequence.first_segment().as_ptr();
    assert_eq!(block_on(reader.fill_buf()).unwrap().as_ptr(), address);
    let (mut line, mut rest) = (String::new(), String::new());
    block_on(reader.read_line(&mut line)).unwrap();
    block_on(reader.read_to_string(&mut rest)).unwrap();
    assert_eq!((&line[..], &rest[..]), ("to be\n", "or"));
}
