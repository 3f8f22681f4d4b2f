//! The sixteen pitfalls of reservation, by number.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use leasehold::{
    Lessor, Memory, MemoryOwner, MemoryPool, ReadOnly, ReadOnlyMemory, SharedOwner, counters, reclaim_now,
};

use crate::support::{Flag, Tally, alone, bounded, leak};

#[test]
fn pitfall_01_a_forgotten_span_keeps_its_block_and_its_record() {
    bounded(|| {
        let tally = Tally::new(2);
        let before = counters();
        let (lessor, memory) = SharedOwner::from(tally.elements()).try_lease_read_only().unwrap();
        // A leaked guard is `'static`, and a reference to it may be read by every thread for ever.
        let (send, receive) = mpsc::channel::<&'static leasehold::Span<'static, _>>();
        thread::spawn(move || {
            send.send(leak(leak(memory).span().unwrap())).unwrap();
        })
        .join()
        .unwrap();
        let leaked = receive.recv().unwrap();
        assert!(counters().leaked_spans > before.leaked_spans);
        // Threads that come later must not take the occupied slots over.
        for _ in 0..5 {
            thread::spawn(|| {
                let (lessor, memory) = MemoryOwner::from(vec![1]).lease_read_only();
                drop((0..9).map(|_| memory.span().unwrap()).collect::<Vec<_>>());
                assert!(lessor.try_reclaim().is_ok());
            })
            .join()
            .unwrap();
        }
        let in_use = lessor.try_reclaim().unwrap_err();
        assert_eq!((in_use.spans, in_use.pins), (1, 0));
        let revocation = in_use.lessor.revoke().try_take().unwrap_err();
        drop(revocation);
        assert!(memory.span().is_err());
        assert!(tally.all(0));
        assert_eq!(leaked[1].index, 1);
        thread::spawn(move || assert_eq!(leaked[0].index, 0)).join().unwrap();
    });
}

#[test]
fn pitfall_01_a_forgotten_span_of_a_returned_part_does_not_burden_the_next_tenant() {
    bounded(|| {
        for _ in 0..20 {
            let (lessor, mut memory) = MemoryOwner::from(vec![1u8; 4]).lease();
            std::mem::forget(memory.span().unwrap());
            std::mem::forget(memory.span_mut().unwrap());
            drop(memory);
            drop(lessor.try_reclaim());
        }
        for _ in 0..100 {
            let (lessor, memory) = MemoryOwner::from(vec![2u8; 4]).lease_read_only();
            assert_eq!(memory.span().unwrap()[0], 2);
            let in_use = lessor.try_reclaim().map(drop);
            assert!(in_use.is_ok(), "{in_use:?}");
        }
    });
}

#[test]
fn pitfall_01_a_span_forgotten_on_another_thread_does_not_burden_the_next_tenant() {
    bounded(|| {
        for _ in 0..5 {
            let (lessor, memory) = MemoryOwner::from(vec![1u8; 4]).lease();
            thread::spawn(move || std::mem::forget(memory.span().unwrap())).join().unwrap();
            drop(lessor.try_reclaim());
        }
        for _ in 0..50 {
            let (lessor, memory) = MemoryOwner::from(vec![2u8; 4]).lease_read_only();
            thread::spawn(move || drop(memory.span().unwrap())).join().unwrap();
            assert!(lessor.revoke().try_take().is_ok());
        }
    });
}

#[test]
fn pitfall_02_a_handle_of_an_earlier_lease_never_sees_the_owner_write() {
    bounded(|| {
        let (lessor, stale) = MemoryOwner::from(vec![0u64; 16]).lease_read_only();
        let mut owner = lessor.try_reclaim().unwrap();
        let stop = Flag::default();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let stop = stop.clone();
                thread::spawn(move || {
                    while !stop.is_raised() {
                        assert!(stale.span().is_err() && stale.pin().is_err());
                    }
                })
            })
            .collect();
        for round in 0..if cfg!(miri) { 10 } else { 5000 } {
            // The passer-by occupies a slot for a moment and gets nothing; the owner writes without a lock.
            owner.fill(round);
            let (lessor, memory) = owner.lease_read_only();
            assert_eq!(memory.span().unwrap()[15], round);
            owner = lessor.revoke().wait().unwrap();
            owner.fill(!round);
            let (lessor, mut memory) = owner.lease();
            memory.span_mut().unwrap().fill(round);
            drop(memory);
            owner = lessor.try_reclaim().unwrap();
        }
        stop.raise();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
#[expect(clippy::mutable_key_type, reason = "handles hash by identity, which never changes")]
fn pitfall_03_no_generation_is_used_twice() {
    let pool = MemoryPool::new();
    let rounds = if cfg!(miri) { 200 } else { 70_000 };
    let (lessor, first) = pool.rent::<u8>(8).lease_read_only();
    drop(lessor);
    let mut handles = HashSet::from([first]);
    for _ in 1..rounds {
        let (lessor, memory) = pool.rent::<u8>(8).lease_read_only();
        assert!(handles.insert(memory), "a handle of another lease is another handle");
        assert!(first.span().is_err());
        drop(lessor);
    }
    assert!(handles.iter().all(|memory| memory.span().is_err()));
}

/// Uses all of the library in the destructor of a thread-local.
struct LateUser {
    view: Cell<Option<ReadOnlyMemory<u8>>>,
    part: RefCell<Option<Memory<u8>>>,
    lessor: Cell<Option<Lessor<u8, leasehold::ReadOnly>>>,
    done: Arc<AtomicUsize>,
}

impl Drop for LateUser {
    fn drop(&mut self) {
        let view = self.view.take().unwrap();
        let spans: Vec<_> = (0..12).map(|_| view.span().unwrap()).collect();
        assert!(spans.iter().all(|span| span[..] == [1; 8]));
        assert_eq!(view.pin().unwrap()[7], 1);
        let mut owner = MemoryPool::shared().rent::<u8>(100);
        owner.fill(3);
        let (lessor, memory) = owner.lease_read_only();
        assert_eq!(memory.span().unwrap()[99], 3);
        drop(lessor);
        assert!(memory.span().is_err());
        let (lessor, mut memory) = MemoryOwner::from(vec![0u8; 4]).lease();
        memory.span_mut().unwrap().fill(2);
        drop(memory);
        assert_eq!(lessor.try_reclaim().unwrap()[..], [2; 4]);
        let mut part = self.part.take().unwrap();
        part.span_mut().unwrap().fill(5);
        let (a, b) = part.split_at(2).unwrap();
        drop(a.join(b).unwrap());
        drop(spans);
        drop(self.lessor.take());
        drop(MemoryPool::new().rent::<u8>(2 << 20));
        reclaim_now();
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static LATE: RefCell<Option<LateUser>> = const { RefCell::new(None) };
}

/// A thread whose thread-local goes before (`early`) or after the library's own.
fn late_user(early: bool, view: ReadOnlyMemory<u8>, done: &Arc<AtomicUsize>) {
    let (mut returned, part) = MemoryOwner::from(vec![0u8; 4]).lease();
    let done = Arc::clone(done);
    thread::spawn(move || {
        let touch = || {
            let (_lessor, memory) = MemoryPool::shared().rent::<u8>(10).lease_read_only();
            assert!(memory.span().is_ok());
        };
        if early {
            touch();
        } else {
            LATE.with(|_| ());
        }
        let (lessor, _) = MemoryOwner::from(vec![9u8; 4]).lease_read_only();
        let user = LateUser {
            view: Cell::new(Some(view)),
            part: RefCell::new(Some(part)),
            lessor: Cell::new(Some(lessor)),
            done,
        };
        LATE.set(Some(user));
        touch();
    })
    .join()
    .unwrap();
    crate::support::block_on(returned.returned()).unwrap();
    assert_eq!(returned.try_reclaim().unwrap()[..], [5; 4]);
}

#[test]
fn pitfall_04_destructors_of_thread_locals_may_use_the_library() {
    bounded(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let (lessor, view) = MemoryOwner::from(vec![1u8; 8]).lease_read_only();
        let rounds = if cfg!(miri) { 2 } else { 50 };
        for round in 0..rounds {
            late_user(round % 2 == 0, view, &done);
        }
        assert_eq!(done.load(Ordering::SeqCst), rounds);
        assert!(
            lessor.try_reclaim().is_ok(),
            "whatever was counted at the end of the threads is counted out again"
        );
    });
}

#[test]
fn pitfall_04_a_span_may_outlive_the_librarys_thread_locals() {
    thread_local! {
        static GUARD: RefCell<Option<leasehold::Span<'static, u8>>> = const { RefCell::new(None) };
    }
    bounded(|| {
        let (lessor, memory) = MemoryOwner::from(vec![1u8; 8]).lease_read_only();
        for early in [true, false] {
            thread::spawn(move || {
                let memory = leak(memory);
                if early {
                    drop(memory.span().unwrap());
                } else {
                    GUARD.with(|_| ());
                }
                GUARD.set(Some(memory.span().unwrap()));
            })
            .join()
            .unwrap();
        }
        assert!(lessor.revoke().try_take().is_ok(), "both spans were dropped");
    });
}

/// Re-enters the library from wherever user code is called.
struct Reenters(MemoryPool, Arc<AtomicUsize>);

impl Drop for Reenters {
    fn drop(&mut self) {
        let owner = self.0.rent::<u8>(100);
        let (lessor, memory) = owner.lease_read_only();
        assert!(memory.span().is_ok());
        let (inner, part) = MemoryOwner::from(vec![1, 2, 3]).lease();
        drop(lessor);
        drop((inner, part));
        self.0.trim();
        reclaim_now();
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn pitfall_05_user_code_may_reenter_the_library_from_every_drop() {
    bounded(|| {
        let pool = MemoryPool::new();
        let drops = Arc::new(AtomicUsize::new(0));
        let elements = || (0..3).map(|_| Reenters(pool.clone(), Arc::clone(&drops))).collect::<Vec<_>>();
        drop(MemoryOwner::from(elements()));
        let (lessor, memory) = MemoryOwner::from(elements()).lease();
        drop(lessor);
        drop(memory);
        let (lessor, memory) = MemoryOwner::from(elements()).lease();
        let pin = memory.pin().unwrap();
        drop(lessor);
        drop(pin);
        let (lessor, memory) = MemoryOwner::from(elements()).lease();
        let span = memory.span().unwrap();
        let revocation = lessor.revoke();
        drop(revocation);
        drop(span);
        drop(memory);
        thread::spawn({
            let elements = elements();
            move || drop(MemoryOwner::from(elements))
        })
        .join()
        .unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 15);
    });
}

#[test]
fn pitfall_05_a_waker_may_reenter_the_library() {
    use std::task::{Context, Wake, Waker};

    struct Task(Mutex<Option<Lessor<u8>>>, MemoryPool);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            drop(self.1.rent::<u8>(10).lease());
            drop(self.0.lock().unwrap().take());
        }
    }
    bounded(|| {
        let (mut lessor, memory) = MemoryOwner::from(vec![1u8; 4]).lease();
        let (other, part) = MemoryOwner::from(vec![1u8; 4]).lease();
        let task = Arc::new(Task(Mutex::new(Some(other)), MemoryPool::new()));
        let waker = Waker::from(Arc::clone(&task));
        let mut returned = lessor.returned();
        let polled = std::pin::pin!(&mut returned).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(memory);
        drop(returned);
        assert!(part.span().is_err(), "the waker has run and has dropped the other lessor");
        assert!(lessor.try_reclaim().is_ok());
    });
}

#[test]
fn pitfall_08_the_fences_of_the_memory_model_are_used_where_they_must() {
    let (_lessor, memory) = MemoryOwner::from(vec![1]).lease_read_only();
    drop(memory.span().unwrap());
    if cfg!(miri) {
        // Where each light fence is a full one, so that what ships is what runs.
        assert_eq!(counters().asymmetric, cfg!(not(leasehold_fences)));
    } else if cfg!(any(leasehold_fences, not(target_os = "linux"))) {
        assert!(!counters().asymmetric);
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn pitfall_10_common_flows_run_no_heavy_barrier() {
    if !alone("pitfalls::pitfall_10_common_flows_run_no_heavy_barrier") {
        return;
    }
    let pool = MemoryPool::new();
    let (to_consumer, inbox) = mpsc::channel::<Memory<u8>>();
    let (to_stage, stage) = mpsc::channel::<MemoryOwner<u8>>();
    let (to_reader, readers) = mpsc::channel::<SharedOwner<u8>>();
    let (to_last, last) = mpsc::channel::<(Lessor<u8, ReadOnly>, ReadOnlyMemory<u8>)>();
    let consumer =
        thread::spawn(move || inbox.into_iter().for_each(|mut memory| memory.span_mut().unwrap().fill(1)));
    let next = thread::spawn(move || stage.into_iter().for_each(drop));
    let reader =
        thread::spawn(move || readers.into_iter().map(|shared| usize::from(shared[0])).sum::<usize>());
    let user = thread::spawn(move || last.into_iter().for_each(|(_lessor, view)| drop(view.span().unwrap())));
    for _ in 0..1000 {
        let mut owner = pool.rent::<u8>(100);
        owner.fill(1);
        // One thread leases, uses and reclaims.
        let (lessor, mut memory) = owner.lease();
        memory.span_mut().unwrap()[0] = 2;
        let (lessor, view) = lessor.try_reclaim().unwrap().lease_read_only();
        assert_eq!(view.span().unwrap()[0], 2);
        let owner = lessor.try_reclaim().unwrap();
        // A consumer on another thread gives its memory up.
        let (mut lessor, memory) = owner.lease();
        to_consumer.send(memory).unwrap();
        crate::support::block_on(lessor.returned()).unwrap();
        let owner = lessor.try_reclaim().unwrap();
        // Shared, and on to the next stage.
        let shared = owner.into_shared();
        to_reader.send(shared.clone()).unwrap();
        drop(shared);
        to_stage.send(pool.rent::<u8>(100)).unwrap();
        // Leased here, used and revoked there.
        to_last.send(pool.rent::<u8>(100).lease_read_only()).unwrap();
        // Revoked by the thread that used it, or unused.
        let (lessor, view) = pool.rent::<u8>(100).lease_read_only();
        drop(view.span().unwrap());
        drop(lessor);
        drop(MemoryOwner::from(vec![1]).lease_read_only());
    }
    drop((to_consumer, to_stage, to_reader, to_last));
    consumer.join().unwrap();
    user.join().unwrap();
    next.join().unwrap();
    reader.join().unwrap();
    assert_eq!(counters().heavy_barriers, 0);
}

/// Leases of one place begin with the toucher that they always had; here somebody else comes.
#[test]
fn pitfall_10_a_reader_that_comes_against_all_habit_holds_its_block() {
    const HABIT: u32 = if cfg!(miri) { 3 } else { 100 };
    let pool = MemoryPool::new();
    let (to_reader, inbox) = mpsc::channel::<ReadOnlyMemory<u32>>();
    let (inside, is_inside) = mpsc::channel::<()>();
    let (leave, may_leave) = mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        for memory in inbox {
            let span = memory.span().unwrap();
            inside.send(()).unwrap();
            may_leave.recv().unwrap();
            assert!(span.iter().all(|&element| element == HABIT));
        }
    });
    for round in 0..=HABIT {
        let mut owner = pool.rent::<u32>(100);
        owner.fill(round);
        let (lessor, memory) = owner.lease_read_only();
        assert_eq!(memory.span().unwrap()[0], round);
        if round < HABIT {
            continue;
        }
        to_reader.send(memory).unwrap();
        is_inside.recv().unwrap();
        drop(lessor);
        reclaim_now();
        assert_eq!(pool.outstanding().len(), 1, "the reader has it");
        let mut others: Vec<_> = (0..100).map(|_| pool.rent::<u32>(100)).collect();
        others.iter_mut().for_each(|other| other.fill(u32::MAX));
        leave.send(()).unwrap();
    }
    drop(to_reader);
    reader.join().unwrap();
    assert!(pool.outstanding().is_empty());
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn pitfall_10_revoking_many_costs_one_heavy_barrier() {
    if !alone("pitfalls::pitfall_10_revoking_many_costs_one_heavy_barrier") {
        return;
    }
    let (lessors, memories): (Vec<_>, Vec<_>) =
        (0..64).map(|i| MemoryOwner::from(vec![i; 4]).lease_read_only()).unzip();
    thread::spawn(move || memories.iter().for_each(|memory| drop(memory.span().unwrap()))).join().unwrap();
    assert_eq!(counters().heavy_barriers, 0);
    let revocations = Lessor::revoke_all(lessors);
    assert!(counters().heavy_barriers <= 1);
    assert!(revocations.into_iter().all(|revocation| revocation.try_take().is_ok()));
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn pitfall_11_short_threads_hand_their_records_on() {
    if !alone("pitfalls::pitfall_11_short_threads_hand_their_records_on") {
        return;
    }
    let (lessor, memory) = MemoryOwner::from(vec![1u8; 8]).lease_read_only();
    for _ in 0..1000 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    let spans: Vec<_> = (0..9).map(|_| memory.span().unwrap()).collect();
                    assert_eq!(spans[8][0], 1);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    assert!(counters().thread_records <= 8, "{:?}", counters());
    assert_eq!(counters().leaked_spans, 0);
    assert!(lessor.try_reclaim().is_ok());
}

#[test]
fn pitfall_12_what_waits_to_be_reclaimed_comes_back_on_demand() {
    bounded(|| {
        let pool = MemoryPool::new();
        let (lessors, memories): (Vec<_>, Vec<_>) =
            (0..10).map(|_| pool.rent::<u8>(4096).lease_read_only()).unzip();
        for _ in 0..2 {
            let memories = memories.clone();
            thread::spawn(move || memories.iter().for_each(|memory| drop(memory.span().unwrap())))
                .join()
                .unwrap();
        }
        drop(lessors);
        assert_eq!(pool.trim(), 10 * 4096, "trim finds what this thread has revoked");
    });
}

#[test]
fn pitfall_12_a_thread_that_ends_gives_back_what_it_has_revoked() {
    bounded(|| {
        let pool = MemoryPool::new();
        let (lessors, memories): (Vec<_>, Vec<_>) =
            (0..10).map(|_| pool.rent::<u8>(4096).lease_read_only()).unzip();
        memories.iter().for_each(|memory| drop(memory.span().unwrap()));
        thread::spawn(move || drop(lessors)).join().unwrap();
        assert_eq!(pool.trim(), 10 * 4096);
    });
}

#[test]
fn pitfall_12_a_large_buffer_does_not_wait_in_the_dark() {
    bounded(|| {
        let pool = MemoryPool::new();
        let (lessor, memory) = pool.rent::<u8>(16 << 20).lease_read_only();
        thread::spawn(move || drop(memory.span().unwrap())).join().unwrap();
        drop(lessor);
        assert_eq!(pool.idle_bytes(), 16 << 20, "what waits is bounded by bytes too");
    });
}

#[test]
fn pitfall_13_disposing_while_this_thread_holds_a_span_does_not_block() {
    bounded(|| {
        let tally = Tally::new(1);
        let (lessor, memory) = MemoryOwner::from(tally.elements()).lease();
        let span = memory.span().unwrap();
        drop(lessor);
        assert_eq!(span[0].index, 0);
        assert!(memory.span().is_err());
        assert!(tally.all(0));
        drop(span);
        assert!(tally.all(1));

        let pool = MemoryPool::new();
        let (lessor, memory) = pool.rent::<u8>(4096).lease_read_only();
        let span = memory.span().unwrap();
        drop(lessor);
        reclaim_now();
        assert_eq!(pool.trim(), 0);
        drop(span);
        assert_eq!(pool.trim(), 4096);
    });
}

#[test]
fn pitfall_14_no_two_pooled_buffers_share_a_cache_line() {
    let pool = MemoryPool::new();
    let owners: Vec<_> = (0..32).map(|len| pool.rent::<u8>(len)).collect();
    let lines: HashSet<_> = owners.iter().map(|owner| owner.as_ptr().addr() / 64).collect();
    assert_eq!(lines.len(), owners.len());
    assert!(owners.iter().all(|owner| owner.as_ptr().addr() % 64 == 0));
}

#[test]
fn pitfall_14_large_pooled_buffers_begin_at_different_places_of_a_page() {
    let pool = MemoryPool::new();
    let owners: Vec<_> = (0..16).map(|_| pool.rent::<u8>(128 << 10)).collect();
    let places: HashSet<_> = owners.iter().map(|owner| owner.as_ptr().addr() % 4096).collect();
    assert_eq!(places.len(), owners.len());
}

fn first_of(memory: &ReadOnlyMemory<u8>) -> u8 {
    match memory.span() {
        Ok(span) => span[0],
        Err(_) => 0,
    }
}

#[test]
fn pitfall_15_a_span_of_a_local_handle_may_be_matched_in_tail_position() {
    let sum = |memory: ReadOnlyMemory<u8>| {
        let local = memory.slice(..1);
        match local.span() {
            Ok(span) => span[0] + first_of(&memory),
            Err(_) => 0,
        }
    };
    let (_lessor, memory) = MemoryOwner::from(vec![1u8; 8]).lease_read_only();
    assert_eq!(sum(memory), 2);
    if let Ok(span) = memory.slice(1..).span() {
        assert_eq!(span.len(), 7);
    }
}

#[test]
fn pitfall_16_a_pin_may_be_dropped_on_a_thread_that_did_not_make_it() {
    // A coroutine that moves between threads cannot hold spans, which are not `Send` (see `auto_traits`); it pins.
    let (lessor, memory) = MemoryOwner::from(vec![1u8; 8]).lease_read_only();
    let pins: Vec<_> = (0..20).map(|_| memory.pin().unwrap()).collect();
    for pin in pins {
        thread::spawn(move || assert_eq!(pin[0], 1)).join().unwrap();
    }
    assert!(lessor.try_reclaim().is_ok());
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "signals, processes and system-call filters belong to the C library")]
mod linux {
    use std::mem::MaybeUninit;
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::*;

    static SEEN_BY_THE_HANDLER: OnceLock<ReadOnlyMemory<u64>> = OnceLock::new();
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    static WRONG: AtomicBool = AtomicBool::new(false);

    thread_local! {
        static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
    }

    extern "C" fn on_alarm(_: libc::c_int) {
        if !INTERRUPTED.get() {
            return;
        }
        let memory = SEEN_BY_THE_HANDLER.get().expect("it is set before the timer");
        let (Ok(one), Ok(two)) = (memory.span(), memory.span()) else {
            return WRONG.store(true, Ordering::Relaxed);
        };
        if one[0] != 7 || two[15] != 7 || memory.pin().map_or(0, |pin| pin[3]) != 7 {
            WRONG.store(true, Ordering::Relaxed);
        }
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }

    fn set_timer(microseconds: libc::suseconds_t) {
        let interval = libc::timeval { tv_sec: 0, tv_usec: microseconds };
        let timer = libc::itimerval { it_interval: interval, it_value: interval };
        // SAFETY: the timer is a valid one, and nobody asks for the old one.
        let status = unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
        assert_eq!(status, 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "signals")]
    fn pitfall_06_a_signal_handler_may_span_in_the_middle_of_anything() {
        if !alone("pitfalls::linux::pitfall_06_a_signal_handler_may_span_in_the_middle_of_anything") {
            return;
        }
        let (lessor, memory) = MemoryOwner::from(vec![7u64; 16]).lease_read_only();
        let (other, own) = MemoryOwner::from(vec![8u64; 16]).lease_read_only();
        drop(memory.span().unwrap());
        SEEN_BY_THE_HANDLER.set(memory).unwrap();
        INTERRUPTED.set(true);
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeroes are a valid action.
        let action = unsafe { action.assume_init_mut() };
        action.sa_sigaction = on_alarm as *const () as usize;
        // SAFETY: the handler only uses what is safe in a handler: spans and pins of a lease that goes on.
        let status = unsafe { libc::sigaction(libc::SIGALRM, action, std::ptr::null_mut()) };
        assert_eq!(status, 0);
        set_timer(50);
        // Some machines' timers come by far less often than they are asked to.
        let enough = Instant::now() + Duration::from_secs(10);
        while HANDLED.load(Ordering::Relaxed) < 2000 && Instant::now() < enough {
            let one = own.span().unwrap();
            let two = memory.span().unwrap();
            let pin = own.pin().unwrap();
            assert_eq!((one[15], two[0], pin[1]), (8, 7, 8));
            drop(one);
            let three = own.span().unwrap();
            assert_eq!((three[0], two[15]), (8, 7));
        }
        set_timer(0);
        INTERRUPTED.set(false);
        assert_ne!(HANDLED.load(Ordering::Relaxed), 0, "the timer never came");
        assert!(!WRONG.load(Ordering::Relaxed));
        assert!(lessor.try_reclaim().is_ok(), "every slot is free again");
        assert!(other.try_reclaim().is_ok());
    }

    /// Runs `body` in a forked child; true when it returned.
    fn in_a_child(body: impl FnOnce()) -> bool {
        // SAFETY: this process has no threads that hold locks; see `alone`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: it ends the child without its parent's destructors.
            unsafe { libc::_exit(i32::from(!fine)) }
        }
        let mut status = 0;
        // SAFETY: the child is ours and the status a local.
        let waited = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(waited, child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }

    #[test]
    #[cfg_attr(miri, ignore = "forks")]
    fn pitfall_07_a_forked_child_leaks_what_other_threads_held_and_goes_on() {
        if !alone("pitfalls::linux::pitfall_07_a_forked_child_leaks_what_other_threads_held_and_goes_on") {
            return;
        }
        let tally = Tally::new(1);
        let (lessor, memory) = SharedOwner::from(tally.elements()).try_lease_read_only().unwrap();
        let (lessor_of_own, own) = MemoryOwner::from(vec![1u8; 4]).lease_read_only();
        let own_span = own.span().unwrap();
        let (inside, entered) = mpsc::channel();
        let go = Flag::default();
        let reader = thread::spawn({
            let go = go.clone();
            move || {
                let span = memory.span().unwrap();
                inside.send(()).unwrap();
                go.wait();
                span[0].index
            }
        });
        entered.recv().unwrap();
        let mut lessors = Some((lessor, lessor_of_own));
        let fine = in_a_child(|| {
            let (lessor, lessor_of_own) = lessors.take().unwrap();
            assert_eq!(memory.span().unwrap()[0].index, 0);
            let in_use = lessor.try_reclaim().unwrap_err();
            assert_eq!(in_use.spans, 1, "the slot of a thread that is not there any more stays occupied");
            let revocation = in_use.lessor.revoke().try_take().unwrap_err();
            drop(revocation);
            assert!(memory.span().is_err());
            assert!(tally.all(0), "it leaks");
            // This thread's own span came along, and its block can be had.
            assert_eq!(own_span[..], [1; 4]);
            drop(own_span);
            assert!(lessor_of_own.try_reclaim().is_ok());
            for _ in 0..100 {
                let (lessor, memory) = MemoryPool::shared().rent::<u8>(10).lease_read_only();
                assert_eq!(memory.span().unwrap().len(), 10);
                drop(lessor);
            }
            thread::spawn(|| {
                let (_lessor, memory) = MemoryOwner::from(vec![1]).lease_read_only();
                assert!(memory.span().is_ok());
            })
            .join()
            .unwrap();
        });
        assert!(fine);
        go.raise();
        assert_eq!(reader.join().unwrap(), 0);
        let (lessor, _) = lessors.take().unwrap();
        assert!(lessor.try_reclaim().is_ok(), "the parent has not noticed");
    }

    /// Makes the kernel refuse membarrier to this process, as old kernels and strict containers do.
    fn refuse_membarrier() {
        const LOAD_NUMBER: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const ALLOW: u32 = 0x7fff_0000;
        const NO_SUCH_CALL: u32 = 0x0005_0000 | libc::ENOSYS as u32;
        let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
        let mut program = [
            step(LOAD_NUMBER, 0, 0),
            step(JUMP_IF_EQUAL, 1, libc::SYS_membarrier as u32),
            step(RETURN, 0, NO_SUCH_CALL),
            step(RETURN, 0, ALLOW),
        ];
        let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
        // SAFETY: it takes privileges away from this process and has no pointers.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
        // SAFETY: the filter and its program live until the call returns.
        let status = unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, 2 /* filter */, &filter)
        };
        assert_eq!(status, 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "system-call filters")]
    fn pitfall_09_a_kernel_without_membarrier_is_served_by_fences() {
        if !alone("pitfalls::linux::pitfall_09_a_kernel_without_membarrier_is_served_by_fences") {
            return;
        }
        // Of this thread and those that it starts.
        refuse_membarrier();
        bounded(|| {
            let mut owner = MemoryOwner::from(vec![0u64; 8]);
            for round in 0..200 {
                owner.fill(round);
                let (lessor, memory) = owner.lease_read_only();
                let readers: Vec<_> = (0..2)
                    .map(|_| {
                        thread::spawn(move || {
                            while let Ok(span) = memory.span() {
                                assert!(span.iter().all(|&word| word == round));
                            }
                        })
                    })
                    .collect();
                owner = lessor.revoke().wait().unwrap();
                owner.fill(u64::MAX);
                readers.into_iter().for_each(|reader| reader.join().unwrap());
            }
            assert!(!counters().asymmetric);
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "system-call filters")]
    fn pitfall_09_membarrier_is_used_where_the_kernel_offers_it() {
        if !alone("pitfalls::linux::pitfall_09_membarrier_is_used_where_the_kernel_offers_it") {
            return;
        }
        let (lessor, memory) = MemoryOwner::from(vec![1]).lease_read_only();
        drop(memory.span().unwrap());
        // SAFETY: a query, without pointers.
        let offered = unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) };
        let expedited = offered > 0 && offered & (1 << 3) != 0;
        assert_eq!(counters().asymmetric, expedited && !cfg!(leasehold_fences));
        drop(lessor);
    }
}
