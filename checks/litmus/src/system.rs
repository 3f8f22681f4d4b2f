//! What the kernel is asked for.

#[cfg(target_os = "linux")]
pub use linux::{has_two_processors, register_membarrier};
#[cfg(target_os = "linux")]
pub(crate) use linux::{membarrier, on_processor};
#[cfg(not(target_os = "linux"))]
pub use other::{has_two_processors, register_membarrier};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{membarrier, on_processor};

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::{size_of, zeroed};

    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    /// Announces to the kernel that this process uses membarrier. False where the kernel does not offer it.
    pub fn register_membarrier() -> bool {
        call(REGISTER_PRIVATE_EXPEDITED)
    }

    /// Makes every processor that runs a thread of this process run a full fence.
    pub(crate) fn membarrier() {
        assert!(call(PRIVATE_EXPEDITED), "the process has registered");
    }

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the arguments are plain integers.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Whether two threads of this process can run at the same time.
    pub fn has_two_processors() -> bool {
        allowed().len() >= 2
    }

    /// Keeps this thread on the `nth` processor that the process may use.
    pub(crate) fn on_processor(nth: usize) {
        let Some(&processor) = allowed().get(nth) else { return };
        // SAFETY: a set is an array of integers.
        let mut set: libc::cpu_set_t = unsafe { zeroed() };
        // SAFETY: the processor comes from a set of the same size.
        unsafe { libc::CPU_SET(processor, &mut set) };
        // SAFETY: the kernel reads the set only. A refusal costs overlap, nothing else.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    }

    fn allowed() -> Vec<usize> {
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
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// There is no membarrier here.
    pub fn register_membarrier() -> bool {
        false
    }

    pub(crate) fn membarrier() {
        unreachable!("it was not registered");
    }

    /// Whether two threads of this process can run at the same time.
    pub fn has_two_processors() -> bool {
        std::thread::available_parallelism().is_ok_and(|processors| processors.get() >= 2)
    }

    pub(crate) fn on_processor(_: usize) {}
}
