//! A way for things from one thread to another, one at a time, as a channel of the standard library does it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{TryRecvError, TrySendError, sync_channel};
use std::thread;

use crate::clock::{Clock, OnProcessor, processors};
use crate::pair::spin;
use crate::table::Sample;

/// Things that the channel has room for.
const ROOM: usize = 256;
/// Things sent before the clock starts, and while it runs.
const WARM: u64 = 2048;
const MEASURED: u64 = 16_384;

/// Measures how long it takes for something to be made in this thread, sent through a bounded channel, and used up in
/// another. `consume` returns 1 when it found what it expected.
///
/// Neither thread ever sleeps: who waits, spins.
pub fn item_by_item<T: Send>(
    mut make: impl FnMut() -> T,
    mut consume: impl FnMut(T) -> u64 + Send,
) -> Option<Sample> {
    if processors() < 2 {
        return None;
    }
    let (sender, receiver) = sync_channel(ROOM);
    let consumed = AtomicU64::new(0);
    thread::scope(|scope| {
        let consumed = &consumed;
        scope.spawn(move || {
            let _second = OnProcessor::nth(1);
            let mut found = 0;
            let mut spins = 0;
            loop {
                match receiver.try_recv() {
                    Ok(item) => {
                        found += consume(item);
                        spins = 0;
                    }
                    Err(TryRecvError::Empty) => {
                        // What was found is told when there is nothing else to do, so that it costs the sender nothing.
                        consumed.store(found, Ordering::Release);
                        spin(&mut spins);
                    }
                    Err(TryRecvError::Disconnected) => break,
                }
            }
        });
        let _first = OnProcessor::nth(0);
        let mut send = |count: u64, in_all: u64| {
            for _ in 0..count {
                let (mut item, mut spins) = (make(), 0);
                while let Err(TrySendError::Full(back)) = sender.try_send(item) {
                    item = back;
                    spin(&mut spins);
                }
            }
            let mut spins = 0;
            while consumed.load(Ordering::Acquire) < in_all {
                spin(&mut spins);
            }
        };
        send(WARM, WARM);
        let sample = Sample::of(MEASURED, Clock::wall, || send(MEASURED, WARM + MEASURED));
        drop(sender);
        Some(sample)
    })
}
