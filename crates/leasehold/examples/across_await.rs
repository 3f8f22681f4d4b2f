//! An owner and a leased handle live across `await`; spans do not, and need not.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use leasehold::{Memory, MemoryPool, PipeReader, pipe};

/// Two tasks, and a runtime of ten lines for each.
pub fn main() -> Result<(), Failure> {
    let (mut writer, reader) = pipe::<u8>();
    let (mut lessor, memory) = MemoryPool::shared().rent::<u8>(11).lease();

    let receiver = thread::spawn(move || block_on(receive(reader, memory)));
    for part in ["hello ", "world"] {
        writer.reserve_blocking(part.len())?[..part.len()].copy_from_slice(part.as_bytes());
        writer.commit(part.len());
        writer.flush_blocking()?;
    }
    writer.complete(Ok(()));

    block_on(lessor.returned())?; // the task has dropped its handle
    receiver.join().expect("the task does not panic")?;
    let owner = lessor.try_reclaim().map_err(|_| "the handle is still in use")?;
    println!("received {:?}", str::from_utf8(&owner)?);
    assert_eq!(owner[..], *b"hello world");
    Ok(())
}

/// A task that fills memory which is only lent to it. The handle waits with the task; each span ends before the next `await`.
async fn receive(mut from: PipeReader<u8>, mut memory: Memory<u8>) -> Result<(), Failure> {
    let mut filled = 0;
    loop {
        let result = from.read().await?;
        let (buffer, is_completed) = (result.buffer(), result.is_completed());
        let len = buffer.len();
        if len > 0 {
            let mut span = memory.span_mut()?;
            let room = span.get_mut(filled..filled + len).ok_or("more came than there is room for")?;
            buffer.copy_to_slice(room);
            println!("{len} bytes came, after {filled}");
        }
        from.advance(len, len);
        filled += len;
        if is_completed {
            return Ok(());
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let (mut future, waker) = (pin!(future), Waker::from(Arc::new(Unpark(thread::current()))));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
