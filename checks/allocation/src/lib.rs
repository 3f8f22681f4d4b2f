//! A package for tests that count allocations; see `tests`.
