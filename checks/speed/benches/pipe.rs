//! What it costs to hand bytes from a writer to a reader, by what it costs to copy them once, which all of them do.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use check_speed::{Clock, Goal, Row, Sample, Table};
use leasehold::{PipeBuilder, PipeReader, PipeWriter};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

struct Size {
    label: &'static str,
    len: usize,
    /// The row of the copy, by which others are measured.
    copy: &'static str,
    /// The row of tokio's duplex in two threads.
    duplex: &'static str,
    /// Chunks in a turn of a row of two tasks: some milliseconds, by which waking the threads for it is nothing.
    chunks: u64,
}

const SIZES: [Size; 3] = [
    Size {
        label: "64 B",
        len: 64,
        copy: "a copy of 64 B",
        duplex: "  tokio duplex, 64 B, two threads",
        chunks: 160_000,
    },
    Size {
        label: "4 KiB",
        len: 4 << 10,
        copy: "a copy of 4 KiB",
        duplex: "  tokio duplex, 4 KiB, two threads",
        chunks: 40_000,
    },
    Size {
        label: "64 KiB",
        len: 64 << 10,
        copy: "a copy of 64 KiB",
        duplex: "  tokio duplex, 64 KiB, two threads",
        chunks: 4000,
    },
];
/// Bytes that each of them holds at most.
const ROOM: usize = 256 << 10;

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("two threads can be started");
    let one = Builder::new_current_thread().build().expect("it needs nothing");
    let mut table = Table::new("pipe: a chunk written and read");
    for size in &SIZES {
        in_turns(&mut table, size);
    }
    for size in &SIZES {
        two_tasks(&mut table, size, &runtime, "two threads", Goal::Times(1.0, size.duplex));
    }
    for size in &SIZES {
        two_tasks(&mut table, size, &one, "two tasks in one thread", Goal::None);
    }
    table.run();
}

/// The source of every chunk.
fn source(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

/// One task that writes a chunk, then reads it.
fn in_turns(table: &mut Table<'_>, size: &Size) {
    let &Size { label, len, copy, .. } = size;
    let (chunk, mut target) = (source(len), vec![0; len]);
    table.row(Row::one(copy, move || {
        black_box(&mut target[..]).copy_from_slice(black_box(&chunk));
        1
    }));

    let name = |who: &str| format!("{who}, {label}, in turns");
    let (chunk, (mut writer, mut reader)) = (source(len), pipe());
    table.row(Row::one(name("leasehold"), move || {
        write_now(&mut writer, &chunk);
        u64::from(read_now(&mut reader) == len)
    }));

    let (chunk, mut target, (mut one, mut other)) = (source(len), vec![0; len], duplex(ROOM));
    table.row(Row::one(name("  tokio duplex"), move || {
        now(pin!(one.write_all(&chunk))).expect("there is room");
        now(pin!(other.read_exact(&mut target))).expect("there is a chunk");
        u64::from(black_box(&target)[0] == 0)
    }));

    let (chunk, (sender, mut receiver)) = (source(len), channel(ROOM / len));
    let mut buffer = BytesMut::new();
    table.row(Row::one(name("  channel of bytes"), move || {
        sender.try_send(freeze(&mut buffer, &chunk)).expect("there is room");
        u64::from(receiver.try_recv().is_ok_and(|chunk| black_box(&chunk).len() == len))
    }));
}

fn pipe() -> (PipeWriter<u8>, PipeReader<u8>) {
    PipeBuilder::new().capacity(ROOM).build()
}

fn write_now(writer: &mut PipeWriter<u8>, chunk: &[u8]) {
    let room = writer.try_reserve(chunk.len()).expect("the reader is there").expect("there is room");
    room[..chunk.len()].copy_from_slice(chunk);
    writer.commit(chunk.len());
    writer.try_flush().expect("the reader is there");
}

fn read_now(reader: &mut PipeReader<u8>) -> usize {
    let result = reader.try_read().expect("the writer is there").expect("there is a chunk");
    let len = black_box(result.buffer().first_segment()).len();
    reader.advance(len, len);
    len
}

/// What a future gives that never waits.
fn now<F: Future>(future: Pin<&mut F>) -> F::Output {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it has to wait"),
    }
}

fn freeze(buffer: &mut BytesMut, chunk: &[u8]) -> Bytes {
    if buffer.capacity() < chunk.len() {
        buffer.reserve(chunk.len().max(16 << 10));
    }
    buffer.extend_from_slice(chunk);
    buffer.split().freeze()
}

/// A task that writes and one that reads, on that runtime.
fn two_tasks<'a>(table: &mut Table<'a>, size: &'a Size, runtime: &'a Runtime, threads: &str, goal: Goal) {
    let &Size { label, len, chunks, .. } = size;
    let name = |who: &str| format!("{who}, {label}, {threads}");
    let ours = Row::new(name("leasehold"), move || {
        let (writer, reader) = pipe();
        measure(runtime, chunks, write_pipe(writer, len, chunks), read_pipe(reader))
    });
    table.row(ours.goal(goal));
    table.row(Row::new(name("  tokio duplex"), move || {
        let (one, other) = duplex(ROOM);
        measure(runtime, chunks, write_duplex(one, len, chunks), read_duplex(other))
    }));
    table.row(Row::new(name("  channel of bytes"), move || {
        let (sender, receiver) = channel(ROOM / len);
        measure(runtime, chunks, write_channel(sender, len, chunks), read_channel(receiver))
    }));
}

/// Runs both tasks to their end. The reader counts the bytes.
fn measure(
    runtime: &Runtime,
    chunks: u64,
    writer: impl Future<Output = usize> + Send + 'static,
    reader: impl Future<Output = usize> + Send + 'static,
) -> Option<Sample> {
    let sample = Sample::of(chunks, Clock::wall, || {
        runtime.block_on(async {
            let (writer, reader) = (tokio::spawn(writer), tokio::spawn(reader));
            let (written, read) = (writer.await, reader.await);
            assert_eq!(written.expect("the writer ends"), read.expect("the reader ends"));
        });
    });
    Some(sample)
}

async fn write_pipe(mut writer: PipeWriter<u8>, len: usize, chunks: u64) -> usize {
    let chunk = source(len);
    for _ in 0..chunks {
        writer.reserve(len).await.expect("the reader is there")[..len].copy_from_slice(&chunk);
        writer.commit(len);
        writer.flush().await.expect("the reader is there");
    }
    writer.complete(Ok(()));
    len * chunks as usize
}

async fn read_pipe(mut reader: PipeReader<u8>) -> usize {
    let mut all = 0;
    loop {
        let result = reader.read().await.expect("the writer completes");
        let is_completed = result.is_completed();
        let len = result.buffer().segments().map(|segment| black_box(segment).len()).sum();
        reader.advance(len, len);
        all += len;
        if is_completed {
            return all;
        }
    }
}

async fn write_duplex(mut stream: DuplexStream, len: usize, chunks: u64) -> usize {
    let chunk = source(len);
    for _ in 0..chunks {
        stream.write_all(&chunk).await.expect("the reader is there");
    }
    len * chunks as usize
}

async fn read_duplex(mut stream: DuplexStream) -> usize {
    let (mut all, mut target) = (0, vec![0; 64 << 10]);
    loop {
        match stream.read(&mut target).await.expect("nothing fails") {
            0 => return all,
            len => all += black_box(&target[..len]).len(),
        }
    }
}

async fn write_channel(sender: Sender<Bytes>, len: usize, chunks: u64) -> usize {
    let (chunk, mut buffer) = (source(len), BytesMut::new());
    for _ in 0..chunks {
        sender.send(freeze(&mut buffer, &chunk)).await.expect("the reader is there");
    }
    len * chunks as usize
}

async fn read_channel(mut receiver: Receiver<Bytes>) -> usize {
    let mut all = 0;
    while let Some(chunk) = receiver.recv().await {
        all += black_box(&chunk[..]).len();
    }
    all
}
