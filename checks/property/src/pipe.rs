//! Pipes against a queue.

use std::collections::VecDeque;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use leasehold::{MemoryPool, PipeBuilder, PipeReader, PipeWriter, ReadError, Sequence, WriteError};

use crate::world::{Operation, take};

/// Does `operations` one after the other, on both ends of a pipe, checks every outcome, who is woken, and everything that is
/// read. The first operation says what the pipe is like.
pub fn run_pipe(operations: &[Operation]) {
    let Some((&settings, operations)) = operations.split_first() else { return };
    let pool = MemoryPool::new();
    let mut world = World::new(&pool, settings);
    for &operation in operations {
        world.step(operation);
        world.check();
    }
    drop(world);
    assert_eq!(pool.outstanding().len(), 0, "every block came back");
}

/// How an end of the pipe stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Open,
    Completed,
    Failed,
    Gone,
}

struct World {
    writer: Option<PipeWriter<u8>>,
    reader: Option<PipeReader<u8>>,
    writing: End,
    reading: End,
    capacity: usize,
    /// What was committed and not flushed.
    committed: VecDeque<u8>,
    /// What was flushed and not consumed.
    held: VecDeque<u8>,
    /// How much of that the reader was shown, and how much it has examined.
    shown: usize,
    examined: usize,
    /// What the reader keeps, with what should be in it.
    kept: Vec<(Sequence<u8>, Vec<u8>)>,
    next: u8,
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    fn rang(&self) -> bool {
        self.0.swap(0, Ordering::SeqCst) > 0
    }
}

impl World {
    fn new(pool: &MemoryPool, (a, b, _, _): Operation) -> World {
        let capacity = 1 + usize::from(a) % 70;
        let builder = PipeBuilder::new().pool(pool).capacity(capacity).block_len(1 + usize::from(b) % 30);
        let (writer, reader) = builder.build();
        World {
            writer: Some(writer),
            reader: Some(reader),
            writing: End::Open,
            reading: End::Open,
            capacity,
            committed: VecDeque::new(),
            held: VecDeque::new(),
            shown: 0,
            examined: 0,
            kept: Vec::new(),
            next: 0,
        }
    }

    fn step(&mut self, (what, a, b, c): Operation) {
        match what {
            0..=89 => self.write(a, b),
            90..=119 => self.flush(),
            120..=149 => self.wait_to_write(a, b),
            150..=179 => self.read(),
            180..=219 => self.advance(a, b),
            220..=234 => self.wait_to_read(a),
            235..=243 => self.keep(a, b),
            244..=247 => drop(take(&mut self.kept, a)),
            _ => self.end(what, c),
        }
    }

    fn room(&self) -> usize {
        self.capacity - self.held.len() - self.committed.len()
    }

    /// Whatever the writer does may flush what was committed: it is seen by what it says itself.
    fn settle(&mut self) {
        let Some(writer) = &self.writer else { return };
        if writer.unflushed() == 0 {
            if self.reading == End::Open {
                self.held.append(&mut self.committed);
            } else {
                self.committed.clear();
            }
        }
        assert_eq!(writer.unflushed(), self.committed.len());
    }

    fn write(&mut self, a: u8, b: u8) {
        let wanted = usize::from(a) % (self.capacity + 2);
        let room = self.room();
        let Some(writer) = &mut self.writer else { return };
        let written = match writer.try_reserve(wanted) {
            Err(WriteError::TooLarge { asked, capacity }) => {
                assert_eq!((asked, capacity), (wanted, self.capacity));
                assert!(wanted > capacity);
                None
            }
            Err(error) => {
                assert!(fits(&error, self.reading), "{error}");
                None
            }
            Ok(None) => {
                assert!(room < wanted.max(1), "{room} and {wanted}");
                None
            }
            Ok(Some(slice)) => {
                assert!(slice.len() >= wanted.max(1) && slice.len() <= room);
                let len = usize::from(b) % (slice.len() + 1);
                slice[..len].iter_mut().for_each(|byte| {
                    *byte = self.next;
                    self.next = self.next.wrapping_add(1);
                });
                writer.commit(len);
                Some(len)
            }
        };
        // What was committed before may have been flushed, what was written just now has not.
        let before = std::mem::take(&mut self.committed);
        let unflushed = writer.unflushed();
        let new = written.unwrap_or(0);
        if unflushed == before.len() + new {
            self.committed = before;
        } else {
            assert_eq!(unflushed, new);
            if self.reading == End::Open {
                self.held.extend(before);
            }
        }
        let first = self.next.wrapping_sub(new as u8);
        self.committed.extend((0..new).map(|at| first.wrapping_add(at as u8)));
    }

    fn flush(&mut self) {
        let Some(writer) = &mut self.writer else { return };
        let flushed = writer.try_flush();
        self.settle();
        match flushed {
            Ok(room) => assert!(room <= self.room() && (room > 0) == (self.room() > 0)),
            Err(error) => assert!(fits(&error, self.reading), "{error}"),
        }
        assert!(self.committed.is_empty());
    }

    /// A reservation, or a flush, that waits while the reader goes on.
    fn wait_to_write(&mut self, a: u8, b: u8) {
        let is_flush = b.is_multiple_of(4);
        let wanted = if is_flush { 1 } else { 1 + usize::from(a) % self.capacity };
        let Some(mut writer) = self.writer.take() else { return };
        let bell = Arc::new(Bell::default());
        if self.reading == End::Open {
            let room = self.room();
            let waits = if is_flush {
                wait(&bell, writer.flush(), self, wanted, b)
            } else {
                wait(&bell, writer.reserve(wanted), self, wanted, b)
            };
            assert_eq!(waits, room < wanted);
        }
        assert_eq!(Arc::strong_count(&bell), 1, "no waker is kept");
        self.writer = Some(writer);
        self.settle();
    }

    /// What a read should find: what is shown and whether that is all, or an error; None when it should wait.
    fn expected(&self, wanted: Option<usize>) -> Option<Result<bool, &'static str>> {
        let news = self.held.len() > self.examined;
        match self.writing {
            End::Completed => Some(Ok(true)),
            _ if news => Some(Ok(false)),
            End::Failed => Some(Err("failed")),
            End::Gone => Some(Err("gone")),
            End::Open if wanted.is_some_and(|wanted| self.capacity - self.held.len() < wanted) => {
                Some(Err("full"))
            }
            End::Open => None,
        }
    }

    fn read(&mut self) {
        self.read_while(None);
    }

    fn read_while(&mut self, wanted: Option<usize>) {
        let expected = self.expected(wanted);
        let Some(reader) = &mut self.reader else { return };
        let found = match reader.try_read() {
            Ok(None) => None,
            Ok(Some(result)) => {
                assert!(result.buffer().iter().eq(&self.held));
                self.shown = self.held.len();
                Some(Ok(result.is_completed()))
            }
            Err(error) => Some(Err(name(&error))),
        };
        assert_eq!(found, expected);
    }

    fn advance(&mut self, a: u8, b: u8) {
        let (consumed, examined) = self.positions(a, b);
        let Some(reader) = &mut self.reader else { return };
        reader.advance(consumed, examined);
        self.held.drain(..consumed);
        self.shown -= consumed;
        self.examined = examined - consumed;
    }

    fn positions(&self, a: u8, b: u8) -> (usize, usize) {
        let spread = |a: u8, len: usize| (usize::from(a) * (len + 1) / 200).min(len);
        let examined = spread(a, self.shown);
        (spread(b, examined), examined)
    }

    /// A read that waits while the writer goes on.
    fn wait_to_read(&mut self, a: u8) {
        let Some(mut reader) = self.reader.take() else { return };
        let bell = Arc::new(Bell::default());
        let mut read = reader.read();
        let waits = bell.poll(&mut read).is_pending();
        assert_eq!(waits, self.expected(None).is_none());
        if waits {
            self.write(a, a);
            if !bell.rang() {
                self.flush();
                let news = self.held.len() > self.examined;
                assert_eq!(bell.rang(), news);
            }
            let ready = bell.poll(&mut read).is_ready();
            assert_eq!(ready, self.expected(None).is_some());
        }
        drop(read);
        assert_eq!(Arc::strong_count(&bell), 1, "no waker is kept");
        self.shown = reader.buffer().len();
        assert!(reader.buffer().iter().eq(self.held.iter().take(self.shown)));
        self.reader = Some(reader);
    }

    fn keep(&mut self, a: u8, b: u8) {
        let Some(reader) = &self.reader else { return };
        let (start, end) = self.positions(a, b);
        let (start, end) = (start.min(end), start.max(end));
        let bytes = self.held.range(start..end).copied().collect();
        self.kept.push((reader.buffer().slice(start..end), bytes));
        self.kept.truncate(8);
    }

    fn end(&mut self, what: u8, c: u8) {
        // Seldom: most of what there is to see comes before.
        match (what, c % 8) {
            (248..=251, 0..=2) => {
                let Some(writer) = self.writer.take() else { return };
                if c % 8 < 2 && self.reading == End::Open {
                    self.held.append(&mut self.committed);
                }
                self.committed.clear();
                self.writing = [End::Completed, End::Failed, End::Gone][usize::from(c % 8)];
                match self.writing {
                    End::Completed => writer.complete(Ok(())),
                    End::Failed => writer.complete(Err("on purpose".into())),
                    _ => drop(writer),
                }
            }
            (252..=255, 0..=2) => {
                let Some(reader) = self.reader.take() else { return };
                self.reading = [End::Completed, End::Failed, End::Gone][usize::from(c % 8)];
                match self.reading {
                    End::Completed => reader.complete(Ok(())),
                    End::Failed => reader.complete(Err("on purpose".into())),
                    _ => drop(reader),
                }
                self.held.clear();
                (self.shown, self.examined) = (0, 0);
            }
            _ => {}
        }
    }

    fn check(&self) {
        for (sequence, bytes) in &self.kept {
            assert_eq!(*sequence, bytes[..], "what was kept has not changed");
        }
        if let Some(reader) = &self.reader {
            assert!(reader.buffer().iter().eq(self.held.iter().take(self.shown)));
        }
        if let Some(writer) = &self.writer {
            assert_eq!(writer.unflushed(), self.committed.len());
        }
    }
}

/// Polls a wait for `wanted` elements of room; while it waits, the reader reads and advances. Says whether it waited.
fn wait<F: Future + Unpin>(bell: &Arc<Bell>, mut future: F, world: &mut World, wanted: usize, b: u8) -> bool {
    if bell.poll(&mut future).is_ready() {
        return false;
    }
    // Before a writer waits it flushes.
    let mut committed = std::mem::take(&mut world.committed);
    world.held.append(&mut committed);
    world.read_while(Some(wanted));
    let (consumed, _) = world.positions(255, b);
    world.advance(255, b);
    let room = world.capacity - world.held.len();
    let woken = consumed > 0 && room >= wanted.max(world.capacity / 2);
    assert_eq!(bell.rang(), woken);
    if !woken {
        world.read_while(Some(wanted));
        assert_eq!(bell.rang(), room >= wanted, "before both wait, the writer has what it needs");
    }
    assert_eq!(bell.poll(&mut future).is_ready(), room >= wanted);
    true
}

fn name(error: &ReadError) -> &'static str {
    match error {
        ReadError::Failed(error) => {
            assert_eq!(error.to_string(), "on purpose");
            "failed"
        }
        ReadError::WriterGone => "gone",
        ReadError::Full { .. } => "full",
        _ => "unknown",
    }
}

/// Whether the error is the one for how the reader has ended.
fn fits(error: &WriteError, reading: End) -> bool {
    match error {
        WriteError::ReaderGone => matches!(reading, End::Completed | End::Gone),
        WriteError::ReaderFailed(_) => {
            reading == End::Failed && error.source().is_some_and(|source| source.to_string() == "on purpose")
        }
        _ => false,
    }
}
