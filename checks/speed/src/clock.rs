//! Time of the thread and of the wall, and processors to pin to.

use std::time::Instant;

/// Measures from its creation.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// Time this thread spent on a processor: what other programs do in between does not count.
    Thread(u64),
    /// Time that passed. For rows where threads wait for each other.
    Wall(Instant),
}

impl Clock {
    /// Starts a clock of processor time.
    pub fn thread() -> Clock {
        Clock::Thread(system::thread_ns())
    }

    /// Starts a clock of real time.
    pub fn wall() -> Clock {
        Clock::Wall(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn ns(self) -> f64 {
        match self {
            Clock::Thread(start) => (system::thread_ns() - start) as f64,
            Clock::Wall(start) => start.elapsed().as_secs_f64() * 1e9,
        }
    }
}

/// How many processors this process may use.
pub fn processors() -> usize {
    system::allowed().len()
}

/// Keeps this thread on one processor until it is dropped.
#[derive(Debug)]
pub struct OnProcessor {
    before: Vec<usize>,
}

impl OnProcessor {
    /// Moves this thread to the `nth` processor that the process may use. Does nothing where it cannot.
    pub fn nth(nth: usize) -> OnProcessor {
        let before = system::allowed();
        if let Some(&processor) = before.get(nth) {
            system::allow(&[processor]);
        }
        OnProcessor { before }
    }
}

impl Drop for OnProcessor {
    fn drop(&mut self) {
        system::allow(&self.before);
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::mem::{size_of, zeroed};

    pub(super) fn thread_ns() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock exists on every Linux, and `time` is ours to be written.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        assert_eq!(failed, 0, "the kernel has a clock for each thread");
        time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
    }

    pub(super) fn allowed() -> Vec<usize> {
        // SAFETY: a set is an array of integers.
        let mut set: libc::cpu_set_t = unsafe { zeroed() };
        // SAFETY: the kernel writes at most the given size.
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
        let in_set = |&processor: &usize| {
            // SAFETY: the processor is within the set's size.
            unsafe { libc::CPU_ISSET(processor, &set) }
        };
        (0..libc::CPU_SETSIZE as usize).filter(in_set).collect()
    }

    pub(super) fn allow(processors: &[usize]) {
        // SAFETY: a set is an array of integers.
        let mut set: libc::cpu_set_t = unsafe { zeroed() };
        for &processor in processors {
            // SAFETY: the processors come from a set of the same size.
            unsafe { libc::CPU_SET(processor, &mut set) };
        }
        // SAFETY: the kernel reads the set only. A refusal costs precision, nothing else.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// Without a clock of its own the thread makes do with the wall's.
    pub(super) fn thread_ns() -> u64 {
        START.elapsed().as_nanos() as u64
    }

    pub(super) fn allowed() -> Vec<usize> {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
    }

    pub(super) fn allow(_: &[usize]) {}
}
