//! A BERT encoder that works on ragged batches.
//!
//! Rows of different lengths lie back to back, so no work is spent on padding: everything that treats
//! tokens alike (projections, activation, normalisation) runs over all tokens of a batch at once, and
//! only attention looks at one row at a time.

mod attention;
mod bert;
mod config;
mod files;
mod kernel;
mod linear;
mod modules;
mod packing;
mod pooling;
mod precision;
mod weights;
mod words;
mod workspace;

pub use bert::Model;
pub use config::Config;
pub(crate) use files::files;
pub use kernel::Activation;
pub use pooling::Pooling;
pub use precision::Precision;
pub use workspace::Workspace;
