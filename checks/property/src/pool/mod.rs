//! Pools with a budget: tasks, shares, leases and threads, against an oracle that adds up.
//!
//! Operations run on one of three worker threads, one at a time, so that the oracle knows each outcome: who is served,
//! who waits, what is refused, and the figures that come with it. The backing counts what is really held.

mod backing;
mod oracle;
mod world;

pub use world::run_pool;
