//! Misuses that must not compile. Each is a file in `tests/fail`, and its twin of the same name in `tests/pass`
//! differs in the misuse only, so that the failure has the reason it claims.
//!
//! After a change of the compiler or of a type that a message names: `TRYBUILD=overwrite cargo test -p
//! check-compile-fail`, and read the difference.
