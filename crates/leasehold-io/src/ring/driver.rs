//! The thread of a ring.

use std::sync::Arc;

use leasehold::MemoryOwner;

use super::error::Task;
use super::kernel::{Kernel, Reading};
use super::operation::Slot;
use super::queue::{ALARM, Command, Orders, Queue};
use super::registered::Home;

/// Carries out the queue's commands until the ring is dropped.
pub(super) struct Driver {
    // Before the registered memory, so that the kernel's registration ends first.
    kernel: Kernel,
    queue: Arc<Queue>,
    /// Where the read of the bell puts its byte.
    heard: Arc<Slot<MemoryOwner<u8>>>,
    _home: Arc<Home>,
}

impl Driver {
    pub(super) fn new(kernel: Kernel, queue: Arc<Queue>, home: Arc<Home>) -> Driver {
        let heard = Arc::new(Slot::new(Task { verb: "read", len: 1, offset: None }));
        let mut driver = Driver { kernel, queue, heard, _home: home };
        driver.listen(MemoryOwner::from(vec![0; 1]));
        driver
    }

    pub(super) fn run(mut self) {
        loop {
            match self.queue.orders() {
                Orders::Work(commands) => {
                    commands.into_iter().for_each(|command| self.obey(command));
                    self.kernel.submit();
                }
                // The read of the bell is with the kernel, so this ends when somebody rings.
                Orders::Sleep => self.kernel.wait(),
                // Dropping the kernel's side cancels what is left, and waits for it.
                Orders::Close => return,
            }
            self.kernel.finish();
            if let Some(outcome) = self.heard.take() {
                self.listen(match outcome {
                    Ok((memory, _)) => memory,
                    Err(failed) => failed.memory,
                });
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(id, transfer) => self.kernel.start(id, transfer),
            Command::Cancel(id) => self.kernel.cancel(id),
        }
    }

    fn listen(&mut self, memory: MemoryOwner<u8>) {
        let reading = Reading::new(self.queue.ear(), memory, None, Arc::clone(&self.heard));
        self.kernel.start(ALARM, Box::new(reading));
    }
}
