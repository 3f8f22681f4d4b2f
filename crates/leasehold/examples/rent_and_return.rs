//! A buffer is rented, filled, and dropped, in whatever thread; the next rent of its size gets the same memory.

use std::thread;

use leasehold::MemoryPool;

/// Rents, returns, and rents again.
pub fn main() {
    let pool = MemoryPool::new();

    let mut owner = pool.rent::<f32>(1000);
    owner.fill(0.5);
    let address = owner.as_ptr();
    println!("rented {} floats, room for {}, at {address:?}", owner.len(), owner.capacity());

    let sum: f32 = owner.iter().sum();
    drop(owner);
    println!("their sum is {sum}; returned, and {} bytes are idle", pool.idle_bytes());

    let again = pool.rent::<u8>(4000); // as many bytes, of another type
    assert!(std::ptr::addr_eq(again.as_ptr(), address));
    println!("rented again: the same memory, for bytes");

    thread::spawn(move || drop(again)).join().expect("dropping a buffer does not panic");
    assert_eq!(pool.stats().rented_bytes, 0);
    println!("returned by another thread; gave {} bytes to the system", pool.trim());
}
