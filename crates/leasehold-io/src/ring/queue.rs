//! What the threads of a program tell the thread of a ring.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kernel::Transfer;

/// The number of the driver's own read, which wakes it, and the first of the others'.
pub(super) const ALARM: u64 = 0;
pub(super) const FIRST: u64 = 1;

pub(super) enum Command {
    Start(u64, Box<dyn Transfer>),
    Cancel(u64),
}

/// Commands in the order of their arrival, and the bell that wakes the driver.
pub(super) struct Queue {
    state: Mutex<State>,
    bell: PipeWriter,
    /// Held here too, so that a bell that rings late finds an open pipe.
    ear: Arc<PipeReader>,
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    /// The driver waits, or is about to, and nobody has rung yet.
    asleep: bool,
    closed: bool,
}

/// What the driver found.
pub(super) enum Orders {
    Work(Vec<Command>),
    /// There is nothing to do; who finds something rings.
    Sleep,
    /// The ring is being dropped.
    Close,
}

impl Queue {
    pub(super) fn new() -> io::Result<Queue> {
        let (ear, bell) = io::pipe()?;
        Ok(Queue { state: Mutex::default(), bell, ear: Arc::new(ear) })
    }

    /// Where the bell is heard.
    pub(super) fn ear(&self) -> &Arc<PipeReader> {
        &self.ear
    }

    pub(super) fn start(&self, id: u64, transfer: Box<dyn Transfer>) {
        self.tell(|state| state.commands.push(Command::Start(id, transfer)));
    }

    /// After the ring has gone everything is over, and this does nothing.
    pub(super) fn cancel(&self, id: u64) {
        self.tell(|state| {
            if !state.closed {
                state.commands.push(Command::Cancel(id));
            }
        });
    }

    pub(super) fn close(&self) {
        self.tell(|state| state.closed = true);
    }

    pub(super) fn orders(&self) -> Orders {
        let mut state = self.lock();
        if !state.commands.is_empty() {
            return Orders::Work(mem::take(&mut state.commands));
        }
        if state.closed {
            return Orders::Close;
        }
        state.asleep = true;
        Orders::Sleep
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let asleep = {
            let mut state = self.lock();
            change(&mut state);
            mem::take(&mut state.asleep)
        };
        if asleep {
            // There is a byte for each time the driver lay down, and it takes one each time it gets up, so there is room.
            let _ = (&self.bell).write_all(&[1]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
