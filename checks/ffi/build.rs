//! Compiles the C library that the tests call.

fn main() {
    println!("cargo::rerun-if-changed=c");
    if std::env::var_os("CARGO_CFG_UNIX").is_some() {
        cc::Build::new()
            .file("c/device.c")
            .warnings_into_errors(true)
            .std("c11")
            .compile("leasehold_check_device");
        println!("cargo::rustc-link-lib=pthread");
    }
}
