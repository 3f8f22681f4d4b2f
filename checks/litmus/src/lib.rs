//! Litmus tests of the asymmetric fence, which no model can show: the kernel's promise is outside of the language's
//! memory model. Each has a control that must go wrong, so that a machine on which nothing ever goes wrong proves nothing.

mod dekker;
mod lease;
mod meeting;
#[cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "membarrier and processor sets are system calls")
)]
mod system;

pub use dekker::{Fences, dekker};
pub use lease::{Accesses, spans_against_revocation};
pub use meeting::{Limits, Outcome};
pub use system::{has_two_processors, register_membarrier};
