//! A local array is lent to threads that live longer than the call: they hold handles, which are worth nothing once the call is
//! over. The call waits for spans and pins, not for threads.

use std::sync::mpsc;
use std::thread;

use leasehold::{ReadOnlyMemory, Revoked, scope_read_only};

/// Lends an array to a worker, twice.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (jobs, worker_jobs) = mpsc::channel::<ReadOnlyMemory<u32>>();
    let (results, sums) = mpsc::channel();
    let worker = thread::spawn(move || {
        let mut last = None;
        for memory in worker_jobs {
            last = Some(memory); // a handle may be kept
            let sum = memory.span().map(|span| span.iter().sum::<u32>());
            if results.send(sum).is_err() {
                break;
            }
        }
        last
    });

    for count in [10, 100] {
        let mut numbers = [0; 100]; // on this thread's stack
        (1..).zip(&mut numbers[..count]).for_each(|(number, place)| *place = number);
        let sum: Result<u32, Revoked> = scope_read_only(&numbers, |memory| {
            jobs.send(memory)?;
            Ok::<_, Box<dyn std::error::Error>>(sums.recv()?)
        })?;
        println!("the worker says that 1 to {count} are {} together", sum?);
    }

    drop(jobs);
    let kept = worker.join().expect("the worker does not panic").ok_or("there were jobs")?;
    let refused = kept.span().map(drop).expect_err("the array is gone");
    println!("and of the handle that it kept: {refused}");
    Ok(())
}
