//! A conversation, and the parts of it that a model is shown.

mod conversation;
mod turn;
mod window;

pub use conversation::History;
pub use turn::{Role, Turn};
pub use window::{Segment, SlidingWindows, Window};
