//! The project's own commands: `cargo xtask COMMAND`.

mod api;
mod assembly;
mod instructions;
mod meetings;
mod minimal;
mod orderings;
mod verify;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test                 all tests that need no special build
  features [--test]    the published crates compile with no feature, each alone, and all together; with --test the
                       tests of the libraries pass with each of these too, which takes long
  minimal-versions     the libraries with the oldest versions that their manifests allow
  api [--bless] [--if-available]
                       the public items of the libraries, against the checked-in lists
  semver REVISION      whether they break who uses them as they were at that revision; needs cargo-semver-checks
  loom                 every model of the core, three preemptions
  orderings [PLACE]    weakens each memory ordering, or those of a file or line, in turn; a model must notice
  miri                 the core's tests under miri: strict provenance, stacked and tree borrows
  miri --seeds [A..B [MODULE..]]
                       those in which threads meet or addresses come again, of all modules or of some, with each
                       seed from A up to B, 0..16 unless told
  fences               the core's tests with fences in place of membarrier
  tsan [--soak SECONDS]
                       the libraries' tests and the stress program's under ThreadSanitizer, or threads that come
                       and go for so long
  asan [--soak SECONDS]
                       the same under AddressSanitizer
  arm                  the core's and the model's tests on 64-bit ARM, emulated by qemu-aarch64
  bugs                 the stress program must find each planted bug
  fuzz [SECONDS]       random operations on handles, then on pools, against their oracles
  assembly [--bless]   what a warm call of each hot path executes, against the snapshot
  instructions [--bless] [--if-available]
                       how many instructions each operation executes, against the last count
";

/// What users depend on.
pub(crate) const LIBRARIES: [&str; 4] =
    ["leasehold", "leasehold-interop", "leasehold-io", "leasehold-pipeline"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    let result: Result<(), Box<dyn Error>> = match command.as_str() {
        "api" => api::run(rest),
        "semver" => api::semver(rest),
        "assembly" => assembly::run(rest),
        "instructions" => instructions::run(rest),
        "orderings" => orderings::run(rest),
        "test" => verify::test(),
        "features" => verify::features(rest),
        "minimal-versions" => minimal::run(),
        "loom" => verify::loom(),
        "miri" => verify::miri(rest),
        "fences" => verify::fences(),
        "tsan" => verify::sanitizer("thread", rest),
        "asan" => verify::sanitizer("address", rest),
        "arm" => verify::arm(),
        "bugs" => verify::bugs(),
        "fuzz" => verify::fuzz(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        unknown => Err(format!("no command {unknown}; see cargo xtask help").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
