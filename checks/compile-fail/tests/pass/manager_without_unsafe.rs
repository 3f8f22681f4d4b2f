use std::ptr::NonNull;

struct Table([u8; 4]);

// SAFETY: the array lies inside the manager, which nobody else can reach.
unsafe impl leasehold::MemoryManager<u8> for Table {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut self.0[..])
    }
}

fn main() {
    drop(leasehold::SharedOwner::from_manager(Table([0; 4])));
}
