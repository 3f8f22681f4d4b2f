//! Pipes.

use std::cell::Cell;
use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use leasehold::{
    MemoryPool, PipeBuilder, PipeReader, PipeWriter, ReadError, RentError, Sequence, WriteError, pipe,
};

use crate::support::{Bell, block_on, bounded, catch, poll_once};

/// Writes and flushes what there is room for without waiting.
fn write(writer: &mut PipeWriter<u8>, bytes: &[u8]) {
    writer.try_reserve(bytes.len()).unwrap().unwrap()[..bytes.len()].copy_from_slice(bytes);
    writer.commit(bytes.len());
    writer.try_flush().unwrap();
}

/// What a read that need not wait shows.
fn shown(reader: &mut PipeReader<u8>) -> Option<Vec<u8>> {
    reader.try_read().unwrap().map(|result| result.buffer().iter().copied().collect())
}

fn small(capacity: usize, block_len: usize) -> (PipeWriter<u8>, PipeReader<u8>) {
    PipeBuilder::new().pool(MemoryPool::new()).capacity(capacity).block_len(block_len).build()
}

#[test]
fn what_is_flushed_is_read_in_order_and_in_place() {
    let (mut writer, mut reader) = small(100, 10);
    let room = writer.try_reserve(3).unwrap().unwrap();
    assert_eq!(room.len(), 10);
    room[..3].copy_from_slice(b"abc");
    let address = room.as_ptr();
    writer.commit(2);
    assert_eq!((writer.unflushed(), shown(&mut reader)), (2, None), "nothing is shown before the flush");
    writer.try_flush().unwrap();
    assert_eq!(writer.unflushed(), 0);
    let result = reader.try_read().unwrap().unwrap();
    assert_eq!(result.buffer().as_single(), Some(&b"ab"[..]));
    assert_eq!((result.buffer().first_segment().as_ptr(), result.is_completed()), (address, false));
    reader.advance(2, 2);
    write(&mut writer, b"0123456789");
    write(&mut writer, b"x");
    assert_eq!(shown(&mut reader).unwrap(), b"0123456789x");
}

#[test]
fn a_read_waits_for_more_than_what_was_examined() {
    let (mut writer, mut reader) = small(100, 10);
    write(&mut writer, b"abcd");
    assert_eq!(shown(&mut reader).unwrap(), b"abcd");
    assert_eq!(shown(&mut reader).unwrap(), b"abcd", "nothing was examined");
    reader.advance(1, 3);
    assert_eq!(shown(&mut reader).unwrap(), b"bcd", "one was not examined");
    reader.advance(0, 3);
    assert_eq!(shown(&mut reader), None);
    assert_eq!(*reader.buffer(), b"bcd"[..]);
    write(&mut writer, b"e");
    assert_eq!(shown(&mut reader).unwrap(), b"bcde");
    reader.advance(4, 4);
    assert_eq!(shown(&mut reader), None);
}

#[test]
fn positions_beyond_the_buffer_change_nothing() {
    let (mut writer, mut reader) = small(100, 10);
    write(&mut writer, b"abcd");
    assert_eq!(shown(&mut reader).unwrap(), b"abcd");
    for (consumed, examined) in [(5, 5), (0, 5), (3, 2)] {
        assert!(catch(|| reader.advance(consumed, examined)).is_err());
        assert_eq!(shown(&mut reader).unwrap(), b"abcd");
    }
}

#[test]
fn the_bound_is_on_what_is_held_and_not_on_what_is_examined() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, b"12345");
    assert!(writer.try_reserve(4).unwrap().is_none());
    assert_eq!(shown(&mut reader).unwrap(), b"12345");
    reader.advance(0, 5);
    assert!(writer.try_reserve(4).unwrap().is_none(), "examined is not consumed");
    reader.advance(1, 5);
    assert_eq!(writer.try_reserve(4).unwrap().unwrap().len(), 4, "no more than the pipe has room for");
    writer.commit(4);
    assert_eq!(writer.try_flush().unwrap(), 0);
    assert!(catch(|| writer.commit(1)).is_err());
    assert!(matches!(writer.try_reserve(9), Err(WriteError::TooLarge { asked: 9, capacity: 8 })));
}

#[test]
fn a_flush_of_a_full_pipe_waits_until_half_of_it_is_free() {
    let (mut writer, mut reader) = small(8, 8);
    let bell = Arc::new(Bell::default());
    writer.try_reserve(8).unwrap().unwrap().fill(1);
    writer.commit(8);
    let mut flush = writer.flush();
    assert!(bell.poll(&mut flush).is_pending());
    assert_eq!(shown(&mut reader).unwrap().len(), 8);
    reader.advance(3, 8);
    assert_eq!(bell.rings(), 0);
    reader.advance(1, 5);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(bell.poll(&mut flush), Poll::Ready(Ok(()))));
}

#[test]
fn a_reservation_waits_for_as_much_room_as_it_needs() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, &[1; 8]);
    let bell = Arc::new(Bell::default());
    let mut reserve = writer.reserve(6);
    assert!(bell.poll(&mut reserve).is_pending());
    shown(&mut reader);
    reader.advance(5, 8);
    assert_eq!(bell.rings(), 0, "half is free, and it needs more");
    reader.advance(1, 3);
    assert_eq!(bell.rings(), 1);
    let Poll::Ready(Ok(room)) = bell.poll(&mut reserve) else { panic!() };
    assert_eq!(room.len(), 6);
}

#[test]
fn what_was_committed_is_shown_before_the_writer_waits() {
    let (mut writer, mut reader) = small(8, 8);
    writer.try_reserve(5).unwrap().unwrap().fill(1);
    writer.commit(5);
    let mut reserve = writer.reserve(5);
    assert!(poll_once(&mut reserve).is_pending());
    assert_eq!(shown(&mut reader).unwrap().len(), 5);
    reader.advance(5, 5);
    assert!(poll_once(&mut reserve).is_ready());
}

#[test]
fn a_reader_that_waits_is_woken_by_a_flush_and_by_the_end() {
    let (mut writer, mut reader) = small(8, 8);
    let bell = Arc::new(Bell::default());
    let mut read = reader.read();
    assert!(bell.poll(&mut read).is_pending());
    write(&mut writer, b"a");
    assert_eq!(bell.rings(), 1);
    assert!(bell.poll(&mut read).is_ready());
    drop(read);
    reader.advance(1, 1);
    let mut read = reader.read();
    assert!(bell.poll(&mut read).is_pending());
    writer.complete(Ok(()));
    assert_eq!(bell.rings(), 2);
    let Poll::Ready(Ok(result)) = bell.poll(&mut read) else { panic!() };
    assert!(result.is_completed() && result.buffer().is_empty());
}

#[test]
fn who_neither_consumes_nor_makes_room_is_told_that_the_pipe_is_full() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, &[1; 6]);
    shown(&mut reader);
    reader.advance(0, 6);
    let bell = Arc::new(Bell::default());
    let mut read = reader.read();
    assert!(bell.poll(&mut read).is_pending(), "there is room for two more");
    let mut reserve = writer.reserve(3);
    assert!(poll_once(&mut reserve).is_pending());
    assert_eq!(bell.rings(), 1);
    let Poll::Ready(Err(full)) = bell.poll(&mut read) else { panic!() };
    assert!(matches!(full, ReadError::Full { held: 6, wanted: 3, capacity: 8 }));
    drop(read);
    assert!(full.to_string().contains("holds 6 of 8 elements"), "{full}");
    reader.advance(1, 6);
    assert!(poll_once(&mut reserve).is_ready());
}

#[test]
fn a_writer_that_waits_for_half_a_pipe_gets_what_it_needs_before_the_reader_waits_too() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, &[1; 8]);
    let bell = Arc::new(Bell::default());
    let mut reserve = writer.reserve(1);
    assert!(bell.poll(&mut reserve).is_pending());
    shown(&mut reader);
    reader.advance(1, 8);
    assert_eq!(bell.rings(), 0);
    assert_eq!(shown(&mut reader), None);
    assert_eq!(bell.rings(), 1);
    assert!(poll_once(&mut reserve).is_ready());
}

#[test]
fn a_wait_that_was_given_up_is_forgotten_by_the_other_side() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, &[1; 8]);
    let bell = Arc::new(Bell::default());
    let mut reserve = writer.reserve(3);
    assert!(bell.poll(&mut reserve).is_pending());
    drop(reserve);
    let mut flush = writer.flush();
    assert!(bell.poll(&mut flush).is_pending());
    drop(flush);
    assert_eq!(Arc::strong_count(&bell), 1, "no waker is kept");
    shown(&mut reader);
    reader.advance(0, 8);
    assert_eq!(shown(&mut reader), None, "full, but nobody waits");
    let mut read = reader.read();
    assert!(bell.poll(&mut read).is_pending());
    drop(read);
    assert_eq!((Arc::strong_count(&bell), bell.rings()), (1, 0));
    reader.advance(8, 8);
    write(&mut writer, b"on");
    assert_eq!(shown(&mut reader).unwrap(), b"on");
}

#[test]
fn the_data_comes_before_the_end() {
    let (mut writer, mut reader) = small(8, 8);
    writer.try_reserve(3).unwrap().unwrap()[..3].copy_from_slice(b"abc");
    writer.commit(3);
    writer.complete(Ok(()));
    let result = reader.try_read().unwrap().unwrap();
    assert_eq!(*result.buffer(), b"abc"[..]);
    assert!(result.is_completed());
    reader.advance(1, 3);
    let result = reader.try_read().unwrap().unwrap();
    assert_eq!(*result.buffer(), b"bc"[..]);
    assert!(result.is_completed(), "and again, as often as it is asked for");
}

#[test]
fn the_data_comes_before_the_error_of_the_writer() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, b"abc");
    writer.complete(Err("reset".into()));
    let result = reader.try_read().unwrap().unwrap();
    assert_eq!((result.buffer().len(), result.is_completed()), (3, false));
    reader.advance(1, 2);
    assert_eq!(shown(&mut reader).unwrap(), b"bc");
    reader.advance(0, 2);
    for _ in 0..2 {
        let failed = reader.try_read().unwrap_err();
        assert_eq!(failed.source().unwrap().to_string(), "reset");
    }
    assert_eq!(*reader.buffer(), b"bc"[..], "what was not consumed is not lost");
}

#[test]
fn a_writer_that_is_dropped_is_an_error_and_what_it_had_not_flushed_is_not_read() {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, b"ab");
    writer.try_reserve(1).unwrap().unwrap();
    writer.commit(1);
    drop(writer);
    assert_eq!(shown(&mut reader).unwrap(), b"ab");
    reader.advance(2, 2);
    assert!(matches!(reader.try_read(), Err(ReadError::WriterGone)));
    assert!(matches!(block_on(reader.read()), Err(ReadError::WriterGone)));
}

#[test]
fn a_writer_whose_thread_panics_is_an_error_for_the_reader() {
    let (mut writer, mut reader) = small(8, 8);
    let thread = thread::spawn(move || {
        write(&mut writer, b"a");
        panic!("on purpose");
    });
    let gone = loop {
        match reader.read_blocking().map(|result| result.buffer().len()) {
            Ok(len) => reader.advance(len, len),
            Err(error) => break error,
        }
    };
    assert!(matches!(gone, ReadError::WriterGone));
    assert!(thread.join().is_err());
}

#[test]
fn a_reader_that_has_gone_is_told_to_the_writer() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).capacity(4).build::<u8>();
    write(&mut writer, b"abc");
    shown(&mut reader);
    write(&mut writer, b"d");
    let bell = Arc::new(Bell::default());
    let mut flush = writer.flush();
    assert!(bell.poll(&mut flush).is_pending());
    drop(reader);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(bell.poll(&mut flush), Poll::Ready(Err(WriteError::ReaderGone))));
    drop(flush);
    assert!(matches!(writer.try_reserve(4), Err(WriteError::ReaderGone)));
    assert!(matches!(writer.try_flush(), Err(WriteError::ReaderGone)));
    writer.complete(Ok(()));
    assert_eq!(pool.outstanding().len(), 0, "what nobody will read went back");
}

#[test]
fn a_reader_that_fails_says_why() {
    let (mut writer, reader) = small(8, 8);
    reader.complete(Err("not a picture".into()));
    let error = block_on(writer.flush()).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "not a picture");
    let (mut writer, reader) = small(8, 8);
    reader.complete(Ok(()));
    assert!(matches!(writer.flush_blocking(), Err(WriteError::ReaderGone)));
}

#[test]
fn what_the_reader_keeps_outlives_the_pipe() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).block_len(4).build::<u8>();
    write(&mut writer, b"abcd");
    write(&mut writer, b"efgh");
    let kept: Sequence<u8> = reader.try_read().unwrap().unwrap().buffer().slice(2..6);
    reader.advance(8, 8);
    for _ in 0..10 {
        write(&mut writer, b"xxxx");
        assert_eq!(shown(&mut reader).unwrap(), b"xxxx");
        reader.advance(4, 4);
    }
    assert_eq!(kept, b"cdef"[..]);
    drop((reader, writer));
    assert_eq!((kept.len(), pool.outstanding().len()), (4, 2));
    drop(kept);
    assert_eq!(pool.outstanding().len(), 0);
}

#[test]
fn a_block_that_was_read_is_written_again() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).block_len(64).build::<u8>();
    for round in 0..100 {
        write(&mut writer, &[round; 40]);
        assert_eq!(shown(&mut reader).unwrap(), [round; 40]);
        reader.advance(40, 40);
    }
    assert_eq!(pool.stats().rents(), 1);
}

#[test]
fn a_pool_with_a_budget_makes_the_writer_wait_for_its_turn() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let (mut writer, mut reader) =
        PipeBuilder::new().pool(&pool).capacity(1 << 20).block_len(4096).build::<u8>();
    write(&mut writer, &[1; 4096]);
    assert!(matches!(writer.try_reserve(1), Err(WriteError::Rent(RentError::Exhausted(_)))));
    let bell = Arc::new(Bell::default());
    let mut reserve = writer.reserve(1);
    assert!(bell.poll(&mut reserve).is_pending());
    drop(reserve);
    let mut reserve = writer.reserve(1);
    assert!(bell.poll(&mut reserve).is_pending());
    assert_eq!(shown(&mut reader).unwrap().len(), 4096);
    reader.advance(4096, 4096);
    let Poll::Ready(Ok(room)) = bell.poll(&mut reserve) else { panic!("the block came back") };
    assert_eq!(room.len(), 4096);
}

#[test]
fn a_writer_that_waits_for_memory_which_the_pipe_holds_is_woken_when_it_was_read() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let (mut writer, mut reader) =
        PipeBuilder::new().pool(&pool).capacity(1 << 20).block_len(4096).build::<u8>();
    write(&mut writer, &[1; 4000]);
    let bell = Arc::new(Bell::default());
    let mut reserve = writer.reserve(100);
    assert!(bell.poll(&mut reserve).is_pending());
    assert_eq!(shown(&mut reader).unwrap().len(), 4000);
    reader.advance(3999, 4000);
    assert_eq!(bell.rings(), 0, "one byte of the block was not read");
    reader.advance(1, 1);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(bell.poll(&mut reserve), Poll::Ready(Ok(room)) if room.len() == 4096));
}

#[test]
fn pieces_that_are_read_one_by_one_lie_side_by_side_in_one_share_of_a_block() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).block_len(64).build::<u8>();
    let mut next = None;
    for piece in [b"to be ", b"or not", b"-to be"] {
        write(&mut writer, piece);
        let buffer = reader.try_read().unwrap().unwrap().buffer().clone();
        assert_eq!(buffer, piece[..], "nothing that was consumed");
        let addresses = buffer.as_single().unwrap().as_ptr_range();
        assert!(next.is_none_or(|next| next == addresses.start));
        next = Some(addresses.end);
        let share = buffer.owners().next().unwrap();
        assert_eq!(share.owners(), 4, "the writer, the reader, and the two here");
        drop((share, buffer));
        reader.advance(6, 6);
    }
}

#[test]
fn a_reader_that_has_consumed_everything_keeps_no_block_that_the_writer_has_left() {
    let pool = MemoryPool::new();
    let small = || PipeBuilder::new().pool(&pool).block_len(10).build::<u8>();
    let consume = |reader: &mut PipeReader<u8>, bytes: &[u8]| {
        assert_eq!(shown(reader).unwrap(), bytes);
        reader.advance(bytes.len(), bytes.len());
    };
    // The writer leaves the block first, or the reader is done with it first.
    let (mut writer, mut reader) = small();
    write(&mut writer, b"abcdef");
    let room = writer.try_reserve(8).unwrap().unwrap().as_ptr();
    assert_eq!(pool.outstanding().len(), 2);
    consume(&mut reader, b"abcdef");
    assert_eq!(pool.outstanding().len(), 1);
    write(&mut writer, b"ghijkl");
    consume(&mut reader, b"ghijkl");
    assert_eq!(writer.try_reserve(8).unwrap().unwrap().as_ptr(), room, "the same block, from its beginning");
    assert_eq!(pool.outstanding().len(), 1);
    // Either end may go first.
    write(&mut writer, b"mn");
    consume(&mut reader, b"mn");
    drop(writer);
    assert_eq!(pool.outstanding().len(), 0);
    let (mut writer, mut reader) = small();
    write(&mut writer, b"op");
    drop(writer);
    consume(&mut reader, b"op");
    assert_eq!(pool.outstanding().len(), 0);
    let (mut writer, mut reader) = small();
    write(&mut writer, b"qr");
    consume(&mut reader, b"qr");
    drop(reader);
    drop(writer);
    assert_eq!(pool.outstanding().len(), 0);
}

#[test]
fn elements_without_a_size_pass_too() {
    let (mut writer, mut reader) = PipeBuilder::new().capacity(10).block_len(4).build::<()>();
    for len in [4, 3, 1, 10] {
        let mut left: usize = len;
        while left > 0 {
            let room = writer.try_reserve(1).unwrap().unwrap().len().min(left);
            writer.commit(room);
            left -= room;
        }
        writer.try_flush().unwrap();
        assert_eq!(reader.try_read().unwrap().unwrap().buffer().len(), len);
        reader.advance(len, len);
    }
}

#[test]
fn everything_that_is_written_in_one_thread_is_read_in_another() {
    bounded(|| {
        let total: usize = if cfg!(miri) { 2000 } else { 200_000 };
        let (mut writer, mut reader) = PipeBuilder::new().capacity(257).block_len(64).build::<u32>();
        let source = thread::spawn(move || {
            let (mut next, mut len) = (0..total as u32, 1);
            while !next.is_empty() {
                len = len * 7 % 61 + 1;
                let room = writer.reserve_blocking(len).unwrap();
                let written = room.iter_mut().zip(next.by_ref()).map(|(slot, number)| *slot = number).count();
                writer.commit(written);
                writer.flush_blocking().unwrap();
            }
            writer.complete(Ok(()));
        });
        let (mut expected, mut turn) = (0..total as u32, 0usize);
        loop {
            let result = reader.read_blocking().unwrap();
            let (len, is_completed) = (result.buffer().len(), result.is_completed());
            // Sometimes it looks at everything, and takes half of it.
            let consumed = if turn % 3 == 0 && !is_completed { len.div_ceil(2) } else { len };
            assert!(result.buffer().slice(..consumed).iter().copied().eq(expected.by_ref().take(consumed)));
            reader.advance(consumed, len);
            turn += 1;
            if is_completed {
                break;
            }
        }
        assert!(expected.is_empty());
        source.join().unwrap();
    });
}

#[test]
fn two_tasks_of_one_thread_hand_everything_over() {
    let (mut writer, mut reader) = PipeBuilder::new().capacity(10).block_len(4).build::<u8>();
    let mut source = pin!(async move {
        for byte in 0..100 {
            writer.reserve(1).await?[0] = byte;
            writer.commit(1);
            writer.flush().await?;
        }
        writer.complete(Ok(()));
        Ok::<_, WriteError>(())
    });
    let mut sink = pin!(async move {
        let mut read: Vec<u8> = Vec::new();
        loop {
            let result = reader.read().await?;
            let (len, is_completed) = (result.buffer().len(), result.is_completed());
            read.extend(result.buffer());
            reader.advance(len, len);
            if is_completed {
                return Ok::<_, ReadError>(read);
            }
        }
    });
    let read = block_on(std::future::poll_fn(|context| {
        if let Poll::Ready(result) = source.as_mut().poll(context) {
            result.unwrap();
        }
        sink.as_mut().poll(context)
    }))
    .unwrap();
    assert!(read.into_iter().eq(0..100));
}

/// Pieces that are handed over.
const PIECES: usize = if cfg!(miri) { 8 } else { 40 };

/// Counts the waits of two tasks, and says which one is given up.
struct Waits {
    seen: Cell<usize>,
    given_up: usize,
}

impl Waits {
    /// Polls a future once. If it waits, and this is the wait to be given up, there is none: drop it and ask again.
    async fn attempt<F: Future + Unpin>(&self, mut future: F) -> Option<F::Output> {
        let first = poll_fn(|context| Poll::Ready(Pin::new(&mut future).poll(context))).await;
        if let Poll::Ready(output) = first {
            return Some(output);
        }
        let number = self.seen.replace(self.seen.get() + 1);
        if number == self.given_up { None } else { Some(future.await) }
    }
}

/// Hands bytes from one task to another, and gives up one of their waits. Returns how many there were.
fn hand_over(pipe: (PipeWriter<u8>, PipeReader<u8>), piece: usize, given_up: usize) -> usize {
    let (mut writer, mut reader) = pipe;
    let waits = &Waits { seen: Cell::new(0), given_up };
    // In bulk, which the interpreter is fast at.
    let mut text = (0..=255).collect::<Vec<u8>>().repeat(PIECES * piece / 256 + 1);
    text.truncate(PIECES * piece);
    let expected = text.clone();
    let mut source = pin!(async move {
        for bytes in text.chunks(piece) {
            loop {
                if let Some(room) = waits.attempt(writer.reserve(piece)).await {
                    room.unwrap()[..piece].copy_from_slice(bytes);
                    break;
                }
            }
            writer.commit(piece);
            while waits.attempt(writer.flush()).await.transpose().unwrap().is_none() {}
        }
        writer.complete(Ok(()));
    });
    let mut sink = pin!(async {
        let mut read: Vec<u8> = Vec::new();
        loop {
            let Some(result) = waits.attempt(reader.read()).await else { continue };
            let result = result.unwrap();
            let (len, is_completed) = (result.buffer().len(), result.is_completed());
            for segment in result.buffer().segments() {
                read.extend_from_slice(segment);
            }
            reader.advance(len, len);
            if is_completed {
                return read;
            }
        }
    });
    // Each is polled when its waker was called, and not otherwise.
    let (bells, mut is_written) = ([Arc::new(Bell::default()), Arc::new(Bell::default())], false);
    let mut polled = [0, 0];
    let read = loop {
        let rings = [1 + bells[0].rings(), 1 + bells[1].rings()];
        assert_ne!(rings, polled, "both wait for ever");
        if rings[0] != polled[0] && !is_written {
            is_written = bells[0].poll(&mut source).is_ready();
        }
        if rings[1] != polled[1]
            && let Poll::Ready(read) = bells[1].poll(&mut sink)
        {
            break read;
        }
        polled = rings;
    };
    assert_eq!(read, expected);
    waits.seen.get()
}

#[test]
fn whichever_wait_is_given_up_nothing_is_lost_and_nothing_is_read_twice() {
    let for_room = || PipeBuilder::new().pool(MemoryPool::new()).capacity(10).block_len(4).build();
    let for_memory = || {
        let pool = MemoryPool::builder().build_bounded(8192);
        PipeBuilder::new().pool(&pool).capacity(1 << 20).block_len(4096).build()
    };
    for given_up in 0.. {
        let waits = [hand_over(for_room(), 3, given_up), hand_over(for_memory(), 1500, given_up)];
        if waits.iter().all(|&waits| waits <= given_up) {
            assert!(given_up >= PIECES / 2, "{given_up} waits are too few to show anything");
            break;
        }
    }
}

#[test]
fn nothing_that_is_printed_shows_what_is_in_the_pipe() {
    let (mut writer, mut reader) = pipe::<u8>();
    write(&mut writer, b"secret");
    let result = format!("{:?}", reader.try_read().unwrap().unwrap());
    let read = format!("{:?}", reader.read());
    let printed = format!("{writer:?} {reader:?} {result} {read}");
    assert!(!printed.contains("115"), "{printed}");
    assert!(printed.contains("len: 6"), "{printed}");
}

#[test]
fn a_closed_writer_writes_no_more_and_holds_no_block() {
    let pool = MemoryPool::new();
    let (mut writer, mut reader) = PipeBuilder::new().pool(&pool).capacity(100).block_len(10).build();
    writer.try_reserve(3).unwrap().unwrap().fill(1);
    writer.commit(3);
    writer.close(Ok(()));
    writer.close(Err("too late".into()));
    assert!(matches!(writer.try_reserve(1), Err(WriteError::Completed)));
    assert!(matches!(writer.try_flush(), Err(WriteError::Completed)));
    assert!(matches!(block_on(writer.reserve(1)), Err(WriteError::Completed)));
    assert!(catch(|| writer.commit(1)).is_err());
    let result = reader.try_read().unwrap().unwrap();
    assert_eq!((result.buffer().len(), result.is_completed()), (3, true));
    reader.advance(3, 3);
    assert_eq!(pool.outstanding().len(), 0);
}

#[test]
fn a_place_in_the_queue_is_taken_over_by_the_next_reservation() {
    let pool = MemoryPool::builder().build_bounded(4096);
    let all = pool.try_rent::<u8>(4096).unwrap();
    let (mut writer, _reader) = PipeBuilder::new().pool(&pool).capacity(4096).block_len(64).build::<u8>();
    let bell = Arc::new(Bell::default());
    let waker = std::task::Waker::from(Arc::clone(&bell));
    let mut context = std::task::Context::from_waker(&waker);
    assert!(writer.poll_reserve(1, &mut context).is_pending());
    assert_eq!(pool.stats().waiting, 1);
    assert!(writer.try_reserve(1).is_err());
    assert_eq!(pool.stats().waiting, 0, "it would have waited for itself");
    assert!(writer.poll_reserve(1, &mut context).is_pending());
    let mut reserve = writer.reserve(10);
    assert!(bell.poll(&mut reserve).is_pending());
    assert_eq!(pool.stats().waiting, 1, "the same place");
    drop(reserve);
    assert_eq!(pool.stats().waiting, 0);
    assert!(writer.poll_reserve(1, &mut context).is_pending());
    assert!(writer.poll_reserve(4000, &mut context).is_pending());
    assert_eq!(pool.stats().waiting, 1, "a place for more");
    drop(all);
    assert!(matches!(writer.poll_reserve(4000, &mut context), Poll::Ready(Ok(room)) if room.len() == 4000));
    drop(writer);
    assert!(pool.outstanding().is_empty());
}

/// A pipe of eight with six in it that were looked at, whose writer was told to wait for room for three.
fn waiting_for_three(bell: &Arc<Bell>) -> (PipeWriter<u8>, PipeReader<u8>) {
    let (mut writer, mut reader) = small(8, 8);
    write(&mut writer, &[1; 6]);
    writer.try_flush().unwrap();
    assert_eq!(reader.try_read().unwrap().unwrap().buffer().len(), 6);
    reader.advance(0, 6);
    let waker = std::task::Waker::from(Arc::clone(bell));
    assert!(writer.poll_reserve(3, &mut std::task::Context::from_waker(&waker)).is_pending());
    (writer, reader)
}

#[test]
fn a_writer_that_goes_on_with_less_has_given_up_waiting_for_more() {
    let bell = Arc::new(Bell::default());
    let waker = std::task::Waker::noop();
    let (_writer, mut reader) = waiting_for_three(&bell);
    assert!(matches!(reader.try_read(), Err(ReadError::Full { held: 6, wanted: 3, .. })), "it waits");

    let (mut writer, mut reader) = waiting_for_three(&bell);
    assert!(writer.try_reserve(1).unwrap().is_some());
    assert!(reader.try_read().unwrap().is_none());

    let (mut writer, mut reader) = waiting_for_three(&bell);
    writer.reserve_blocking(2).unwrap();
    assert!(reader.try_read().unwrap().is_none());

    let (mut writer, mut reader) = waiting_for_three(&bell);
    let mut context = std::task::Context::from_waker(waker);
    assert!(writer.poll_reserve(1, &mut context).is_ready());
    assert!(reader.try_read().unwrap().is_none());

    let (mut writer, mut reader) = waiting_for_three(&bell);
    writer.commit(1);
    assert_eq!(writer.try_flush().unwrap(), 1);
    assert_eq!(reader.try_read().unwrap().unwrap().buffer().len(), 7);
    reader.advance(0, 7);
    assert!(reader.try_read().unwrap().is_none());
}

#[test]
fn a_task_whose_wait_was_given_up_for_something_else_is_woken() {
    let bell = Arc::new(Bell::default());
    let (mut writer, _reader) = waiting_for_three(&bell);
    let before = bell.rings();
    assert!(writer.try_reserve(3).unwrap().is_none());
    assert_eq!(bell.rings(), before, "nothing was given up");
    assert!(writer.try_reserve(2).unwrap().is_some());
    assert_eq!(bell.rings(), before + 1);
}
