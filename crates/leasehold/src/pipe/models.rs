//! Loom models of a pipe: nobody waits for ever, nothing is lost, and the end arrives.
//!
//! A wait that nobody ends is a dead lock, which loom finds. Contents need no cells: they pass under the mutex.

use std::collections::VecDeque;
use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;

use super::channel::{Found, Receiver, Sender, channel};
use super::error::{ReadError, WriteError};
use crate::owner::MemoryOwner;
use crate::raw::Rest;

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.map_or(3, |bound| bound.min(3)));
    builder.check(check);
}

fn block(len: u32) -> Rest<u32> {
    Rest::new(MemoryOwner::from_iter(0..len).0)
}

fn wait_for_room(sender: &Sender<u32>, wanted: usize) -> Result<usize, WriteError> {
    block_on(poll_fn(|context| sender.poll_room(wanted, context.waker())))
}

fn wait_for_news(
    receiver: &Receiver<u32>,
    incoming: &mut VecDeque<crate::raw::Shared<u32>>,
    unexamined: bool,
) -> Result<Found, ReadError> {
    block_on(poll_fn(|context| receiver.poll_take(incoming, unexamined, context.waker())))
}

/// Reads and consumes share by share, and returns each.
fn read_to_end(receiver: &Receiver<u32>) -> Vec<u32> {
    let mut read = Vec::new();
    loop {
        let mut incoming = VecDeque::new();
        let found = wait_for_news(receiver, &mut incoming, false).unwrap();
        for share in incoming {
            read.extend_from_slice(share.as_slice());
            receiver.consume(share.as_slice().len(), Some(share));
        }
        if matches!(found, Found::End) {
            return read;
        }
    }
}

#[test]
fn everything_written_is_read_by_two_who_wait_for_each_other() {
    model(|| {
        let (sender, receiver) = channel(1);
        let writer = thread::spawn(move || {
            let mut block = block(2);
            for _ in 0..2 {
                wait_for_room(&sender, 1).unwrap();
                sender.publish(&mut block, 1).unwrap();
            }
            sender.complete(Ok(()));
        });
        let read = read_to_end(&receiver);
        writer.join().unwrap();
        assert_eq!(read, [0, 1]);
    });
}

#[test]
fn a_reader_without_use_for_a_full_pipe_is_told() {
    model(|| {
        let (sender, receiver) = channel(2);
        let writer = thread::spawn(move || {
            sender.publish(&mut block(1), 1).unwrap();
            // The reader, who is told that the pipe is full, gives up.
            assert!(matches!(wait_for_room(&sender, 2), Err(WriteError::ReaderGone)));
        });
        let mut incoming = VecDeque::new();
        wait_for_news(&receiver, &mut incoming, false).unwrap();
        let full = wait_for_news(&receiver, &mut VecDeque::new(), false);
        assert!(matches!(full, Err(ReadError::Full { held: 1, wanted: 2, capacity: 2 })));
        drop(receiver);
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_that_makes_less_room_than_half_ends_the_wait_of_a_writer_with_its_own() {
    model(|| {
        let (sender, receiver) = channel(4);
        let writer = thread::spawn(move || {
            sender.publish(&mut block(4), 4).unwrap();
            wait_for_room(&sender, 1).unwrap();
            sender.complete(Ok(()));
        });
        let mut incoming = VecDeque::new();
        wait_for_news(&receiver, &mut incoming, false).unwrap();
        receiver.consume(1, None);
        assert!(matches!(wait_for_news(&receiver, &mut VecDeque::new(), false), Ok(Found::End)));
        writer.join().unwrap();
    });
}

#[test]
fn a_writer_that_goes_is_seen_by_a_reader_that_waits() {
    model(|| {
        let (sender, receiver) = channel::<u32>(1);
        let writer = thread::spawn(move || drop(sender));
        let gone = wait_for_news(&receiver, &mut VecDeque::new(), false);
        assert!(matches!(gone, Err(ReadError::WriterGone)));
        writer.join().unwrap();
    });
}

#[test]
fn a_share_that_the_reader_returns_keeps_no_block_that_the_writer_leaves() {
    model(|| {
        let (sender, receiver) = channel(2);
        let mut block = block(2);
        sender.publish(&mut block, 1).unwrap();
        let reader = thread::spawn(move || {
            let mut incoming = VecDeque::new();
            wait_for_news(&receiver, &mut incoming, false).unwrap();
            receiver.consume(1, incoming.pop_front());
            receiver
        });
        sender.leave_block();
        let receiver = reader.join().unwrap();
        assert!(block.reclaim());
        drop((sender, receiver));
    });
}

#[test]
fn what_is_written_behind_a_share_that_the_reader_returns_is_read_once() {
    model(|| {
        let (sender, receiver) = channel(2);
        let writer = thread::spawn(move || {
            let mut block = block(2);
            sender.publish(&mut block, 1).unwrap();
            sender.publish(&mut block, 1).unwrap();
            sender.complete(Ok(()));
        });
        let read = read_to_end(&receiver);
        writer.join().unwrap();
        assert_eq!(read, [0, 1]);
    });
}
