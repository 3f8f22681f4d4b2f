//! Memory of one's own under the library's rules: here a table that several owners share with a registry, and that says when the
//! last of them has gone.
#![allow(unsafe_code, reason = "a manager promises what the compiler cannot see")]

use std::ptr::NonNull;
use std::sync::mpsc::{self, Sender};

use leasehold::{MemoryManager, MemoryManagerMut, MemoryOwner};

/// A block of a device, of another library, of a file: here, of the heap.
struct Table {
    numbers: Box<[u32]>,
    ended: Sender<String>,
}

// SAFETY: 1: the numbers are initialised and in one allocation; 2, 3: it is the manager's own, and stays until the box is
// dropped, wherever the manager moves; 4: the hooks do not touch it, and it lies outside of the manager.
unsafe impl MemoryManager<u32> for Table {
    const PIN_HOOKS: bool = true;

    fn memory(&mut self) -> NonNull<[u32]> {
        NonNull::from(&mut self.numbers[..])
    }

    fn first_pin(&mut self) {
        println!("manager: a device may look at the table now");
    }

    fn last_unpin(&mut self) {
        println!("manager: none does any more");
    }
}

// SAFETY: 5, 6: as above; nobody else has a pointer to it.
unsafe impl MemoryManagerMut<u32> for Table {}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = self.ended.send(format!("a table of {} numbers has ended", self.numbers.len()));
    }
}

/// Lends a table, revokes it while a pin is left, and sees it end with the pin.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ended, ends) = mpsc::channel();
    let mut owner = MemoryOwner::from_manager(Table { numbers: vec![0; 1000].into(), ended });
    owner[999] = 7;

    let (lessor, memory) = owner.lease_read_only();
    let pinned = memory.pin()?;
    drop(lessor);
    println!("the lease is over; the pin still shows {}", pinned[999]);
    assert!(memory.span().is_err() && ends.try_recv().is_err());

    drop(pinned);
    println!("manager: {}", ends.try_recv()?);
    Ok(())
}
