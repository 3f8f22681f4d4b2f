//! The hot paths, one function each, for `cargo xtask assembly` and `cargo xtask instructions`.
//!
//! With the argument `trace` it prints for each `probe_*` which of its instructions a warm call executes, as distances from
//! its first. Without, it calls each `count_*` once, which repeats an operation a fixed number of times: callgrind
//! counts what is executed between entering and leaving them.
#![expect(unsafe_code, reason = "names that stay what they are in the binary, and single steps")]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};

use leasehold::{
    BoundedPool, Exclusive, Lessor, Memory, MemoryOwner, MemoryPool, ReadOnly, ReadOnlyMemory, Sequence,
    SharedOwner,
};

/// What a probe returns when there is nothing to read.
const NOTHING: u64 = u64::MAX;
const LIVE: &str = "the lessor is alive";
/// Calls before anything is counted. The first registers the thread and fills its caches; and a thread looks at the clock with
/// its 342nd rent, if the machine is not too busy, and then not before the 1366th.
const WARM: usize = 350;
/// Repetitions of everything that is counted; xtask divides by the same number.
const TIMES: u64 = 1000;

/// Begins a span, reads a byte, ends the span.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn probe_span(memory: &ReadOnlyMemory<u8>, index: usize) -> u64 {
    memory.span().ok().and_then(|span| span.get(index).copied()).map_or(NOTHING, u64::from)
}

/// Begins a span of exclusive memory, writes a byte, ends the span.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn probe_span_mut(memory: &mut Memory<u8>, index: usize, byte: u8) -> bool {
    let Ok(mut span) = memory.span_mut() else { return false };
    let Some(place) = span.get_mut(index) else { return false };
    *place = byte;
    true
}

/// Slices a handle. `from` lies within.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn probe_slice(memory: &ReadOnlyMemory<u8>, from: usize, into: &mut ReadOnlyMemory<u8>) {
    *into = memory.slice(from..);
}

/// Finds out that a handle is stale. Called with stale handles only.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn probe_stale(memory: &ReadOnlyMemory<u8>) -> bool {
    memory.span().is_err()
}

/// Reads a byte of a shared owner.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn probe_shared_deref(owner: &SharedOwner<u8>, index: usize) -> u64 {
    owner.get(index).copied().map_or(NOTHING, u64::from)
}

/// Rents from what the thread keeps, and gives it back there.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn probe_rent(pool: &MemoryPool, len: usize) -> bool {
    black_box(pool.rent::<u8>(len).as_ptr()).is_aligned()
}

/// For each operation a function that repeats it, and one that calls that after some times which are not counted.
macro_rules! counted {
    ($($(#[$doc:meta])* $name:ident / $prepared:ident($state:ident: $State:ty = $new:expr) $operation:block)*) => {
        $(
            $(#[$doc])*
            #[inline(never)]
            #[unsafe(no_mangle)]
            extern "C" fn $name($state: &mut $State) {
                for _ in 0..TIMES {
                    black_box($operation);
                }
            }

            fn $prepared() {
                let $state: &mut $State = &mut $new;
                for _ in 0..WARM {
                    black_box($operation);
                }
                $name($state);
            }
        )*

        const ALL: &[fn()] = &[$($prepared),*];
    };
}

counted! {
    /// The loop around every other.
    count_nothing / nothing(memory: Leased = read_only()) {
        black_box(&memory.1).len()
    }
    count_span / span(memory: Leased = read_only()) {
        probe_span(&memory.1, 0)
    }
    count_span_mut / span_mut(memory: (Lessor<u8, Exclusive>, Memory<u8>) = owner().lease()) {
        probe_span_mut(&mut memory.1, 0, 1)
    }
    count_slice / slice(memory: Leased = read_only()) {
        let mut into = memory.1;
        probe_slice(&memory.1, 1, &mut into);
        into
    }
    count_stale / stale(memory: ReadOnlyMemory<u8> = read_only().1) {
        probe_stale(memory)
    }
    count_shared_deref / shared_deref(shared: SharedOwner<u8> = owner().into_shared()) {
        probe_shared_deref(shared, 0)
    }
    count_shared_clone / shared_clone(shared: SharedOwner<u8> = owner().into_shared()) {
        black_box(&mut *shared).clone().len()
    }
    count_four_spans / four_spans(memory: Leased = read_only()) {
        let spans = (memory.1.span(), memory.1.span(), memory.1.span(), memory.1.span());
        black_box(&spans);
    }
    count_pin / pin(memory: Leased = read_only()) {
        black_box(&memory.1.pin().expect(LIVE));
    }
    count_exclusive_lease / exclusive_lease(free: Option<MemoryOwner<u8>> = Some(owner())) {
        let (lessor, mut memory) = free.take().expect("each time puts it back").lease();
        probe_span_mut(&mut memory, 0, 1);
        drop(memory);
        *free = Some(lessor.try_reclaim().expect("the consumer gave it back"));
    }
    count_read_only_lease / read_only_lease(free: Option<MemoryOwner<u8>> = Some(owner())) {
        let (lessor, memory) = free.take().expect("each time puts it back").lease_read_only();
        probe_span(&memory, 0);
        *free = lessor.revoke().try_take().ok();
    }
    count_rent / rent(pool: MemoryPool = MemoryPool::new()) {
        pool.rent::<u8>(black_box(4096)).as_ptr()
    }
    count_rent_within_budget / rent_within_budget(
        pool: BoundedPool = MemoryPool::builder().build_bounded(1 << 20)
    ) {
        let mut context = Context::from_waker(Waker::noop());
        let rented = pin!(pool.rent::<u8>(black_box(4096))).poll(&mut context);
        black_box(rented.is_ready())
    }
    /// One of 64 that go back together. The stock has as many again, and the thread comes to do without it.
    count_rent_of_64 / rent_of_64(
        many: (MemoryPool, Vec<MemoryOwner<u8>>) = (stocked(), Vec::with_capacity(64))
    ) {
        let (pool, out) = &mut *many;
        out.push(pool.rent(black_box(4096)));
        if out.len() == out.capacity() {
            out.clear();
        }
    }
    count_rent_and_revoke / rent_and_revoke(pool: MemoryPool = MemoryPool::new()) {
        let mut owner = pool.rent::<u8>(black_box(4096));
        owner[0] = 1;
        let (lessor, memory) = owner.lease_read_only();
        probe_span(&memory, 0);
        drop(lessor);
    }
    /// Elements here and there of a sequence of as many segments.
    count_get_among_16 / get_among_16(scattered: Scattered<16> = Scattered::new()) {
        scattered.get()
    }
    /// A lookup is a binary search: 256 times the segments are eight more steps.
    count_get_among_4096 / get_among_4096(scattered: Scattered<4096> = Scattered::new()) {
        scattered.get()
    }
}

/// A sequence of segments that are blocks of their own, and where to look next.
struct Scattered<const SEGMENTS: usize> {
    sequence: Sequence<u8>,
    next: usize,
}

impl<const SEGMENTS: usize> Scattered<SEGMENTS> {
    const SEGMENT: usize = 4;

    fn new() -> Self {
        let mut sequence = Sequence::new();
        (0..SEGMENTS).for_each(|_| sequence.push(MemoryOwner::from(vec![1; Self::SEGMENT])));
        Scattered { sequence, next: 0 }
    }

    fn get(&mut self) -> Option<u8> {
        // An odd step comes to every position of a length that is a power of two.
        self.next = (self.next + 10_007) % (SEGMENTS * Self::SEGMENT);
        self.sequence.get(self.next).copied()
    }
}

type Leased = (Lessor<u8, ReadOnly>, ReadOnlyMemory<u8>);

fn owner() -> MemoryOwner<u8> {
    MemoryOwner::from(vec![1; 4096])
}

/// A pool with more in stock than a thread keeps.
fn stocked() -> MemoryPool {
    let pool = MemoryPool::new();
    pool.reserve::<u8>(4096, 256).expect("nothing limits it");
    pool
}

fn read_only() -> Leased {
    owner().lease_read_only()
}

fn main() {
    let (_lessor, memory) = read_only();
    assert_eq!(probe_span(&memory, 0), 1);
    if std::env::args().any(|argument| argument == "trace") {
        return trace();
    }
    for prepared in ALL {
        prepared();
    }
    println!("asymmetric: {}", leasehold::counters().asymmetric);
}

fn trace() {
    let (_lessor, memory) = read_only();
    let (_unique_lessor, mut unique) = owner().lease();
    let (mut sliced, stale, shared) = (memory, read_only().1, owner().into_shared());
    step::trace("probe_span", probe_span as *const (), || probe_span(&memory, 0) == 1);
    step::trace("probe_span_mut", probe_span_mut as *const (), || probe_span_mut(&mut unique, 0, 1));
    step::trace("probe_slice", probe_slice as *const (), || {
        probe_slice(&memory, 1, &mut sliced);
        sliced.len() == memory.len() - 1
    });
    step::trace("probe_stale", probe_stale as *const (), || probe_stale(&stale));
    step::trace("probe_shared_deref", probe_shared_deref as *const (), || {
        probe_shared_deref(&shared, 0) == 1
    });
    let pool = MemoryPool::new();
    (0..WARM).for_each(|_| assert!(probe_rent(&pool, 4096)));
    step::trace("probe_rent", probe_rent as *const (), || probe_rent(&pool, 4096));
}

/// Executes one instruction at a time, by the processor's trap flag.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod step {
    use std::arch::asm;
    use std::mem::zeroed;
    use std::ptr::null_mut;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Room for the steps of one call with what is around it.
    const ROOM: usize = 4096;
    static STEPS: [AtomicUsize; ROOM] = [const { AtomicUsize::new(0) }; ROOM];
    static TAKEN: AtomicUsize = AtomicUsize::new(0);

    /// Prints where in the function at `start` the steps of the second `call` are.
    pub fn trace(name: &str, start: *const (), mut call: impl FnMut() -> bool) {
        assert!(call(), "{name} does what it is to do");
        watch();
        TAKEN.store(0, Ordering::Relaxed);
        set_trap_flag();
        let did = call();
        clear_trap_flag();
        assert!(did, "{name} does what it is to do");
        let taken = TAKEN.load(Ordering::Relaxed).min(ROOM);
        let steps = STEPS[..taken].iter().map(|step| step.load(Ordering::Relaxed));
        let distances =
            steps.skip_while(|&step| step != start.addr()).map(|step| step.wrapping_sub(start.addr()));
        // What lies outside of the function is left to the reader to tell: nobody here knows where it ends.
        let distances: Vec<String> = distances.map(|distance| format!("{distance:x}")).collect();
        println!("{name} {}", distances.join(" "));
    }

    extern "C" fn on_step(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel passes the interrupted thread's context, as the handler was installed to get it.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        let step = TAKEN.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = STEPS.get(step) {
            place.store(context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize, Ordering::Relaxed);
        }
    }

    fn watch() {
        // SAFETY: an action is plain data for which zeros stand for nothing.
        let mut action: libc::sigaction = unsafe { zeroed() };
        action.sa_sigaction = on_step as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler touches atomics only.
        let failed = unsafe { libc::sigaction(libc::SIGTRAP, &action, null_mut()) };
        assert_eq!(failed, 0, "any process may watch its own traps");
    }

    #[inline(always)]
    fn set_trap_flag() {
        // SAFETY: from the next instruction on the handler is called, which returns to where it came from.
        unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    }

    #[inline(always)]
    fn clear_trap_flag() {
        // SAFETY: that is how things are in any program.
        unsafe { asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq") };
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod step {
    /// There are no single steps here.
    pub fn trace(_: &str, _: *const (), _: impl FnMut() -> bool) {}
}
