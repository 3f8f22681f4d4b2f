//! Stages on threads of their own, joined by ordered bounded queues.
//!
//! ```text
//!   [source] --queue--> [stage] --queue--> [stage] x n --queue--> Run, an iterator
//!                 room, order           room, order        room, order
//! ```
//!
//! **Order.** What leaves a queue gets the queue's next number, whoever takes it. A stage puts what it makes of item 7 into
//! the next queue as part 7, and that queue lets part 8 out only after part 7 is complete. So whatever the number of workers,
//! things come out in the order in which they went in.
//!
//! **Back-pressure.** A queue has room for so many items. Whoever finds it full waits, so a slow stage holds back those
//! before it, and no queue grows.
//!
//! **No deadlock.** The worker whose part is next may put an item into a full queue when none of its own is left there. So it waits
//! only for whoever takes items out, never for another worker. The last taker is the user of the [`Run`]; hence,
//! from the last queue to the first, everybody who waits is waiting for somebody who can go on.
//!
//! **The end.** A run ends when its source does, with the first error or panic of a stage, when its [`Cancel`](crate::Cancel) is asked
//! for, or when the [`Run`] is dropped. Then all queues are closed: what is in them is dropped, whoever sleeps at one wakes up, and
//! each thread drops its stage and what it holds.

mod builder;
mod error;
mod metrics;
mod queue;
mod run;
mod stage;
mod worker;

pub use builder::Flow;
pub use error::{FlowError, StageError, Stopped};
pub use metrics::StageMetrics;
pub use run::{Next, Run};
pub use stage::{Emit, Stage};
