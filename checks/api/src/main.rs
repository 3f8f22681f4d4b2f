//! `check-api RUSTDOC_JSON`: prints the public items that a file of rustdoc's JSON describes, one a line.
//!
//! Left out is what follows from the rest: blanket implementations. What auto traits a type has is part of its promise.

use std::error::Error;
use std::process::ExitCode;

use public_api::Builder;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("which file of rustdoc's JSON?")?;
    let items = Builder::from_rustdoc_json(file).omit_blanket_impls(true).build()?;
    for item in items.items() {
        println!("{item}");
    }
    Ok(())
}
