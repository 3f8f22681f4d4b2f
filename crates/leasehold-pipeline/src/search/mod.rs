//! Exact search by cosine, and the cache that makes the second search fast.

mod exact;
mod fingerprint;
mod segment;
mod similarity;
mod store;
mod top;

pub use exact::{Found, Hit, Search};
pub use fingerprint::Fingerprint;
pub use similarity::dot;
pub use store::{Key, StoreEvent, StoreStats, VectorStore};
pub use top::Top;
