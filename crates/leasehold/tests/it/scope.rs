//! Lending borrowed memory, the stack included.

use std::sync::mpsc;
use std::thread;

use leasehold::{Memory, ReadOnlyMemory, scope, scope_read_only};

use crate::support::{bounded, catch, in_its_own_process};

#[test]
fn stack_memory_is_lent_to_a_detached_thread() {
    bounded(|| {
        let (work, inbox) = mpsc::channel::<Memory<u64>>();
        let (written, done) = mpsc::channel();
        let actor = thread::spawn(move || {
            for mut memory in inbox {
                memory.span_mut().unwrap().fill(7);
                written.send(()).unwrap();
            }
        });
        let mut stack = [0u64; 16];
        scope(&mut stack, |memory| {
            work.send(memory).unwrap();
            done.recv().unwrap();
        });
        assert_eq!(stack, [7; 16]);
        drop(work);
        actor.join().unwrap();
    });
}

#[test]
fn leaving_the_scope_revokes_and_waits() {
    bounded(|| {
        for _ in 0..if cfg!(miri) { 3 } else { 300 } {
            let (send, receive) = mpsc::channel::<Memory<u64>>();
            let (inside, entered) = mpsc::channel();
            let reader = thread::spawn(move || {
                let mut memory = receive.recv().unwrap();
                let mut writes = 0u64;
                while let Ok(mut span) = memory.span_mut() {
                    writes += 1;
                    span.fill(writes);
                    let _ = inside.send(());
                }
                writes
            });
            let mut stack = [0u64; 8];
            scope(&mut stack, |memory| {
                send.send(memory).unwrap();
                entered.recv().unwrap();
            });
            let after = stack;
            stack.fill(0);
            assert_eq!(after, [reader.join().unwrap(); 8]);
            assert_eq!(stack, [0; 8], "nobody writes after the scope");
        }
    });
}

#[test]
fn a_pin_that_another_thread_holds_is_waited_for() {
    bounded(|| {
        let table = [1u32, 2, 3];
        let reader = scope_read_only(&table, |memory| {
            let pin = memory.pin().unwrap();
            thread::spawn(move || assert_eq!(pin[..], [1, 2, 3]))
        });
        reader.join().unwrap();
    });
}

#[test]
fn handles_that_leave_the_scope_are_stale_and_name_it() {
    let mut stack = [1u8; 4];
    let (line, memory) = (line!(), scope(&mut stack, |memory| memory));
    let error = memory.span().unwrap_err();
    assert_eq!(error.revoked_at().unwrap().line(), line);
    assert_eq!(error.leased_at().unwrap().line(), line);
    assert!(error.leased_at().unwrap().file().ends_with("scope.rs"));
    let view = scope_read_only(&stack, |memory| memory.slice(1..));
    assert!(view.span().is_err() && view.pin().is_err());
}

#[test]
fn the_scope_gives_what_its_body_gives() {
    assert_eq!(scope(&mut [1, 2, 3], |mut memory| memory.span_mut().unwrap().iter().sum::<i32>()), 6);
    assert_eq!(scope_read_only(&[] as &[u8], |memory| memory.len()), 0);
}

#[test]
fn a_panic_in_the_body_revokes_and_waits() {
    bounded(|| {
        let (send, receive) = mpsc::channel::<ReadOnlyMemory<u8>>();
        let (inside, entered) = mpsc::channel();
        let reader = thread::spawn(move || {
            let memory = receive.recv().unwrap();
            let pin = memory.pin().unwrap();
            inside.send(()).unwrap();
            let sum: u32 = pin.iter().map(|&byte| u32::from(byte)).sum();
            drop(pin);
            (sum, memory)
        });
        let table = [1u8; 100];
        let panic = catch(|| {
            scope_read_only(&table, |memory| {
                send.send(memory).unwrap();
                entered.recv().unwrap();
                panic!("in the body");
            })
        });
        assert_eq!(panic.map(drop).unwrap_err().downcast_ref(), Some(&"in the body"));
        let (sum, memory) = reader.join().unwrap();
        assert_eq!(sum, 100);
        assert!(memory.span().is_err());
    });
}

#[test]
fn forgotten_handles_do_not_hold_the_scope_up() {
    let mut stack = [1u8; 4];
    scope(&mut stack, std::mem::forget);
    assert_eq!(stack, [1; 4]);
}

#[test]
fn scopes_nest() {
    let mut outer = [1u8; 4];
    scope(&mut outer, |mut memory| {
        let mut inner = [2u8; 4];
        scope(&mut inner, |mut other| {
            other.span_mut().unwrap().copy_from_slice(&memory.span().unwrap());
            memory.span_mut().unwrap().fill(3);
        });
        assert_eq!(inner, [1; 4]);
    });
    assert_eq!(outer, [3; 4]);
}

#[test]
fn elements_with_drop_stay_the_borrowers() {
    let tally = crate::support::Tally::new(3);
    let mut elements = tally.elements();
    scope(&mut elements, |mut memory| memory.span_mut().unwrap().swap(0, 2));
    assert!(tally.all(0));
    assert_eq!(elements[0].index, 2);
    drop(elements);
    assert!(tally.all(1));
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_span_leaked_in_its_own_thread_aborts_the_process() {
    const NAME: &str = "scope::a_span_leaked_in_its_own_thread_aborts_the_process";
    let Some(output) = in_its_own_process(NAME) else {
        let table = [1u8; 4];
        scope_read_only(&table, |memory| std::mem::forget(memory.span().unwrap()));
        unreachable!("the process is aborted");
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("still holds a span of the memory it lends"), "{text}");
    assert!(text.contains("scope.rs:"), "{text}");
    assert!(!text.contains("unreachable"), "{text}");
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_span_leaked_beyond_the_fast_ones_aborts_the_process_too() {
    const NAME: &str = "scope::a_span_leaked_beyond_the_fast_ones_aborts_the_process_too";
    bounded(|| {
        let Some(output) = in_its_own_process(NAME) else {
            // Without the abort the process would wait for itself; the alarm ends it.
            alarm(10);
            let busy = [0u8; 1];
            let table = [1u8; 4];
            scope_read_only(&busy, |busy| {
                let _fill: Vec<_> = (0..12).map(|_| busy.span().unwrap()).collect();
                scope_read_only(&table, |memory| std::mem::forget(memory.span().unwrap()));
            });
            unreachable!("the process is aborted");
        };
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(text.contains("still holds a span of the memory it lends"), "{} {text}", output.status);
    });
}

#[expect(unsafe_code, reason = "the C library is called")]
fn alarm(seconds: u32) {
    #[cfg(unix)]
    // SAFETY: it only starts a timer, whose signal ends the process.
    unsafe {
        libc::alarm(seconds)
    };
}
