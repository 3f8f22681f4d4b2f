//! The examples run, and check what they show.

#[path = "../../examples/across_await.rs"]
mod across_await;
#[path = "../../examples/own_manager.rs"]
mod own_manager;
#[path = "../../examples/ragged_batch.rs"]
mod ragged_batch;
#[path = "../../examples/rent_and_return.rs"]
mod rent_and_return;
#[path = "../../examples/revoke_while_reading.rs"]
mod revoke_while_reading;
#[path = "../../examples/stack_memory.rs"]
mod stack_memory;
#[cfg(not(miri))] // which has no sockets
#[path = "../../examples/tcp_proxy.rs"]
mod tcp_proxy;

#[test]
fn a_rented_buffer_comes_back() {
    rent_and_return::main();
}

#[test]
fn owners_and_handles_live_across_await() {
    across_await::main().unwrap();
}

#[test]
fn a_lessor_revokes_while_a_reader_reads() {
    revoke_while_reading::main().unwrap();
}

#[test]
fn a_local_array_is_lent_to_threads() {
    stack_memory::main().unwrap();
}

#[test]
fn memory_of_ones_own_follows_the_rules() {
    own_manager::main().unwrap();
}

#[test]
fn rows_are_gathered_without_padding() {
    ragged_batch::main().unwrap();
}

#[cfg(not(miri))]
#[test]
fn a_proxy_forwards_within_its_budget() {
    tcp_proxy::main().unwrap();
}
