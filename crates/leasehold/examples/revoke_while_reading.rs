//! A lessor takes its buffer back from a reader in the middle of its work: the span that is open stays valid, the next one is
//! refused, and the error says by whom.

use std::sync::mpsc;
use std::thread;

use leasehold::{MemoryPool, Revoked};

/// Lends, revokes, and writes to the buffer that came back.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut owner = MemoryPool::shared().rent_zeroed::<u64>(1000);
    owner[7] = 42;
    let (lessor, memory) = owner.lease_read_only();
    let (inside, is_inside) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();

    let reader = thread::spawn(move || -> Result<u64, Revoked> {
        let span = memory.span()?;
        let _ = inside.send(());
        let _ = may_go_on.recv();
        println!("reader: my span still shows {}", span[7]);
        drop(span);
        memory.span().map(|span| span[7])
    });

    is_inside.recv()?;
    let revocation = lessor.revoke(); // does not wait; no new span begins
    let Err(revocation) = revocation.try_take() else { return Err("the reader is inside".into()) };
    println!("lessor: revoked, and a reader is inside");
    go_on.send(())?;

    let mut owner = revocation.wait().map_err(|_| "this thread holds no span")?; // or `.await`
    owner.fill(0);
    let refused = reader.join().expect("the reader does not panic").expect_err("the lease is over");
    println!("reader: {refused}");
    println!("lessor: the buffer is mine again, all {} elements of it", owner.len());
    assert!(refused.revoked_at().is_some());
    Ok(())
}
