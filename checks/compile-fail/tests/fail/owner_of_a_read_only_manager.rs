use std::sync::Arc;

use leasehold::{MemoryOwner, SharedSlice};

fn main() {
    let slice: Arc<[u8]> = Arc::from([1, 2, 3]);
    drop(MemoryOwner::from_manager(SharedSlice(slice)));
}
