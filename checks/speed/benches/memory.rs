//! How much memory a mixed workload takes: the process's peak, with our pool and with allocators.
//!
//! Each replays the same trace in a process of its own, which this program starts: itself, with a name for an argument.

mod by_hand;

use std::alloc::System;
use std::process::Command;
use std::time::Instant;

use by_hand::{Bytes, Stateless};
use check_speed::Trace;
use leasehold::MemoryPool;
use mimalloc::MiMalloc;
use tikv_jemallocator::Jemalloc;

const THREADS: usize = 3;
const SEED: u64 = 1;
/// Takes in the trace; fewer without `--bench`, to see that everything works.
const TAKES: u64 = 22_000;
const FEW_TAKES: u64 = 1000;
const PAGE: usize = 4096;

type Replay = fn(&Trace);

/// Who replays the trace, under the name it has in the table.
const WHO: [(&str, Replay); 6] = [
    ("leasehold", |trace| replay_in(trace, &MemoryPool::new())),
    ("leasehold, 16 MiB", |trace| {
        replay_in(trace, &MemoryPool::builder().idle_limit(16 << 20).build());
    }),
    ("leasehold, 16 MiB, Pages", |trace| {
        let builder = MemoryPool::builder().backing(leasehold::Pages::new());
        replay_in(trace, &builder.idle_limit(16 << 20).build());
    }),
    ("glibc", replay_with::<System>),
    ("jemalloc", replay_with::<Jemalloc>),
    ("mimalloc", replay_with::<MiMalloc>),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let takes = if arguments.iter().any(|argument| argument == "--bench") { TAKES } else { FEW_TAKES };
    let trace = Trace::mixed(SEED, takes);
    if let Some((_, replay)) = WHO.iter().find(|(who, _)| arguments.first().is_some_and(|first| first == who))
    {
        return report(&trace, *replay);
    }
    println!("\nmemory: {} MiB asked for at the peak, {THREADS} threads", trace.peak_bytes() >> 20);
    println!("{:30} {:>9} {:>8} {:>9} {:>8}", "", "peak MiB", "/asked", "left MiB", "ms");
    for (who, _) in WHO {
        match replay_elsewhere(who, &arguments) {
            Some([peak, left, ms]) => {
                let ratio = peak / trace.peak_bytes() as f64;
                let mib = f64::from(1 << 20);
                println!("{who:30} {:>9.0} {ratio:>8.2} {:>9.0} {ms:>8.0}", peak / mib, left / mib);
            }
            None => println!("{who:30} not measured: this system does not say what a process takes"),
        }
    }
}

/// What the replay of `who` takes in a process of its own: bytes at the peak and at the end, and milliseconds.
fn replay_elsewhere(who: &str, arguments: &[String]) -> Option<[f64; 3]> {
    let program = std::env::current_exe().ok()?;
    let printed = Command::new(program).arg(who).args(arguments).output().ok()?;
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let printed = String::from_utf8(printed.stdout).ok()?;
    let mut numbers = printed.split_whitespace().map_while(|number| number.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

/// Replays and prints the figures, for the process that asked.
fn report(trace: &Trace, replay: Replay) {
    let start = Instant::now();
    let before = resident("VmRSS:");
    replay(trace);
    let ms = start.elapsed().as_millis();
    let grown = |field| Some(resident(field)?.saturating_sub(before?));
    if let Some((peak, left)) = grown("VmHWM:").zip(grown("VmRSS:")) {
        println!("{peak} {left} {ms}");
    }
}

fn replay_in(trace: &Trace, pool: &MemoryPool) {
    trace.replay(THREADS, |len| {
        let mut owner = pool.rent::<u8>(len);
        owner.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
        owner
    });
    // The process that asks wants to know what is left with the pool, not without it.
    std::mem::forget(pool.clone());
}

fn replay_with<A: Stateless>(trace: &Trace) {
    trace.replay(THREADS, |len| {
        let bytes = Bytes::<A>::new(len);
        for at in (0..len).step_by(PAGE) {
            write_byte(bytes.as_ptr().wrapping_add(at));
        }
        bytes
    });
}

/// Takes possession of the page.
#[expect(unsafe_code, reason = "memory of an allocator that is called by hand")]
fn write_byte(at: *mut u8) {
    // SAFETY: within memory that was just allocated and that nobody else knows of.
    unsafe { at.write_volatile(1) };
}

/// What the kernel says of this process, in bytes.
fn resident(field: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}
