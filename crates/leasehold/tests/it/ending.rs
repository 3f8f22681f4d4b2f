//! The ways to end a lease: refused attempts change nothing, revocations drain and wake, and nothing wedges.

use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use leasehold::{Lessor, MemoryOwner, SharedOwner};

use crate::support::{Bell, Flag, Tally, block_on, bounded, catch, poll_once};

#[test]
fn try_reclaim_counts_the_spans_and_pins_that_are_left() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let spans: Vec<_> = (0..3).map(|_| memory.span().unwrap()).collect();
    let pins: Vec<_> = (0..2).map(|_| memory.pin().unwrap()).collect();
    let in_use = lessor.try_reclaim().unwrap_err();
    assert_eq!((in_use.spans, in_use.pins), (3, 2));
    drop(spans);
    let in_use = in_use.lessor.try_reclaim().unwrap_err();
    assert_eq!((in_use.spans, in_use.pins), (0, 2));
    drop(pins);
    assert_eq!(in_use.lessor.try_reclaim().unwrap()[..], [1, 2, 3]);
}

#[test]
fn try_reclaim_counts_spans_beyond_the_fast_ones() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let mut spans: Vec<_> = (0..20).map(|_| memory.span().unwrap()).collect();
    let mut lessor = Some(lessor);
    while let Some(span) = spans.pop() {
        let in_use = lessor.take().unwrap().try_reclaim().unwrap_err();
        assert_eq!((in_use.spans, in_use.pins), (spans.len() + 1, 0));
        lessor = Some(in_use.lessor);
        drop(span);
    }
    assert!(lessor.unwrap().try_reclaim().is_ok());
}

#[test]
fn try_reclaim_counts_the_spans_of_other_threads() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let (inside, entered) = mpsc::channel();
    let go = Flag::default();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (inside, go) = (inside.clone(), go.clone());
            thread::spawn(move || {
                let span = memory.span().unwrap();
                inside.send(()).unwrap();
                go.wait();
                assert_eq!(span[..], [1, 2, 3]);
            })
        })
        .collect();
    (0..3).for_each(|_| entered.recv().unwrap());
    let in_use = lessor.try_reclaim().unwrap_err();
    assert_eq!((in_use.spans, in_use.pins), (3, 0));
    go.raise();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(in_use.lessor.try_reclaim().is_ok());
}

#[test]
fn a_refused_attempt_can_be_repeated_and_leaves_the_handles_alive() {
    let (mut lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let pin = memory.pin().unwrap();
    for _ in 0..100 {
        lessor = lessor.try_reclaim().unwrap_err().lessor;
        assert_eq!(memory.span().unwrap()[..], [1, 2, 3]);
        assert_eq!(memory.pin().unwrap()[..], [1, 2, 3]);
    }
    drop(pin);
    assert!(lessor.try_reclaim().is_ok());
}

#[test]
fn a_refused_attempt_leaves_an_exclusive_handle_writable() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
    let (left, mut right) = memory.split_at(1).unwrap();
    let pin = left.pin().unwrap();
    let in_use = lessor.try_reclaim().unwrap_err();
    assert_eq!((in_use.spans, in_use.pins), (0, 1));
    right.span_mut().unwrap()[0] = 20;
    let left = pin.unpin();
    let memory = left.join(right).unwrap();
    assert_eq!(memory.span().unwrap()[..], [1, 20, 3]);
    assert_eq!(in_use.lessor.try_reclaim().unwrap()[..], [1, 20, 3]);
    assert!(memory.span().is_err());
}

#[test]
fn an_exclusive_lease_is_reclaimed_from_an_idle_consumer() {
    let (lessor, mut memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
    memory.span_mut().unwrap()[0] = 7;
    let owner = lessor.try_reclaim().unwrap();
    assert_eq!(owner[0], 7);
    assert!(memory.span_mut().is_err());
    drop(memory);
    assert_eq!(owner[0], 7);
}

#[test]
fn a_stale_part_does_not_count_in_the_next_lease() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3, 4]).lease();
    let (left, right) = memory.split_at(2).unwrap();
    let (lessor, memory) = lessor.try_reclaim().unwrap().lease();
    drop(left);
    assert!(!lessor.is_returned());
    let (a, b) = right.split_at(1).unwrap();
    assert!(!lessor.is_returned());
    drop(a.join(b).unwrap());
    assert!(!lessor.is_returned());
    let (left, right) = memory.split_at(1).unwrap();
    drop(left);
    assert!(!lessor.is_returned());
    drop(right);
    assert!(lessor.is_returned());
    assert!(lessor.try_reclaim().is_ok());
}

#[test]
fn revoke_gives_the_owner_at_once_when_nobody_is_inside() {
    let (lessor, _memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    assert_eq!(lessor.revoke().try_take().unwrap()[..], [1, 2, 3]);
    let (lessor, _memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
    assert_eq!(block_on(lessor.revoke()).unwrap()[..], [1, 2, 3]);
    let (lessor, _memory) = SharedOwner::from(vec![1, 2, 3]).try_lease_read_only().unwrap();
    assert_eq!(lessor.revoke().wait().unwrap(), [1, 2, 3][..]);
}

#[test]
fn revoke_drains_the_readers_and_wakes_the_waiter() {
    bounded(|| {
        let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
        let (inside, entered) = mpsc::channel();
        let go = Flag::default();
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let (inside, go) = (inside.clone(), go.clone());
                thread::spawn(move || {
                    let span = memory.span().unwrap();
                    let pin = memory.pin().unwrap();
                    inside.send(()).unwrap();
                    go.wait();
                    if i % 2 == 0 {
                        drop(pin);
                        assert_eq!(span[2], 3);
                    } else {
                        drop(span);
                        assert_eq!(pin[2], 3);
                    }
                })
            })
            .collect();
        (0..4).for_each(|_| entered.recv().unwrap());
        let bell = Arc::new(Bell::default());
        let mut revocation = lessor.revoke();
        assert!(bell.poll(&mut revocation).is_pending());
        assert!(memory.span().is_err());
        go.raise();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(bell.rings() > 0, "the last one out wakes the waiter");
        let Poll::Ready(Ok(owner)) = bell.poll(&mut revocation) else { panic!("everybody has left") };
        assert_eq!(owner[..], [1, 2, 3]);
    });
}

#[test]
fn wait_blocks_until_the_last_pin_is_dropped_on_another_thread() {
    bounded(|| {
        let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
        let pin = memory.pin().unwrap();
        let revocation = lessor.revoke();
        let thread = thread::spawn(move || assert_eq!(pin[0], 1));
        assert_eq!(revocation.wait().unwrap()[..], [1, 2, 3]);
        thread.join().unwrap();
    });
}

#[test]
fn a_revocation_can_be_awaited_while_readers_come_and_go() {
    bounded(|| {
        let rounds = if cfg!(miri) { 3 } else { 300 };
        let mut owner = MemoryOwner::from(vec![0u64; 8]);
        for round in 0..rounds {
            owner.fill(round);
            let (lessor, memory) = owner.lease_read_only();
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    thread::spawn(move || {
                        while let Ok(span) = memory.span() {
                            assert!(span.iter().all(|&word| word == round));
                        }
                    })
                })
                .collect();
            owner = block_on(lessor.revoke()).unwrap();
            owner.fill(u64::MAX);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

#[test]
fn an_attempt_to_reclaim_under_fire_either_succeeds_or_changes_nothing() {
    bounded(|| {
        // Where every step is dear, readers have to be outside of their spans for most of the time, or no attempt ever succeeds.
        let (len, pauses) = if cfg!(miri) { (1, 50) } else { (8, 1) };
        let (mut lessor, memory) = MemoryOwner::from(vec![7u64; len]).lease_read_only();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                thread::spawn(move || {
                    while let Ok(span) = memory.span() {
                        assert!(span.iter().all(|&word| word == 7));
                        drop(span);
                        (0..pauses).for_each(|_| thread::yield_now());
                    }
                })
            })
            .collect();
        let mut owner = loop {
            match lessor.try_reclaim() {
                Ok(owner) => break owner,
                Err(in_use) => {
                    assert_eq!(in_use.pins, 0);
                    assert!((1..=2).contains(&in_use.spans), "{in_use}");
                    lessor = in_use.lessor;
                    thread::yield_now();
                }
            }
        };
        owner.fill(0);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn revoke_all_ends_every_lease_and_gives_each_owner_back() {
    let (lessors, memories): (Vec<_>, Vec<_>) =
        (0..70).map(|i| MemoryOwner::from(vec![i; 4]).lease_read_only()).unzip();
    let pin = memories[3].pin().unwrap();
    let span = memories[5].span().unwrap();
    thread::spawn({
        let memories = memories.clone();
        move || memories.iter().for_each(|memory| drop(memory.span().unwrap()))
    })
    .join()
    .unwrap();
    let revocations = Lessor::revoke_all(lessors);
    assert!(memories.iter().all(|memory| memory.span().is_err() && memory.pin().is_err()));
    let mut held = Vec::new();
    for (i, revocation) in revocations.into_iter().enumerate() {
        match revocation.try_take() {
            Ok(owner) => assert_eq!(owner[..], [i; 4]),
            Err(revocation) => held.push((i, revocation)),
        }
    }
    assert_eq!(held.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [3, 5]);
    drop((pin, span));
    for (i, revocation) in held {
        assert_eq!(revocation.wait().unwrap()[..], [i; 4]);
    }
}

#[test]
fn revoke_all_of_nothing_is_nothing() {
    assert!(Lessor::revoke_all(Vec::<Lessor<u8>>::new()).is_empty());
}

#[test]
fn revoke_all_takes_leases_whose_parts_have_come_back() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
    drop(memory);
    let revocation = Lessor::revoke_all([lessor]).pop().unwrap();
    assert_eq!(revocation.try_take().unwrap()[..], [1, 2, 3]);
}

#[test]
fn the_last_one_out_disposes_when_the_lessor_was_dropped() {
    let tally = Tally::new(3);
    let (lessor, memory) = MemoryOwner::from(tally.elements()).lease_read_only();
    thread::scope(|_| {
        let span = memory.span().unwrap();
        let pin = memory.slice(1..).pin().unwrap();
        drop(lessor);
        assert!(tally.all(0));
        assert_eq!(span[2].index, 2);
        drop(span);
        assert!(tally.all(0));
        assert_eq!(pin[0].index, 1);
        drop(pin);
    });
    assert!(tally.all(1));
}

#[test]
fn the_last_one_out_disposes_when_the_revocation_was_dropped() {
    for drop_first in [true, false] {
        let tally = Tally::new(3);
        let (lessor, memory) = MemoryOwner::from(tally.elements()).lease_read_only();
        let pin = memory.pin().unwrap();
        let revocation = lessor.revoke();
        if drop_first {
            drop(revocation);
            assert!(tally.all(0));
            drop(pin);
        } else {
            drop(pin);
            assert!(tally.all(0));
            drop(revocation);
        }
        assert!(tally.all(1));
    }
}

#[test]
fn the_last_one_out_may_be_another_thread() {
    bounded(|| {
        let rounds = if cfg!(miri) { 5 } else { 500 };
        for _ in 0..rounds {
            let tally = Tally::new(2);
            let (lessor, memory) = SharedOwner::from(tally.elements()).try_lease_read_only().unwrap();
            let (inside, entered) = mpsc::channel();
            let threads: Vec<_> = (0..2)
                .map(|i| {
                    let inside = inside.clone();
                    thread::spawn(move || {
                        let span = memory.span().unwrap();
                        let pin = (i == 0).then(|| memory.pin().unwrap());
                        inside.send(()).unwrap();
                        assert_eq!(span[1].index, 1);
                        drop(span);
                        assert_eq!(pin.map_or(1, |pin| pin[1].index), 1);
                    })
                })
                .collect();
            (0..2).for_each(|_| entered.recv().unwrap());
            drop(lessor);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(tally.all(1), "{:?}", tally.drops());
        }
    });
}

#[test]
fn waiting_on_a_block_that_this_thread_spans_is_an_error() {
    bounded(|| {
        let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
        let spans = [memory.span().unwrap(), memory.span().unwrap()];
        let held = lessor.revoke().wait().unwrap_err();
        assert_eq!(held.spans, 2);
        let held = block_on(held.waiting).unwrap_err();
        assert_eq!(held.spans, 2);
        assert_eq!(spans[0][..], [1, 2, 3]);
        drop(spans);
        assert_eq!(held.waiting.wait().unwrap()[..], [1, 2, 3]);
    });
}

#[test]
fn waiting_is_an_error_also_for_a_span_beyond_the_fast_ones() {
    bounded(|| {
        let (_other, busy) = MemoryOwner::from(vec![0]).lease_read_only();
        let _fill: Vec<_> = (0..12).map(|_| busy.span().unwrap()).collect();
        let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
        let span = memory.span().unwrap();
        let held = lessor.revoke().wait().unwrap_err();
        assert!(held.spans >= 1);
        let held = block_on(held.waiting).unwrap_err();
        drop(span);
        assert_eq!(held.waiting.wait().unwrap()[..], [1, 2, 3]);
    });
}

#[test]
fn a_span_beyond_the_fast_ones_on_another_thread_is_waited_for() {
    bounded(|| {
        let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
        let (inside, entered) = mpsc::channel();
        let go = Flag::default();
        let thread = thread::spawn({
            let go = go.clone();
            move || {
                let (_other, busy) = MemoryOwner::from(vec![0]).lease_read_only();
                let _fill: Vec<_> = (0..12).map(|_| busy.span().unwrap()).collect();
                let span = memory.span().unwrap();
                inside.send(()).unwrap();
                go.wait();
                assert_eq!(span[0], 1);
            }
        });
        entered.recv().unwrap();
        let mut revocation = lessor.revoke();
        assert!(poll_once(&mut revocation).is_pending(), "it is the other thread's span, not an error");
        go.raise();
        assert_eq!(revocation.wait().unwrap()[..], [1, 2, 3]);
        thread.join().unwrap();
    });
}

#[test]
fn returned_waits_for_the_last_part() {
    bounded(|| {
        let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
        let (a, rest) = memory.split_at(1).unwrap();
        let (b, c) = rest.split_at(1).unwrap();
        let threads: Vec<_> = [a, b, c]
            .into_iter()
            .map(|mut part| thread::spawn(move || part.span_mut().unwrap().fill(7)))
            .collect();
        block_on(lessor.returned()).unwrap();
        assert!(lessor.is_returned());
        assert_eq!(lessor.try_reclaim().unwrap()[..], [7, 7, 7]);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn returned_is_cancel_safe_and_can_be_taken_up_again() {
    let (mut lessor, mut memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    let bell = Arc::new(Bell::default());
    for _ in 0..3 {
        let mut returned = lessor.returned();
        assert!(bell.poll(&mut returned).is_pending());
    }
    memory.span_mut().unwrap().fill(1);
    let mut returned = lessor.returned();
    assert!(bell.poll(&mut returned).is_pending());
    assert_eq!(bell.rings(), 0);
    drop(memory);
    assert_eq!(bell.rings(), 1);
    assert!(matches!(bell.poll(&mut returned), Poll::Ready(Ok(()))));
    drop(returned);
    assert_eq!(lessor.try_reclaim().unwrap()[..], [1, 1, 1]);
}

#[test]
fn returned_wakes_the_waker_that_polled_last() {
    let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    let (first, last) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let mut returned = lessor.returned();
    assert!(first.poll(&mut returned).is_pending());
    assert!(last.poll(&mut returned).is_pending());
    drop(memory);
    assert_eq!((first.rings(), last.rings()), (0, 1));
}

#[test]
fn returned_counts_a_pin_as_not_returned() {
    let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    let mut pin = memory.pin().unwrap();
    assert!(poll_once(&mut lessor.returned()).is_pending());
    pin[1] = 1;
    drop(pin);
    assert!(poll_once(&mut lessor.returned()).is_ready());
}

#[test]
fn returned_is_an_error_when_this_thread_spans_the_block() {
    let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    let span = memory.span().unwrap();
    let Poll::Ready(Err(held)) = poll_once(&mut lessor.returned()) else { panic!("it would never end") };
    assert_eq!(held.spans, 1);
    drop(span);
    assert!(poll_once(&mut lessor.returned()).is_pending());
    drop(memory);
    assert!(poll_once(&mut lessor.returned()).is_ready());
}

#[test]
fn a_lease_can_be_revoked_after_returned_was_cancelled() {
    let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    assert!(poll_once(&mut lessor.returned()).is_pending());
    let owner = lessor.revoke().try_take().unwrap();
    let (mut lessor, again) = owner.lease();
    drop(memory);
    assert!(!lessor.is_returned());
    assert!(poll_once(&mut lessor.returned()).is_pending());
    drop(again);
    assert!(lessor.is_returned());
}

#[test]
fn a_waker_that_owns_the_memory_it_waits_for_can_be_replaced() {
    use std::sync::Mutex;
    use std::task::{Context, Wake, Waker};

    struct Task(#[expect(dead_code, reason = "it is dropped with the task")] Mutex<leasehold::Memory<u8>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    bounded(|| {
        let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
        let waker = Waker::from(Arc::new(Task(Mutex::new(memory))));
        let mut returned = std::pin::pin!(lessor.returned());
        assert!(returned.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        // The old waker goes, and with it the last part of the memory.
        while returned.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    });
}

#[test]
fn no_waker_is_kept_once_the_owner_is_back() {
    let (mut lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    let bell = Arc::new(Bell::default());
    assert!(bell.poll(&mut lessor.returned()).is_pending());
    drop(lessor.revoke().try_take().unwrap());
    drop(memory);
    assert_eq!(Arc::strong_count(&bell), 1, "a finished task would be kept alive");
}

#[test]
fn no_waker_is_kept_once_a_revocation_was_dropped() {
    let (lessor, memory) = MemoryOwner::from(vec![0u8; 3]).lease_read_only();
    let pin = memory.pin().unwrap();
    let bell = Arc::new(Bell::default());
    let mut revocation = lessor.revoke();
    assert!(bell.poll(&mut revocation).is_pending());
    drop(revocation);
    drop(pin);
    assert_eq!(Arc::strong_count(&bell), 1, "a finished task would be kept alive");
}

#[test]
fn an_owner_that_was_revoked_can_be_leased_again_and_again() {
    let mut owner = MemoryOwner::from(vec![0usize; 4]);
    let mut stale = Vec::new();
    for round in 0..50 {
        let (lessor, mut memory) = owner.lease();
        memory.span_mut().unwrap().fill(round);
        let (lessor, view) = lessor.revoke().wait().unwrap().lease_read_only();
        assert_eq!(view.span().unwrap()[..], [round; 4]);
        owner = lessor.try_reclaim().unwrap();
        stale.push((memory, view));
    }
    assert!(stale.iter().all(|(memory, view)| memory.span().is_err() && view.span().is_err()));
}

#[test]
fn a_revocation_future_is_not_polled_after_completion() {
    let (lessor, _memory) = MemoryOwner::from(vec![0u8; 3]).lease();
    let mut revocation = lessor.revoke();
    assert!(poll_once(&mut revocation).is_ready());
    let again = catch(|| poll_once(&mut revocation).is_ready());
    assert!(again.is_err());
}

#[test]
fn spans_are_released_in_any_order() {
    let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease_read_only();
    let mut spans: Vec<_> = (0..30).map(|_| Some(memory.span().unwrap())).collect();
    for step in [7, 11, 13] {
        for i in 0..30 {
            let i = i * step % 30;
            assert_eq!(spans[i].take().map_or(1, |span| span[0]), 1);
            spans[i] = Some(memory.span().unwrap());
        }
    }
    let in_use = lessor.try_reclaim().unwrap_err();
    assert_eq!(in_use.spans, 30);
    for i in 0..30 {
        drop(spans[i * 17 % 30].take());
    }
    assert!(in_use.lessor.try_reclaim().is_ok());
}

#[test]
fn every_end_gives_a_returned_buffer_back_whatever_was_forgotten_under_it() {
    let lease = || {
        let (lessor, memory) = MemoryOwner::from(vec![1, 2, 3]).lease();
        std::mem::forget(memory.span().unwrap());
        drop(memory);
        lessor
    };
    assert!(lease().try_reclaim().is_ok());
    assert!(lease().revoke().try_take().is_ok());
    assert!(lease().revoke().wait().is_ok());
    assert!(Lessor::revoke_all([lease()]).pop().unwrap().try_take().is_ok());
}
