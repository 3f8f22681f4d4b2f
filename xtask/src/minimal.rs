//! Whether the crates compile with the oldest versions that their manifests allow.
//!
//! The versions are chosen for a copy of the crates, so the checked-in lock file stays as it is.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::verify::{Outcome, succeed};
use crate::{LIBRARIES, root};

/// `cargo xtask minimal-versions`
pub fn run() -> Outcome {
    let copy = root().join("target/minimal-versions/workspace");
    renew(&copy)?;
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).current_dir(&copy);
        // The folder of all other builds, which have compiled what is of the same version.
        cargo.env("CARGO_TARGET_DIR", root().join("target"));
        cargo
    };
    // What only nightly compilers offer is asked of the one that is there.
    let choose = ["generate-lockfile", "-Zdirect-minimal-versions"];
    succeed(cargo(&choose).env("RUSTC_BOOTSTRAP", "1"))?;
    let mut check = cargo(&["check", "--locked", "--all-features"]);
    for library in LIBRARIES {
        check.args(["-p", library]);
    }
    succeed(&mut check)?;
    println!("{} crates compile with the oldest versions that they allow", LIBRARIES.len());
    Ok(())
}

/// Makes the folder a workspace of the published crates alone, without a lock file.
fn renew(copy: &Path) -> Result<(), Box<dyn Error>> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    copy_folder(&root().join("crates"), &copy.join("crates"))?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    fs::write(copy.join("Cargo.toml"), only_published(&manifest)?)?;
    Ok(())
}

/// Copies a folder and all that is in it. Files that are as they were keep their age, so that cargo need not look again.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
            continue;
        }
        if entry.file_name() == "Cargo.toml" {
            fs::write(&target, without_tests(&fs::read_to_string(entry.path())?))?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
        let changed = entry.metadata()?.modified()?;
        fs::File::options().write(true).open(&target)?.set_modified(changed)?;
    }
    Ok(())
}

/// A package's manifest without what its tests alone need, which no user builds and which would hold back the others.
fn without_tests(manifest: &str) -> String {
    let mut is_wanted = true;
    let wanted = manifest.split_inclusive('\n').filter(|line| {
        if line.starts_with('[') {
            is_wanted = !line.trim_end().ends_with("dev-dependencies]");
        }
        is_wanted
    });
    wanted.collect()
}

/// The workspace's manifest without the packages that nobody depends on.
fn only_published(manifest: &str) -> Result<String, Box<dyn Error>> {
    let is_list = |line: &&str| line.starts_with("members = ") || line.starts_with("exclude = ");
    let lists: Vec<&str> = manifest.lines().filter(is_list).collect();
    let [members, exclude] = lists[..] else {
        return Err("Cargo.toml has no line `members = ..` followed by a line `exclude = ..`".into());
    };
    Ok(manifest.replace(members, "members = [\"crates/*\"]").replace(exclude, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_the_published_crates_only() {
        let manifest =
            "[workspace]\nmembers = [\"crates/*\", \"checks/*\"]\nexclude = [\"fuzz\"]\n[profile]\n";
        assert_eq!(only_published(manifest).unwrap(), "[workspace]\nmembers = [\"crates/*\"]\n\n[profile]\n");
        assert!(only_published("[workspace]\n").is_err());
    }

    #[test]
    fn what_tests_alone_need_is_left_out() {
        let manifest = "[dependencies]\na = \"1\"\n[dev-dependencies]\nb = \"1\"\n\
                        [target.'cfg(unix)'.dev-dependencies]\nc = \"1\"\n[lints]\nworkspace = true\n";
        assert_eq!(without_tests(manifest), "[dependencies]\na = \"1\"\n[lints]\nworkspace = true\n");
    }
}
