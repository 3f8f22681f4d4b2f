//! What the system says about this process's memory.

use std::fs;

/// Bytes that the process has in memory; `None` where the system does not say.
pub(crate) fn resident() -> Option<u64> {
    field("VmRSS:")
}

/// The most bytes that it ever had.
pub(crate) fn peak_resident() -> Option<u64> {
    field("VmHWM:")
}

fn field(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
