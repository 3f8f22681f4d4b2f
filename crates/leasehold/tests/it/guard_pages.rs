//! The diagnostic backing ends a process that strays from its blocks, and no other.
#![expect(unsafe_code, reason = "what is caught is what unsafe code does")]

use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::ptr::NonNull;

use leasehold::GuardPages;

use crate::backing::Block;
use crate::support::in_its_own_process;

/// Runs the test `name` in a process of its own, where it does what must not be survived.
fn victim(name: &str, sin: impl FnOnce()) -> Option<Output> {
    let output = in_its_own_process(name);
    if output.is_none() {
        sin();
        println!("survived");
    }
    output
}

/// The process died of touching what it must not. Sanitizers say so instead of letting it.
fn assert_killed(output: Option<Output>) {
    let Some(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let killed = output.status.signal().is_some_and(|signal| [libc::SIGSEGV, libc::SIGBUS].contains(&signal));
    assert!(killed || text.contains("Sanitizer"), "{}: {text}", output.status);
    assert!(!text.contains("survived") && !output.status.success(), "{text}");
}

fn write(memory: NonNull<u8>, offset: isize) {
    // SAFETY: none; it is what the test is about.
    unsafe { memory.as_ptr().wrapping_offset(offset).write_volatile(1) };
}

/// The guard begins at a multiple of this, however large the pages are.
const PAGE: usize = 4096;

#[test]
fn blocks_end_where_the_guard_begins() {
    let guarded = GuardPages::new();
    for size in [64, 128, 4032, 4096, 4160, 65536, 1 << 20] {
        assert!(Block::new(&guarded, size, 64).unwrap().range().end.is_multiple_of(PAGE), "{size}");
    }
    let odd = Block::new(&guarded, 100, 64).unwrap();
    assert_eq!(odd.range().end % PAGE, PAGE - 28);
    let block = Block::new(&guarded, 100, 1).unwrap();
    assert!(block.range().end.is_multiple_of(PAGE));
}

#[test]
fn the_first_byte_behind_a_block_is_fatal() {
    assert_killed(victim("guard_pages::the_first_byte_behind_a_block_is_fatal", || {
        let guarded = GuardPages::new();
        let block = Block::new(&guarded, 192, 64).unwrap();
        write(block.memory, 191);
        write(block.memory, 192);
    }));
}

#[test]
fn so_is_the_first_byte_behind_a_large_and_strictly_aligned_one() {
    assert_killed(victim(
        "guard_pages::so_is_the_first_byte_behind_a_large_and_strictly_aligned_one",
        || {
            let guarded = GuardPages::new();
            let block = Block::new(&guarded, 3 << 20, 2 << 20).unwrap();
            write(block.memory, (3 << 20) - 1);
            write(block.memory, 3 << 20);
        },
    ));
}

#[test]
fn the_page_before_a_block_is_fatal() {
    assert_killed(victim("guard_pages::the_page_before_a_block_is_fatal", || {
        let guarded = GuardPages::new();
        let block = Block::new(&guarded, 1 << 16, 64).unwrap();
        write(block.memory, 0);
        write(block.memory, -1);
    }));
}

#[test]
fn a_use_after_the_release_is_fatal_in_quarantine() {
    assert_killed(victim("guard_pages::a_use_after_the_release_is_fatal_in_quarantine", || {
        let guarded = GuardPages::new().quarantine(1 << 20);
        let block = Block::new(&guarded, 4096, 64).unwrap();
        let memory = block.memory;
        drop(block);
        // Nothing that comes later gets its place.
        drop((0..20).map(|_| Block::new(&guarded, 4096, 64).unwrap()).collect::<Vec<_>>());
        write(memory, 0);
    }));
}

#[test]
fn a_write_into_the_gap_between_block_and_guard_is_found_at_the_release() {
    let name = "guard_pages::a_write_into_the_gap_between_block_and_guard_is_found_at_the_release";
    let output = victim(name, || {
        let guarded = GuardPages::new();
        let block = Block::new(&guarded, 100, 64).unwrap();
        write(block.memory, 100);
        println!("not yet found");
        drop(block);
    });
    let Some(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("not yet found") && text.contains("next to a block of 100 bytes"), "{text}");
    assert!(!text.contains("survived") && !output.status.success(), "{text}");
}

#[test]
fn the_quarantine_stays_within_its_limit() {
    let guarded = GuardPages::new().quarantine(100 << 10);
    for _ in 0..100 {
        drop(Block::new(&guarded, 4096, 64).unwrap());
        assert!(guarded.quarantined() <= 100 << 10);
    }
    let full = guarded.quarantined();
    assert!(full > 0);
    drop(Block::new(&guarded, 1 << 20, 64).unwrap());
    assert_eq!(guarded.quarantined(), full, "what is too large for it drives nothing out");
}
