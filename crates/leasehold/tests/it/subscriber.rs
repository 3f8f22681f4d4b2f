//! Pools whose subscriber panics.

use std::task::Poll;

use leasehold::MemoryPool;
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber, span};

use crate::support::{alone, catch, poll_once};

struct Angry;

impl Subscriber for Angry {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        panic!("a subscriber panics")
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_rent_whose_subscriber_panics_leaves_the_queue() {
    // What subscribers are interested in is remembered for all threads.
    if !alone("subscriber::a_rent_whose_subscriber_panics_leaves_the_queue") {
        return;
    }
    let pool = MemoryPool::builder().build_bounded(4096);
    let owner = pool.try_rent::<u8>(4096).unwrap();
    let mut waits = pool.rent::<u8>(4096);
    assert!(with_default(Angry, || catch(|| poll_once(&mut waits).is_ready())).is_err());
    assert_eq!(pool.stats().waiting, 0);
    drop(owner);
    assert!(pool.try_rent::<u8>(4096).is_ok());
}

#[test]
fn a_buffer_that_was_made_while_a_subscriber_panics_stays_in_the_pool() {
    // What subscribers are interested in is remembered for all threads.
    if !alone("subscriber::a_buffer_that_was_made_while_a_subscriber_panics_stays_in_the_pool") {
        return;
    }
    let pool = MemoryPool::builder().build_bounded(4096);
    assert!(with_default(Angry, || catch(|| pool.try_rent::<u8>(4096).is_ok())).is_err());
    assert!(pool.outstanding().is_empty());
    assert_eq!(pool.stats().idle_bytes, 4096);
    let mut rent = pool.rent::<u8>(100);
    let Poll::Ready(Ok(owner)) = poll_once(&mut rent) else { panic!("the budget is gone") };
    assert_eq!(owner.len(), 100);
}
