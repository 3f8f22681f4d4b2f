//! Runs the compiler on every misuse, and every twin.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The twins, compiled into this program, and a test that runs each. They show something, each in a few lines, and are held to no
/// style.
macro_rules! twins {
    ($($name:ident)*) => {
        $(#[allow(clippy::all, clippy::pedantic, clippy::unwrap_used, unused, dropping_copy_types, unsafe_code)]
        mod $name {
            include!(concat!("pass/", stringify!($name), ".rs"));

            #[test]
            fn compiles_and_runs() {
                main();
            }
        })*

        const TWINS: &[&str] = &[$(stringify!($name)),*];
    };
}

twins! {
    bare_lease_as_a_dlpack_tensor
    bare_lease_as_a_writable_array
    bare_lease_as_an_array
    bare_lease_as_an_arrow_buffer
    bare_lease_as_bytes
    bare_lease_as_held_elements
    bare_lease_filled_by_a_runtime
    bare_lease_given_to_a_runtime
    bare_lease_in_a_file_of_tensors
    bare_lease_in_a_sequence_for_tokio
    bare_lease_read_into_by_a_ring
    bare_lease_read_into_by_tokio
    bare_lease_serialized
    bare_lease_written_by_a_ring
    borrow_of_an_owner_kept_over_its_lease
    cells_read_from_two_threads
    cells_shared_with_another_thread
    disposed_twice
    elements_bound_to_their_thread
    elements_that_are_not_plain_rented
    elements_that_borrow
    file_mapped_without_unsafe
    growth_of_ones_own
    lease_ended_twice
    lease_kind_of_ones_own
    leased_twice
    lent_slice_used_in_its_scope
    lessor_used_as_owner
    manager_without_unsafe
    memory_is_not_clone
    memory_of_narrower_elements
    mutable_span_is_not_send
    owner_of_a_read_only_manager
    owner_used_while_leased
    pipe_result_used_after_advance
    pipe_slice_kept_over_commit
    raw_parts_without_unsafe
    read_while_written
    rule_01_memory_in_place_of_a_span
    rule_02_the_way_back_from_read_only
    rule_02_writing_where_nothing_is_to_be_written
    rule_03_a_slice_kept_after_the_call
    rule_04_a_slice_kept_by_a_task
    rule_05_memory_used_after_it_was_given_to_a_constructor
    rule_06_memory_used_after_it_was_given_to_a_setter
    rule_07_disposed_and_transferred
    rule_08_an_owner_used_by_the_one_who_gave_it_away
    rule_09_a_pointer_for_writing_from_a_span_for_reading
    rule_10_an_operation_that_goes_on_with_a_span
    rule_10_memory_used_while_it_is_pinned
    sequence_reader_outlives_its_sequence
    slice_outlives_its_span
    span_across_await
    span_carried_out_of_a_scope
    span_is_not_send
    span_returned_from_its_scope
    split_while_spanned
    two_mutable_spans
    window_kept_while_more_is_written
    write_through_a_sequence
    write_through_read_only_pin
    write_through_read_only_span
    write_through_shared_owner
    writer_slice_kept_over_commit
}

fn programs(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let paths =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn every_misuse_has_a_twin() {
    let twins: BTreeSet<String> = TWINS.iter().map(|&twin| twin.to_owned()).collect();
    assert_eq!(twins, programs("pass"));
    assert_eq!(twins, programs("fail"));
}

#[test]
fn misuses_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
