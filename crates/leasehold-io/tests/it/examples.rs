//! The examples run, and check what they show.

#[cfg(all(target_os = "linux", feature = "io-uring"))]
#[path = "../../examples/file_copy.rs"]
mod file_copy;

#[cfg(all(target_os = "linux", feature = "io-uring"))]
#[test]
fn a_file_is_copied() {
    file_copy::main().unwrap();
}
