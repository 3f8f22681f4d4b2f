//! The C library of `c/device.h`, made safe.
#![expect(unsafe_code, reason = "C is called, and calls back")]

use std::ffi::{c_int, c_void};
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use leasehold::{Memory, MemoryHandleMut, Refused, Revoked};

type Done = extern "C" fn(context: *mut c_void, result: i64);

// SAFETY: as `c/device.h` declares them.
unsafe extern "C" {
    fn device_checksum(bytes: *const u8, len: usize) -> u32;
    fn device_open() -> *mut c_void;
    fn device_close(device: NonNull<c_void>);
    fn device_supply(device: NonNull<c_void>, bytes: *const u8, len: usize) -> usize;
    fn device_commit(device: NonNull<c_void>);
    fn device_read(
        device: NonNull<c_void>,
        into: *mut u8,
        len: usize,
        done: Done,
        context: *mut c_void,
    ) -> i64;
    fn device_cancel(device: NonNull<c_void>) -> c_int;
}

/// A synchronous call: a slice is all it takes, of an owner, a shared owner or a span.
pub fn checksum(bytes: &[u8]) -> u32 {
    // SAFETY: C reads the slice, and only until it returns.
    unsafe { device_checksum(bytes.as_ptr(), bytes.len()) }
}

/// A device that is open. Dropping it waits until every read is over.
pub struct Device {
    raw: NonNull<c_void>,
}

// SAFETY: each function of the library may be called on any thread; they lock.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// `OutOfMemory` when there is neither memory nor a thread for it.
    pub fn open() -> io::Result<Arc<Device>> {
        // SAFETY: there is nothing to promise.
        let raw = NonNull::new(unsafe { device_open() }).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arc::new(Device { raw }))
    }

    /// Gives the device bytes to be read, and says how many it took.
    pub fn supply(&self, bytes: &[u8]) -> usize {
        // SAFETY: C copies from the slice, and only until it returns.
        unsafe { device_supply(self.raw, bytes.as_ptr(), bytes.len()) }
    }

    /// From now on reads cannot be cancelled, as when a transfer has begun.
    pub fn commit(&self) {
        // SAFETY: the device is open.
        unsafe { device_commit(self.raw) };
    }

    /// Reads into leased memory. The pin keeps it in place, and out of every pool, until C has done with it.
    ///
    /// # Errors
    /// When the lease is over, with the memory. What C says comes with the future.
    pub fn read(self: &Arc<Self>, memory: Memory<u8>) -> Result<Reading, Refused<Memory<u8>, Revoked>> {
        let mut pinned = memory.pin()?;
        let (into, len) = (pinned.as_mut_ptr(), pinned.len());
        let slot = Arc::new(Slot(Mutex::new(State::Running(None))));
        // One reference for C: the pin goes where the callback finds it, and nowhere else.
        let context = Box::into_raw(Box::new(Request { pinned, slot: Arc::clone(&slot) }));
        // SAFETY: `into` is pinned and exclusively ours, and stays so until the request is dropped, which happens after C
        // has done with it: in `done`, or below when there is no callback.
        let result = unsafe { device_read(self.raw, into, len, done, context.cast()) };
        if result != 0 {
            // Not begun, or over already: C keeps nothing and calls nobody, so we do what the callback would have done.
            // SAFETY: the box was made above, and C has let go of it.
            unsafe { Box::from_raw(context) }.end(result);
        }
        Ok(Reading { slot, device: Arc::clone(self) })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: nobody uses the device any more; it waits for its own thread.
        unsafe { device_close(self.raw) };
    }
}

/// What C carries for us: all that has to live until the read is over.
struct Request {
    pinned: MemoryHandleMut<u8>,
    slot: Arc<Slot>,
}

impl Request {
    /// Ends the pin, and hands the memory to the future, or to nobody when it has gone.
    fn end(self, result: i64) {
        let memory = self.pinned.unpin();
        self.slot.put(match usize::try_from(result) {
            Ok(len) => Ok((memory, len)),
            Err(_) => Err(Failed { memory, error: io::Error::from_raw_os_error((-result) as i32) }),
        });
    }
}

/// The callback. C must not see a panic: what a waker panics with is caught in `end`, and anything else would end the process.
extern "C" fn done(context: *mut c_void, result: i64) {
    // SAFETY: the box that `read` made; C calls back once, so this is the only one to take it.
    unsafe { Box::from_raw(context.cast::<Request>()) }.end(result);
}

/// A read that is under way. Dropped, it is cancelled, and the memory goes back when C says that it is over.
#[must_use = "dropping the reading cancels it"]
pub struct Reading {
    slot: Arc<Slot>,
    device: Arc<Device>,
}

impl Reading {
    /// Asks for an early end. Await the future all the same: the memory comes back with it.
    pub fn cancel(&self) {
        if !self.slot.is_over() {
            // That it is too late shows in the outcome.
            // SAFETY: the device is open.
            let _ = unsafe { device_cancel(self.device.raw) };
        }
    }
}

impl Future for Reading {
    type Output = Result<(Memory<u8>, usize), Failed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.slot.poll(context.waker())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A read that failed or was cancelled; the memory comes back.
#[derive(Debug)]
pub struct Failed {
    /// The memory, no longer pinned.
    pub memory: Memory<u8>,
    /// What C says.
    pub error: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the device cannot read {} bytes: {}", self.memory.len(), self.error)
    }
}

impl std::error::Error for Failed {}

struct Slot(Mutex<State>);

enum State {
    Running(Option<Waker>),
    Over(Box<Result<(Memory<u8>, usize), Failed>>),
    Taken,
}

impl Slot {
    fn put(&self, outcome: Result<(Memory<u8>, usize), Failed>) {
        let before = mem::replace(&mut *self.lock(), State::Over(Box::new(outcome)));
        if let State::Running(Some(waker)) = before {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<(Memory<u8>, usize), Failed>> {
        let mut state = self.lock();
        match mem::replace(&mut *state, State::Taken) {
            State::Over(outcome) => Poll::Ready(*outcome),
            State::Running(_) => {
                *state = State::Running(Some(waker.clone()));
                Poll::Pending
            }
            State::Taken => panic!("a reading was polled after it was over"),
        }
    }

    fn is_over(&self) -> bool {
        !matches!(*self.lock(), State::Running(_))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
