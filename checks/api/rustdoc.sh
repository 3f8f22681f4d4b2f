#!/bin/sh
# rustdoc with what only nightly compilers offer. What it documents is compiled without, so nothing is compiled twice.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"
