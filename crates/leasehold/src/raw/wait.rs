//! Blocking until a revoked lease has drained, or a rent has had its turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::handle::{Draining, Hold};

/// Parks this thread until the block is free. Hands the lessor back when this thread itself holds a span of the
/// block, in which case the wait would never end.
pub(crate) fn until_drained<H: Hold>(mut draining: Draining<H>) -> Result<H, Draining<H>> {
    let waker = own_waker();
    loop {
        draining = match draining.try_take() {
            Ok(hold) => return Ok(hold),
            Err(draining) => draining,
        };
        if draining.spans_of_this_thread() > 0 {
            return Err(draining);
        }
        if !draining.poll(&waker) {
            thread::park();
        }
    }
}

/// Parks this thread until the future is ready.
pub(crate) fn block_on<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let waker = own_waker();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Unparks this thread. Made once a thread, so that who blocks often allocates nothing.
fn own_waker() -> Waker {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    }
    // A thread whose locals are gone does without.
    WAKER.try_with(Waker::clone).unwrap_or_else(|_| Waker::from(Arc::new(Unpark(thread::current()))))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
