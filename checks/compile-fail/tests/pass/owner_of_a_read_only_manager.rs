use std::sync::Arc;

use leasehold::{SharedOwner, SharedSlice};

fn main() {
    let slice: Arc<[u8]> = Arc::from([1, 2, 3]);
    drop(SharedOwner::from_manager(SharedSlice(slice)));
}
