//! The run-time ones of the ten usage rules, attacked from several threads. The others do not compile; see the
//! package `check-compile-fail`.

use std::sync::{Mutex, mpsc};
use std::thread;

use leasehold::{Memory, MemoryHandleMut, MemoryOwner, MemoryPool, ReadOnlyMemory};

use crate::support::{Flag, block_on, bounded};

/// A callee that breaks rules 3 and 4: it keeps what it was lent.
#[derive(Default)]
struct Hoarder {
    kept: Mutex<Vec<ReadOnlyMemory<u64>>>,
}

impl Hoarder {
    fn process(&self, memory: ReadOnlyMemory<u64>) -> u64 {
        self.kept.lock().unwrap().push(memory);
        memory.span().map_or(0, |span| span.iter().sum())
    }
}

#[test]
fn rule_03_a_handle_that_is_kept_after_the_call_fails_cleanly() {
    let hoarder = Hoarder::default();
    let pool = MemoryPool::new();
    for i in 1..50u64 {
        let mut owner = pool.rent::<u64>(4);
        owner.fill(i);
        let (lessor, memory) = owner.lease_read_only();
        assert_eq!(hoarder.process(memory), 4 * i);
        let owner = lessor.try_reclaim().unwrap();
        assert!(hoarder.kept.lock().unwrap().iter().all(|kept| kept.span().is_err() && kept.pin().is_err()));
        drop(owner);
    }
}

#[test]
fn rule_03_a_handle_that_is_kept_by_another_thread_fails_cleanly() {
    bounded(|| {
        let hoarder = Hoarder::default();
        let stop = Flag::default();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.is_raised() {
                        for memory in hoarder.kept.lock().unwrap().iter().rev().take(3) {
                            if let Ok(span) = memory.span() {
                                assert!(span.iter().all(|&word| word == span[0] && word != u64::MAX));
                            }
                        }
                        thread::yield_now();
                    }
                });
            }
            let pool = MemoryPool::new();
            for i in 1..if cfg!(miri) { 10 } else { 2000u64 } {
                let mut owner = pool.rent::<u64>(4);
                owner.fill(i);
                let (lessor, memory) = owner.lease_read_only();
                assert_eq!(hoarder.process(memory), 4 * i);
                let mut owner = lessor.revoke().wait().unwrap();
                owner.fill(u64::MAX);
            }
            stop.raise();
        });
    });
}

#[test]
fn rule_04_revoke_does_not_wait_for_the_task_and_returned_does() {
    bounded(|| {
        let (mut lessor, mut memory) = MemoryOwner::from(vec![0u8; 4]).lease();
        let go = Flag::default();
        let task = thread::spawn({
            let go = go.clone();
            move || {
                go.wait();
                memory.span_mut().unwrap().fill(1);
                memory
            }
        });
        assert!(!lessor.is_returned());
        go.raise();
        let memory = task.join().unwrap();
        let returning = thread::spawn(move || drop(memory));
        block_on(lessor.returned()).unwrap();
        returning.join().unwrap();
        let (lessor, memory) = lessor.try_reclaim().unwrap().lease();
        let owner = lessor.revoke().try_take().unwrap();
        assert!(memory.span().is_err(), "the task may go on, but not with the memory");
        assert_eq!(owner[..], [1; 4]);
    });
}

/// Rules 5 and 6: whoever takes memory in a constructor or setter is its consumer.
struct Writer {
    memory: Memory<u8>,
}

impl Writer {
    fn new(memory: Memory<u8>) -> Writer {
        Writer { memory }
    }

    fn set(&mut self, memory: Memory<u8>) {
        self.memory = memory;
    }
}

#[test]
fn rule_05_an_object_that_was_made_with_memory_returns_it_with_its_end() {
    let (lessor, memory) = MemoryOwner::from(vec![0u8; 4]).lease();
    let mut writer = Writer::new(memory);
    writer.memory.span_mut().unwrap().fill(2);
    assert!(!lessor.is_returned());
    drop(writer);
    assert!(lessor.is_returned());
}

#[test]
fn rule_06_a_setter_returns_the_memory_it_replaces() {
    let (first, memory) = MemoryOwner::from(vec![0u8; 4]).lease();
    let (second, next) = MemoryOwner::from(vec![0u8; 4]).lease();
    let mut writer = Writer::new(memory);
    writer.set(next);
    assert!(first.is_returned() && !second.is_returned());
    drop(writer);
    assert!(second.is_returned());
}

#[test]
fn rule_07_many_who_may_be_the_last_dispose_exactly_once() {
    bounded(|| {
        for _ in 0..if cfg!(miri) { 3 } else { 300 } {
            let tally = crate::support::Tally::new(1);
            let (lessor, memory) =
                leasehold::SharedOwner::from(tally.elements()).try_lease_read_only().unwrap();
            let threads: Vec<_> = (0..3)
                .map(|i| {
                    thread::spawn(move || {
                        let span = memory.span().map_or(0, |span| span[0].index);
                        let pin = memory.slice(i / 3..).pin().map_or(0, |pin| pin[0].index);
                        span + pin
                    })
                })
                .collect();
            drop(lessor);
            assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 0);
            assert!(tally.all(1));
        }
    });
}

#[test]
fn rule_08_whoever_takes_the_owner_takes_the_duty() {
    let tally = crate::support::Tally::new(2);
    let (send, receive) = mpsc::channel();
    send.send(MemoryOwner::from(tally.elements())).unwrap();
    assert!(tally.all(0));
    thread::spawn(move || drop(receive.recv().unwrap())).join().unwrap();
    assert!(tally.all(1));
}

/// Rule 10: an operation that goes on after its future is gone, as the kernel's do.
struct Device {
    submitted: mpsc::Sender<MemoryHandleMut<u8>>,
}

impl Device {
    async fn read(&self, memory: Memory<u8>) {
        self.submitted.send(memory.pin().unwrap()).unwrap();
        std::future::pending::<()>().await;
    }
}

#[test]
fn rule_10_a_pin_is_kept_until_completion_also_when_the_future_is_cancelled() {
    bounded(|| {
        let (submitted, completion) = mpsc::channel();
        let device = Device { submitted };
        let (lessor, memory) = MemoryOwner::from(vec![0u8; 4]).lease();
        let mut read = Box::pin(device.read(memory));
        assert!(crate::support::poll_once(&mut read).is_pending());
        drop(read);
        let in_use = lessor.try_reclaim().unwrap_err();
        assert_eq!((in_use.spans, in_use.pins), (0, 1));
        let revocation = in_use.lessor.revoke().try_take().unwrap_err();
        let kernel = thread::spawn(move || completion.recv().unwrap().fill(9));
        assert_eq!(revocation.wait().unwrap()[..], [9; 4]);
        kernel.join().unwrap();
    });
}
