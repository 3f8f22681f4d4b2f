//! Two seconds of the stress program; a build with a bug must be found out.

use std::time::Duration;

use check_stress::{Limits, run};

#[test]
fn readers_never_see_another_tenants_bytes() {
    let limits = Limits { accesses: u64::MAX, time: Duration::from_secs(2), stop_at_stale: true };
    if cfg!(any(leasehold_bug = "generation", leasehold_bug = "barrier", leasehold_bug = "pins")) {
        let report = run(Limits { time: Duration::from_secs(120), ..limits }, 2);
        assert!(report.stale_bytes > 0, "the bug was not found: {report:?}");
        return;
    }
    let report = run(limits, 2);
    assert_eq!(report.stale_bytes, 0, "{report:?}");
    assert!(report.accesses > 1000 && report.refused > 0 && report.tenants > 1000, "{report:?}");
}
