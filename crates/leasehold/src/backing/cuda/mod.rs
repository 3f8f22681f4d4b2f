//! Host memory that CUDA devices read and write directly.
//!
//! Nothing is linked: the driver's library is loaded when it is asked for, so a program that can use CUDA runs where there is
//! none. Needs the feature `cuda`.

mod driver;
mod error;
mod pinned_host;

pub use error::CudaError;
pub use pinned_host::PinnedHost;
